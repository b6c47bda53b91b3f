package crowd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// storm is what happens when a network comes back: all phones connect and log in at once, and somebody guesses passwords
// meanwhile.
type storm struct {
	phones, accounts int
	perAddress       int // phones behind one address
	guessers         int // connections of the one who guesses, all from one address
}

// TestLoginStormShort: the storm in small.
func TestLoginStormShort(t *testing.T) {
	storm{phones: 40, accounts: 10, perAddress: 10, guessers: 15}.run(t)
}

// TestLoginStormFull: 5,000 phones of 2,500 people.
func TestLoginStormFull(t *testing.T) {
	needs.Long(t, "5,000 phones; each of 2,500 passwords is hashed when it is set and when it is first checked: minutes")
	storm{phones: 5000, accounts: 2500, perAddress: 20, guessers: 200}.run(t)
}

const password = "correct horse battery staple"

func (st storm) run(t *testing.T) {
	s := system.Start(t, system.Options{Set: []string{"imap.max_connections_per_address=10000", "auth.max_connections_per_account_and_address=0"}})
	people := st.people(t, s)
	p, config := Process(s.Pid()), s.TLS(t)
	quiet := p.Resident(t)
	p.ForgetPeak()

	over := make(chan struct{})
	var group sync.WaitGroup
	guesses, turned := st.guess(s, config, people[0], over, &group)
	mail := watch(t, s, config, over, &group)

	var tries atomic.Int64
	began := time.Now()
	phones, err := Gather(st.phones, st.phones, func(i int) (*Client, error) {
		return phone(s, config, Source(i/st.perAddress), people[i%len(people)], &tries)
	})
	took := time.Since(began)
	close(over)
	group.Wait()
	if err != nil {
		t.Errorf("%d of %d phones got in: %v", Present(phones), st.phones, err)
	}
	t.Logf("%d phones of %d accounts in after %v, with %d tries; %d guesses answered and %d put off meanwhile", Present(phones), st.accounts,
		took.Round(time.Millisecond), tries.Load(), guesses.Load(), turned.Load())
	t.Logf("resident %d MiB at first, %d MiB at the peak, %d MiB with all phones idle", quiet>>20, p.Peak(t)>>20, p.Resident(t)>>20)
	slices.Sort(mail.took)
	if len(mail.took) == 0 || mail.err != nil {
		t.Fatalf("mail meanwhile: %d came, %v", len(mail.took), mail.err)
	}
	t.Logf("mail meanwhile, from MAIL to the reader's notice: %d, median %v, 99th of a hundred %v", len(mail.took),
		mail.took[len(mail.took)/2].Round(time.Millisecond), mail.took[len(mail.took)*99/100].Round(time.Millisecond))
	if guesses.Load()+turned.Load() == 0 {
		t.Error("nobody guessed: this was no storm")
	}
	Disperse(phones)
}

// people makes accounts.
func (st storm) people(t *testing.T, s *system.System) []string {
	t.Helper()
	operator, err := admin.Dial(t.Context(), filepath.Join(s.Dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	names, errs := make([]string, st.accounts), make([]error, st.accounts)
	Each(st.accounts, 8, func(i int) {
		names[i] = fmt.Sprintf("person%d@%s", i, s.Domain)
		_, errs[i] = operator.AddAccount(t.Context(), admin.NewAccount{Address: names[i], Password: password})
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return names
}

// phone connects until it is in, as phones do: told to come later, or cut off, it waits a little longer each time.
func phone(s *system.System, config *tls.Config, from netip.Addr, who string, tries *atomic.Int64) (c *Client, err error) {
	wait := 250 * time.Millisecond
	for end := time.Now().Add(15 * time.Minute); time.Now().Before(end); {
		tries.Add(1)
		if c, err = Dial(s.Listeners["imaps"], from, config); err == nil {
			if err = c.Greeted(); err == nil {
				err = c.Idle(who, password)
			}
			if err == nil {
				return c, nil
			}
			_ = c.Close()
		}
		var no *Refused
		if errors.As(err, &no) && !strings.Contains(no.Answer, "[UNAVAILABLE]") {
			return nil, err
		}
		time.Sleep(wait)
		wait = min(2*wait, 8*time.Second)
	}
	return nil, err
}

// guess has one who guesses passwords, of somebody and of people who are not there, until over is closed.
func (st storm) guess(s *system.System, config *tls.Config, somebody string, over chan struct{}, group *sync.WaitGroup) (answered, putOff *atomic.Int64) {
	answered, putOff = new(atomic.Int64), new(atomic.Int64)
	for g := range st.guessers {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				name := somebody
				if i%2 == 0 {
					name = fmt.Sprintf("guess%d.%d@%s", g, i, s.Domain)
				}
				c, err := Dial(s.Listeners["imaps"], Source(100_000), config)
				if err != nil {
					time.Sleep(50 * time.Millisecond)
					continue
				}
				err = c.Greeted()
				if err == nil {
					err = c.IMAP(fmt.Sprintf("LOGIN %q %q", name, fmt.Sprint("guess", i)))
				}
				if err != nil && strings.Contains(err.Error(), "[AUTHENTICATIONFAILED]") {
					answered.Add(1)
				} else {
					putOff.Add(1)
				}
				_ = c.Close()
			}
		})
	}
	return answered, putOff
}

// notices are how long mail took to somebody who was logged in before the storm.
type notices struct {
	took []time.Duration
	err  error
}

// watch sends bob a message now and then, until over is closed, and has bob's reader wait for each.
func watch(t *testing.T, s *system.System, config *tls.Config, over chan struct{}, group *sync.WaitGroup) *notices {
	t.Helper()
	reader, err := Dial(s.Listeners["imaps"], Source(100_001), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(reader.Greeted(), reader.Idle(s.Bob.Address, s.Bob.Password)); err != nil {
		t.Fatal(err)
	}
	sender, err := Dial(s.Listeners["lmtp"], Source(100_002), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sender.SMTP("", "220"), sender.SMTP("LHLO witness.example", "250")); err != nil {
		t.Fatal(err)
	}
	out := &notices{}
	group.Go(func() {
		defer reader.Close()
		defer sender.Close()
		for {
			began := time.Now()
			if out.err = message(sender, s.Bob.Address); out.err != nil {
				return
			}
			for line := ""; !strings.HasSuffix(line, " EXISTS"); {
				if line, out.err = reader.Line(); out.err != nil {
					return
				}
			}
			out.took = append(out.took, time.Since(began))
			select {
			case <-over:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	return out
}

// TestPhonesResume: who comes back within a ticket's life is spared the handshake's signature, also after a reload.
func TestPhonesResume(t *testing.T) {
	s := system.Start(t, system.Options{})
	config := s.TLS(t)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i := range 3 {
		c, err := Dial(s.Listeners["imaps"], Source(0), config)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Greeted(); err != nil { // the ticket comes with it
			t.Fatal(err)
		}
		if resumed := c.Conn.(*tls.Conn).ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("connection %d: resumed %v", i, resumed)
		}
		_ = c.Close()
		if i == 1 {
			reload(t, s)
		}
	}
}
