package node

import (
	"bufio"
	"fmt"
	"net"
	"slices"
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
// disk that TMPDIR names. It reports messages a second until the last is in its mailbox, the CPU of this process (the
// senders' share included), syncs and pages written to the database's log for each.
func BenchmarkDelivery(b *testing.B) {
	for _, load := range []*benchLoad{
		{service: "smtp", sessions: 1, recipients: 1}, {service: "smtp", sessions: 50, recipients: 1},
		{service: "lmtp", sessions: 10, recipients: 1}, {service: "lmtp", sessions: 10, recipients: 20},
	} {
		b.Run(fmt.Sprintf("%s/sessions=%d/rcpts=%d", load.service, load.sessions, load.recipients), func(b *testing.B) {
			benchmarkDelivery(b, load)
		})
	}
}

// benchLoad is sessions that send one message after the other.
type benchLoad struct {
	service              string
	sessions, recipients int
	sets                 []string // of the configuration
	addr                 string
	total                int64        // messages
	next                 atomic.Int64 // of them

	mu    sync.Mutex
	waits []time.Duration // from the end of the data to its reply
}

const benchUsers = 100

func benchmarkDelivery(b *testing.B, load *benchLoad) {
	n, stop := start(b, testConfig(b, b.TempDir(), load.sets...))
	for i := range benchUsers {
		addSilentUser(b, n, fmt.Sprintf("user%d", i))
	}
	load.addr, load.total = n.Addresses()[load.service].String(), int64(b.N)
	var group sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	began, cpu, pages := time.Now(), processCPU(), n.db.Stats().Written
	for range load.sessions {
		group.Go(func() {
			for load.next.Load() < load.total && !b.Failed() {
				if err := load.send(); err != nil {
					b.Error(err)
				}
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
	b.ReportMetric(float64(n.db.Stats().Written-pages)/float64(b.N), "pages/msg")
	slices.Sort(load.waits)
	b.ReportMetric(float64(load.waits[len(load.waits)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(load.waits[len(load.waits)*99/100].Microseconds())/1000, "p99-ms")
	stop()
}

func processCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// send is one session. It makes its messages in place: its own work should not count much.
func (s *benchLoad) send() error {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	hello, answers := "EHLO bench.example\r\n", 1
	if s.service == "lmtp" {
		hello, answers = "LHLO bench.example\r\n", s.recipients
	}
	if err := expectReplies(in, "220", 1); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(hello)); err != nil {
		return err
	}
	if err := expectReplies(in, "250", 1); err != nil {
		return err
	}
	const head = "Subject: benchmark\r\nFrom: a@far.example\r\nTo: b@here.example\r\nMessage-ID: <"
	message := []byte(head + "000000000000@far.example>\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 10240/78) + ".\r\n")
	var commands []byte
	var waits []time.Duration
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.waits = append(s.waits, waits...)
	}()
	for range 900 { // the server's limit of messages in a session is 1000
		i := s.next.Add(1)
		if i > s.total {
			return nil
		}
		commands = append(commands[:0], "MAIL FROM:<a@far.example>\r\n"...)
		for r := range s.recipients {
			commands = fmt.Appendf(commands, "RCPT TO:<user%d@here.example>\r\n", (int(i)+r)%benchUsers)
		}
		if _, err := conn.Write(append(commands, "DATA\r\n"...)); err != nil {
			return err
		}
		if err := expectReplies(in, "250", 1+s.recipients); err != nil {
			return err
		}
		if err := expectReplies(in, "354", 1); err != nil {
			return err
		}
		copy(message[len(head):], fmt.Sprintf("%012d", i))
		if _, err := conn.Write(message); err != nil {
			return err
		}
		sent := time.Now()
		if err := expectReplies(in, "250", answers); err != nil {
			return err
		}
		waits = append(waits, time.Since(sent))
	}
	return nil
}

func expectReplies(in *bufio.Reader, code string, replies int) error {
	for replies > 0 {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) < 4 || string(line[:3]) != code {
			return fmt.Errorf("unexpected reply %q", line)
		}
		if line[3] == ' ' {
			replies--
		}
	}
	return nil
}

// addSilentUser makes an account that nobody logs in to: no password is hashed.
func addSilentUser(t testing.TB, n *Node, local string) {
	t.Helper()
	if _, err := n.addAccount(t.Context(), directory.NewAccount{Address: address.Address{Local: local, Domain: "here.example"}, NoLogin: true}); err != nil {
		t.Fatal(err)
	}
}
