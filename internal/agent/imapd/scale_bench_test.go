package imapd_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/agent/imapd"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/schema"
	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/sasl"
)

var sizeFlag = flag.Int("size", 100_000, "messages in the mailbox of BenchmarkLargeMailbox, mailboxes in the account of BenchmarkManyMailboxes")

// site is a server on a socket with its database on the disk that TMPDIR names, with the shipped settings.
type site struct {
	b     *testing.B
	db    *db.DB
	store *mailstore.Store
	addr  string
}

func newSite(b *testing.B) *site {
	d, err := db.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"), db.Options{Schema: schema.Store})
	if err != nil {
		b.Fatal(err)
	}
	blobs, err := blob.NewMemory(b.Context(), blob.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s := &site{b: b, db: d, store: mailstore.New(mailstore.Options{DB: d, Blobs: blobs})}
	s.must(s.store.CreateAccount(b.Context(), me))
	log := slog.New(slog.DiscardHandler)
	agent := &imapd.Agent{Store: s.store, Intake: &intake.Intake{Blobs: blobs}, IDs: queueid.NewSource(time.Now, 1, 1), Now: time.Now, Log: log}
	server := imap.New(agent, log, imap.Config{Hostname: "imap.here.example", SASL: sasl.NewServer(anyone{}, sasl.Options{})})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	s.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l, imap.Secure) }()
	b.Cleanup(func() {
		cancel()
		s.must(<-served)
		s.must(server.Shutdown(context.Background()))
		s.must(d.Close())
		s.must(blobs.Close(context.Background()))
	})
	return s
}

func (s *site) must(err error) {
	s.b.Helper()
	if err != nil {
		s.b.Fatal(err)
	}
}

// client speaks IMAP by the line, so that what is measured is the server.
type client struct {
	s    *site
	conn net.Conn
	in   *bufio.Reader
}

func (s *site) login() *client {
	s.b.Helper()
	nc, err := net.Dial("tcp", s.addr)
	s.must(err)
	c := &client{s, nc, bufio.NewReaderSize(nc, 256<<10)}
	_, err = c.in.ReadSlice('\n')
	s.must(err)
	c.do("LOGIN ann x")
	return c
}

func (c *client) close() { c.s.must(c.conn.Close()) }

// send begins a command.
func (c *client) send(command string) {
	_, err := io.WriteString(c.conn, "a "+command+"\r\n")
	c.s.must(err)
}

// until reads to the line with that beginning and counts the lines before it.
func (c *client) until(beginning string) (lines int) {
	c.s.b.Helper()
	for {
		line, err := c.in.ReadSlice('\n')
		c.s.must(err)
		if bytes.HasPrefix(line, []byte(beginning)) {
			return lines
		}
		if bytes.HasPrefix(line, []byte("a NO")) || bytes.HasPrefix(line, []byte("a BAD")) {
			c.s.b.Fatalf("%s", line)
		}
		lines++
	}
}

// do runs a command and returns how many lines stood before its OK.
func (c *client) do(format string, args ...any) int {
	c.s.b.Helper()
	c.send(fmt.Sprintf(format, args...))
	return c.until("a OK")
}

// timed reports how long fn took, by the number of times that something was done.
func (s *site) timed(what string, times int, fn func()) {
	began := time.Now()
	fn()
	s.b.ReportMetric(float64(time.Since(began).Nanoseconds())/1e6/float64(times), what)
}

// sized runs a benchmark for the sizes 1,000, 10,000 … -size.
func sized(b *testing.B, least int, fn func(s *site, size int)) {
	for size := least; size <= *sizeFlag; size *= 10 {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			for range b.N {
				fn(newSite(b), size)
			}
		})
	}
}

