package interop

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// day is a virtual day of a host: what its programs sent, and whether they were told that it was taken.
type day struct {
	*household
	mu   sync.Mutex
	sent []string // subjects
}

// cron sends the output of a job, as cron does.
func (d *day) cron(t *testing.T, uid int, at string) {
	subject := fmt.Sprintf("Cron <user%d@host> backup %s", uid, at)
	d.as(t, uid, system.Command{Name: d.sendmail(), Args: []string{"-i", "-FCronDaemon", "-B8BITMIME", "-oem", d.Alice.Address},
		Stdin: strings.NewReader("From: root (Cron Daemon)\nTo: root\nSubject: " + subject + "\n\nall done at " + at + "\n")})
	d.note(subject)
}

// shop lets PHP send a burst of orders.
func (d *day) shop(t *testing.T, at string, orders int) {
	d.as(t, webUser, system.Command{Name: "php", Args: []string{"-d", "sendmail_path=" + d.sendmail() + " -t -i", "-r",
		`for ($i = 0; $i < $argv[3]; $i++) if (!mail($argv[1], "Order $i of $argv[2]", "Thank you!\n.\n", "From: shop@shop.example")) exit(1);`,
		"--", d.Alice.Address, at, fmt.Sprint(orders)}})
	for i := range orders {
		d.note(fmt.Sprintf("Order %d of %s", i, at))
	}
}

func (d *day) note(subject string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent = append(d.sent, subject)
}

// hour is cron every five minutes, by users in turn, hourly jobs of all of them, and a burst of the shop's.
func (d *day) hour(t *testing.T, h int) {
	var group sync.WaitGroup
	users := []int{nobody, cronUser, 0}
	group.Go(func() {
		for m := 0; m < 60; m += 5 {
			d.cron(t, users[m/5%len(users)], fmt.Sprintf("%02d:%02d", h, m))
		}
	})
	group.Go(func() {
		for _, uid := range users {
			d.cron(t, uid, fmt.Sprintf("hourly %02d", h))
		}
		d.shop(t, fmt.Sprintf("%02d", h), 1+h%7)
	})
	group.Wait()
}

// A full day of cron, PHP and logwatch. At two in the night the server is stopped and mail piles up in the drop folder;
// at two in the afternoon the server is killed in the middle of its work. Every message that a program was told is taken
// arrives exactly once.
func TestSendmailDay(t *testing.T) {
	needs.Root(t, "it becomes other users")
	needs.Quick(t, "hundreds of processes")
	d := &day{household: newHousehold(t, system.Options{})}
	dir := d.Dir
	for h := range 24 {
		switch h {
		case 2:
			d.Stop(t)
			d.hour(t, h)
			d.System = system.Start(t, system.Options{Dir: dir})
			continue
		case 6:
			s := d.logwatch(t, "host")
			d.as(t, s.uid, s.command)
			d.note(s.subject)
		case 14:
			killed := make(chan struct{})
			go func() {
				defer close(killed)
				d.mu.Lock()
				before := len(d.sent)
				d.mu.Unlock()
				for { // until some of this hour's mail is through
					d.mu.Lock()
					n := len(d.sent) - before
					d.mu.Unlock()
					if n > 6 {
						break
					}
					time.Sleep(time.Millisecond)
				}
				d.Kill(t)
			}()
			d.hour(t, h)
			<-killed
			d.System = system.Start(t, system.Options{Dir: dir})
			continue
		}
		d.hour(t, h)
	}
	d.Await(t, d.Alice, "INBOX", len(d.sent))
	arrived := map[string]int{}
	for _, b := range system.Bodies(t, d.IMAP(t, d.Alice), "INBOX") {
		_, rest, _ := strings.Cut(string(b), "\r\nSubject: ")
		subject, _, _ := strings.Cut(rest, "\r\n")
		if strings.HasPrefix(subject, "Logwatch for host") {
			subject = "Logwatch for host"
		}
		arrived[subject]++
	}
	for _, subject := range d.sent {
		if arrived[subject] != 1 {
			t.Errorf("%q arrived %d times", subject, arrived[subject])
		}
	}
	if len(d.sent) < 400 || len(arrived) != len(d.sent) {
		t.Errorf("%d sent, %d different arrived", len(d.sent), len(arrived))
	}
}
