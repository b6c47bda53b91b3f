package db_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
)

const (
	endSessions  = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'postrider' AND pid <> pg_backend_pid()"
	ownSession   = "SELECT pg_terminate_backend(pg_backend_pid())"
	unavailable  = 451
	fatalFailure = 421
)

func code(err error) int {
	var e *status.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// A session that ends takes the transaction with it: everybody in the batch is told so, and the next batch connects again.
func testSessionLost(t *testing.T, server string) {
	fatal := func(err error) { t.Errorf("fatal: %v", err) }
	d := closed(t)(db.OpenPostgres(t.Context(), dbtest.NewSchema(t, server), db.Options{Schema: dbtest.Schema, Fatal: fatal}))
	if err := d.Write(t.Context(), put(1, 10)); err != nil {
		t.Fatal(err)
	}
	held, gate := make(chan struct{}), make(chan struct{})
	if err := d.Submit(t.Context(), func(*db.Tx) error { close(held); <-gate; return nil }, nil); err != nil {
		t.Fatal(err)
	}
	<-held
	answers := make(chan error, 3)
	for _, fn := range []func(*db.Tx) error{
		put(2, 10),
		func(tx *db.Tx) error { _, err := tx.Exec(ownSession); return err },
		put(3, 10),
	} {
		if err := d.Submit(t.Context(), fn, func(err error) { answers <- err }); err != nil {
			t.Fatal(err)
		}
	}
	close(gate)
	for i := range 2 {
		if err := <-answers; code(err) != unavailable {
			t.Errorf("function %d: %v", i, err)
		}
	}
	if err := <-answers; err != nil {
		t.Errorf("after the loss: %v", err)
	}
	if n := count(t, d); n != 2 {
		t.Errorf("%d rows", n)
	}
	// Idle sessions, the writer's and the readers', end: nobody notices.
	dbtest.Command(t, server, endSessions)
	if n := count(t, d); n != 2 {
		t.Errorf("%d rows", n)
	}
	if err := d.Write(t.Context(), put(4, 10)); err != nil {
		t.Error(err)
	}
}

// Two servers do not have one database, also not one after the other without the first noticing.
func testOneServer(t *testing.T, server string) {
	url := dbtest.NewSchema(t, server)
	fatal := make(chan error, 1)
	first, err := db.OpenPostgres(t.Context(), url, db.Options{Schema: dbtest.Schema, Fatal: func(err error) { fatal <- err }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.OpenPostgres(t.Context(), url+"&lock_timeout=1", db.Options{Schema: dbtest.Schema}); !errors.Is(err, db.ErrInUse) {
		t.Errorf("a second server: %v", err)
	}
	if err := first.Write(t.Context(), put(1, 1)); err != nil {
		t.Error(err)
	}
	dbtest.Command(t, server, endSessions)
	second, err := db.OpenPostgres(t.Context(), url, db.Options{Schema: dbtest.Schema})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if err = first.Write(t.Context(), put(2, 1)); code(err) != fatalFailure || !errors.Is(<-fatal, db.ErrInUse) {
		t.Errorf("write of the first: %v", err)
	}
	if err := first.Close(); code(err) != fatalFailure {
		t.Errorf("close of the first: %v", err)
	}
}

// The answer to COMMIT is lost. What is told afterwards is what happened.
func testCommitAnswerLost(t *testing.T, server string) {
	for _, c := range []struct {
		name      string
		delivered bool // the COMMIT reaches the server
	}{{"before the server", false}, {"after the server", true}} {
		t.Run(c.name, func(t *testing.T) {
			p := newProxy(t, server, c.delivered)
			d := closed(t)(db.OpenPostgres(t.Context(), dbtest.NewSchema(t, p.url), db.Options{Schema: dbtest.Schema}))
			if err := d.Write(t.Context(), put(1, 10)); err != nil {
				t.Fatal(err)
			}
			p.armed.Store(true)
			err := d.Write(t.Context(), put(2, 10))
			if c.delivered && err != nil || !c.delivered && code(err) != unavailable {
				t.Errorf("the write: %v", err)
			}
			if p.armed.Load() {
				t.Error("no COMMIT was seen")
			}
			want := 1
			if c.delivered {
				want = 2
			}
			if n := count(t, d); n != want {
				t.Errorf("%d rows", n)
			}
			if err := d.Write(t.Context(), put(3, 10)); err != nil {
				t.Error(err)
			}
		})
	}
}

// The server is gone with the answer to COMMIT, and stays away: nothing is told that is not known, and the process is to end.
func testCommitUnknown(t *testing.T, server string) {
	p := newProxy(t, server, true)
	calls := 0
	d, err := db.OpenPostgres(t.Context(), dbtest.NewSchema(t, p.url), db.Options{Schema: dbtest.Schema, Fatal: func(error) { calls++ }})
	if err != nil {
		t.Fatal(err)
	}
	d.Hasty()
	p.armed.Store(true)
	p.away.Store(true)
	for range 2 {
		if err := d.Write(t.Context(), put(1, 10)); code(err) != fatalFailure {
			t.Errorf("the write: %v", err)
		}
	}
	if err := d.Read(t.Context(), func(*db.Tx) error { return nil }); code(err) != fatalFailure || calls != 1 {
		t.Errorf("a read: %v, %d calls", err, calls)
	}
	if err := d.Close(); code(err) != fatalFailure {
		t.Errorf("close: %v", err)
	}
}

// proxy stands between client and server and, armed, cuts the connection at the next COMMIT.
type proxy struct {
	url     string
	socket  string // of the server
	deliver bool
	armed   atomic.Bool
	away    atomic.Bool // after the cut nobody gets through
}

func newProxy(t *testing.T, server string, deliver bool) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(server, "host=")
	host, _, _ := strings.Cut(after, "&")
	host = strings.ReplaceAll(host, "%2F", "/")
	p := &proxy{socket: filepath.Join(host, ".s.PGSQL.5432"), deliver: deliver,
		url: fmt.Sprintf("postgres://postrider@%s/postgres?sslmode=disable", l.Addr())}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return p
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	if p.away.Load() && !p.armed.Load() {
		return
	}
	server, err := net.Dial("unix", p.socket)
	if err != nil {
		return
	}
	defer server.Close()
	var cut atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer client.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil || cut.Load() { // the answer to COMMIT: it has happened
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			break
		}
		if bytes.Contains(buf[:n], []byte("COMMIT\x00")) && p.armed.CompareAndSwap(true, false) {
			cut.Store(true)
			if !p.deliver {
				break
			}
		}
		if _, err := server.Write(buf[:n]); err != nil {
			break
		}
	}
	server.Close()
	<-done
}

// Sessions end all the time while many write. Whoever was told yes is there, whoever was told no is not.
func testSessionsEnd(t *testing.T, server string) {
	const writers, each = 8, 60
	url := dbtest.NewSchema(t, server)
	d := closed(t)(db.OpenPostgres(t.Context(), url, db.Options{Schema: dbtest.Schema}))
	var told [writers * each]bool
	var yes atomic.Int64
	var wg sync.WaitGroup
	progress := make(chan struct{}, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				id := w*each + i
				err := d.Write(t.Context(), put(int64(id), 100))
				if told[id] = err == nil; told[id] {
					yes.Add(1)
					select {
					case progress <- struct{}{}:
					default:
					}
					continue
				}
				if code(err) != unavailable {
					t.Errorf("write %d: %v", id, err)
				}
				time.Sleep(5 * time.Millisecond) // as a client that tries again later
			}
		})
	}
	go func() { wg.Wait(); close(progress) }()
	for n := 0; ; n++ {
		if _, more := <-progress; !more {
			break
		}
		if n%5 == 0 {
			dbtest.Command(t, server, endSessions)
		}
	}
	t.Logf("%d told yes of %d, in %d commits", yes.Load(), len(told), d.Stats().Commits)
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		rows := tx.Query("SELECT id FROM thing")
		for rows.Next() {
			if id := rows.Int(0); !told[id] {
				t.Errorf("%d is there, and its writer was told no", id)
			}
			yes.Add(-1)
		}
		return rows.Err()
	})
	if err != nil || yes.Load() != 0 {
		t.Errorf("%d acknowledged are not there (%v)", yes.Load(), err)
	}
}