// fill puts messages into INBOX; with gap, every UID that it divides is missing.
func (s *site) fill(size int, gap uint32) {
	p := mime.NewParser()
	_, err := io.WriteString(p, "From: Somebody <somebody@far.example>\r\nTo: ann@here.example\r\nSubject: Numbers\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\n"+
		"Message-ID: <1@far.example>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nOne, two.\r\n")
	s.must(err)
	e := mailstore.NewEmail{Ref: recipe.BlobRef{Pack: 1, Offset: 64, Length: 10_240}, Size: 10_240, Received: time.Unix(1_800_000_000, 0),
		Structure: p.Close().Encode()}
	next := uint32(1)
	for left := size; left > 0; {
		list := make([]mailstore.Imported, min(left, 2000))
		for i := range list {
			if gap > 0 && next%gap == 0 {
				next++
			}
			list[i] = mailstore.Imported{UID: next, Email: e}
			next++
		}
		s.must(s.store.Import(context.Background(), me, mailstore.Inbox(), list))
		left -= len(list)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkLargeMailbox is what a client waits for in a large mailbox, by its size; -size 1000000 goes on to a million.
func BenchmarkLargeMailbox(b *testing.B) { sized(b, 1000, largeMailbox) }

func largeMailbox(s *site, size int) {
	s.timed("fill-ms", 1, func() { s.fill(size, 7) })
	c := s.login()
	defer c.close()
	before := heap()
	s.timed("cold-select-ms", 1, func() { c.do("SELECT INBOX") })
	s.b.ReportMetric(float64(heap()-before)/float64(size), "view-B/msg")
	c.do("UNSELECT")
	s.timed("warm-select-ms", 1, func() { c.do("SELECT INBOX") })
	before = heap()
	idler := s.login()
	defer idler.close()
	idler.do("SELECT INBOX")
	s.b.ReportMetric(float64(heap()-before)/float64(size), "session-B/msg")
	idler.send("IDLE")
	idler.until("+ ")
	s.timed("flags-ms", 1, func() {
		if n := c.do("FETCH 1:* FLAGS"); n != size {
			s.b.Fatal(n, "responses")
		}
	})
	uid := 1 + size/2/7*7 // of one in the middle
	s.timed("uid-fetch-one-ms", 100, func() {
		for range 100 {
			c.do("UID FETCH %d (FLAGS ENVELOPE)", uid)
		}
	})
	notices := time.Duration(0)
	s.timed("store-one-ms", 20, func() {
		for i := range 20 {
			c.do("UID STORE %d %sFLAGS (\\Flagged)", uid, []string{"+", "-"}[i%2])
			began := time.Now()
			idler.until("* ")
			notices += time.Since(began)
		}
	})
	s.b.ReportMetric(float64(notices.Microseconds())/1000/20, "store-notice-ms")
	notices = 0
	var expunge time.Duration
	for i := range 10 {
		gone := uid + 1 + i*7
		c.do("UID STORE %d +FLAGS.SILENT (\\Deleted)", gone)
		idler.until("* ")
		began := time.Now()
		c.do("UID EXPUNGE %d", gone)
		expunge += time.Since(began)
		began = time.Now()
		idler.until("* ")
		notices += time.Since(began)
	}
	s.b.ReportMetric(float64(expunge.Microseconds())/1000/10, "expunge-one-ms")
	s.b.ReportMetric(float64(notices.Microseconds())/1000/10, "expunge-notice-ms")
	s.timed("store-all-ms", 1, func() {
		if n := c.do("STORE 1:* +FLAGS.SILENT (\\Seen)"); n != 0 {
			s.b.Error(n, "responses to a silent STORE of all")
		}
	})
}

// BenchmarkManyMailboxes is an account with many mailboxes, half of them subscribed: times for each mailbox, so that they
// stay as they are where the cost is linear.
func BenchmarkManyMailboxes(b *testing.B) { sized(b, 1000, manyMailboxes) }

func manyMailboxes(s *site, size int) {
	c := s.login()
	defer c.close()
	name := func(i int) string { return fmt.Sprintf("Lists/%d/list %d", i/100, i) }
	s.timed("create-ms", size, func() {
		for i := range size {
			c.do("CREATE %q", name(i))
		}
	})
	s.timed("subscribe-ms", size/2, func() {
		for i := 0; i < size; i += 2 {
			c.do("SUBSCRIBE %q", name(i))
		}
	})
	each := func(what, command string, least int) {
		began := time.Now()
		if n := c.do("%s", command); n < least {
			s.b.Fatal(n, "responses to", command)
		}
		s.b.ReportMetric(float64(time.Since(began).Nanoseconds())/1000/float64(size), what)
	}
	each("list-µs/mailbox", `LIST "" "*"`, size)
	each("list-status-µs/mailbox", `LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT UNSEEN))`, 2*size)
	each("list-top-µs/mailbox", `LIST "" "%"`, 1)
	each("lsub-µs/mailbox", `LSUB "" "*"`, size/2)
	s.timed("status-ms", size, func() {
		for i := range size {
			c.do("STATUS %q (MESSAGES UNSEEN)", name(i))
		}
	})
	s.timed("select-ms", size, func() {
		for i := range size {
			c.do("SELECT %q", name(i))
		}
	})
	c.do("UNSELECT")
	each("rename-µs/mailbox", "RENAME Lists Old", 0)
	s.timed("delete-ms", size, func() {
		for i := range size {
			c.do("DELETE %q", "Old"+strings.TrimPrefix(name(i), "Lists"))
		}
	})
}

// BenchmarkCommand is the server's share of two commands in a mailbox of 5,000 messages; the client's is in it too.
func BenchmarkCommand(b *testing.B) {
	for name, run := range map[string]func(c *client, i int){
		"STORE of 100": func(c *client, i int) {
			first := 1 + i*100%4900
			c.do("STORE %d:%d %sFLAGS (\\Flagged)", first, first+99, []string{"+", "-"}[i/49%2])
		},
		"FETCH BODYSTRUCTURE": func(c *client, _ int) { c.do("FETCH 1:* BODYSTRUCTURE") },
	} {
		b.Run(name, func(b *testing.B) {
			s := newSite(b)
			s.fill(5000, 0)
			c := s.login()
			defer c.close()
			c.do("SELECT INBOX")
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				run(c, i)
			}
		})
	}
}
