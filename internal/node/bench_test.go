package node

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/state/directory"
	"golang.org/x/sys/unix"
)

// BenchmarkDelivery takes 10 KiB messages from the socket into mailboxes of 100 accounts, with the shipped settings, on the
// disk that TMPDIR names. It reports messages a second until the last is in its mailbox, and the CPU of this process (the
// senders' share included) for each.
func BenchmarkDelivery(b *testing.B) {
	for _, sessions := range []int{1, 50} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) { benchmarkDelivery(b, sessions) })
	}
}

func benchmarkDelivery(b *testing.B, sessions int) {
	n, stop := start(b, testConfig(b, b.TempDir()))
	const users = 100
	for i := range users {
		addSilentUser(b, n, fmt.Sprintf("user%d", i))
	}
	message := "Subject: benchmark\r\nFrom: a@far.example\r\nTo: b@here.example\r\nMessage-ID: <%d@far.example>\r\n\r\n" +
		strings.Repeat(strings.Repeat("x", 76)+"\r\n", 10240/78)
	var next atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	began, cpu := time.Now(), processCPU()
	for range sessions {
		group.Go(func() {
			if err := sendMany(n.Addresses()["smtp"].String(), message, &next, int64(b.N), users); err != nil {
				b.Error(err)
			}
		})
	}
	group.Wait()
	accepted := time.Since(began)
	for n.blobs.Unsettled() > 0 {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(began)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/took.Seconds(), "msg/s")
	b.ReportMetric(float64(b.N)/accepted.Seconds(), "accepted/s")
	b.ReportMetric(float64((processCPU()-cpu).Microseconds())/float64(b.N), "µs-cpu/msg")
	b.ReportMetric(float64(n.blobs.Stats().Syncs+n.db.Stats().Commits)/float64(b.N), "syncs/msg")
	stop()
}

func processCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func sendMany(addr, message string, next *atomic.Int64, total int64, users int) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	expect := func(code string, replies int) error {
		for range replies {
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return err
				}
				if !strings.HasPrefix(line, code) {
					return fmt.Errorf("unexpected reply %q", line)
				}
				if line[3] == ' ' {
					break
				}
			}
		}
		return nil
	}
	if err := expect("220", 1); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("EHLO bench.example\r\n")); err != nil {
		return err
	}
	if err := expect("250", 1); err != nil {
		return err
	}
	for sent := 0; ; sent++ {
		i := next.Add(1)
		if i > total {
			return nil
		}
		if sent == 900 { // the server's limit of messages in a session is 1000
			return sendMany(addr, message, addTo(next, -1), total, users)
		}
		if _, err := fmt.Fprintf(conn, "MAIL FROM:<a@far.example>\r\nRCPT TO:<user%d@here.example>\r\nDATA\r\n", int(i)%users); err != nil {
			return err
		}
		if err := expect("250", 2); err != nil {
			return err
		}
		if err := expect("354", 1); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(conn, message+".\r\n", i); err != nil {
			return err
		}
		if err := expect("250", 1); err != nil {
			return err
		}
	}
}

func addTo(v *atomic.Int64, n int64) *atomic.Int64 {
	v.Add(n)
	return v
}

// addSilentUser makes an account that nobody logs in to: no password is hashed.
func addSilentUser(t testing.TB, n *Node, local string) {
	t.Helper()
	if _, err := n.addAccount(t.Context(), directory.NewAccount{Address: address.Address{Local: local, Domain: "here.example"}, NoLogin: true}); err != nil {
		t.Fatal(err)
	}
}
