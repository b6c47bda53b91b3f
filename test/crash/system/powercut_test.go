package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/test/crash"
	"github.com/postrider/postrider/test/crash/ledger"
	"github.com/postrider/postrider/test/crash/order"
	"github.com/postrider/postrider/test/needs"
)

// TestPowerCut cuts the power at many instants of a run and has the server recover what is then on the disk: every message
// acknowledged by then is in its mailbox once, byte for byte, appended ones under their UID, with the keywords that were
// acknowledged; the store's invariants hold. A build that lacks a sync loses something.
//
// CRASH_SECONDS sets the number of cuts.
func TestPowerCut(t *testing.T) {
	for _, v := range variants {
		t.Run("tag="+v.tag, func(t *testing.T) {
			n := 14
			if v.tag == "" {
				n = cuts(t)
			}
			report := powerCuts(t, traced(t, v.tag, load), n)
			if v.tag == "" {
				if err := report.Err(); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(report.Losses) == 0 {
				t.Errorf("nothing is lost though a sync is missing: %s", report)
			}
		})
	}
}

// TestPowerCutFirstStart cuts the power while the data directory is being made, and just after the first acknowledgement:
// the next start makes the rest. (A power cut used to leave a certificate without its key, and no start ever after.)
func TestPowerCutFirstStart(t *testing.T) {
	run := traced(t, "", func(addr map[string]string, book *ledger.Book) error {
		c, err := DialSMTP(addr["smtp"])
		if err != nil {
			return err
		}
		defer c.Close()
		acks, err := c.Send(Mail{Token: "the-first-message", To: accounts[:1], Size: 500})
		if err == nil {
			book.Add(acks[0])
		}
		return err
	})
	if err := powerCuts(t, run, cuts(t)).Err(); err != nil {
		t.Fatal(err)
	}
}

// TestPowerCutWhileRecovering cuts the power while a start delivers what an earlier crash left in the journal: the start after
// that delivers the rest, and nothing a second time.
func TestPowerCutWhileRecovering(t *testing.T) {
	needs.Quick(t, "strace")
	needs.Program(t, "strace")
	dir := realDir(t)
	s := Server{Bin: build(t, ""), Dir: filepath.Join(dir, "data"), Accounts: accounts}
	p := started(t, s)
	stop, err := Inject(p, "pwrite64", "error=ENOSPC") // the database has no room: everything stays in the journal
	if err != nil {
		t.Fatal(err)
	}
	var before []string
	c, err := DialSMTP(p.Addr["smtp"])
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		acks, err := c.Send(Mail{Token: fmt.Sprintf("before-%02d-end", i), Size: 1000 + 500*i, To: accounts[:1+i%2]})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range acks {
			before = append(before, a.ID)
		}
	}
	p.Kill()
	stop()
	initial := filepath.Join(dir, "initial")
	err = os.RemoveAll(filepath.Join(s.Dir, "run")) // sockets
	if err := errors.Join(err, os.CopyFS(initial, os.DirFS(s.Dir))); err != nil {
		t.Fatal(err)
	}
	run := tracedIn(t, s, initial, func(addr map[string]string, book *ledger.Book) error {
		if err := (&Process{Addr: addr}).Quiet(t.Context()); err != nil {
			return err
		}
		return deliver(addr["smtp"], 0, book)
	})
	run.System.List = alsoOwed(run.System.List, before)
	if err := powerCuts(t, run, cuts(t)).Err(); err != nil {
		t.Fatal(err)
	}
}

// cuts is the number of power cuts of one test: CRASH_CUTS, else two in five seconds of CRASH_SECONDS.
func cuts(t *testing.T) int {
	if n := needs.Count(t, "CRASH_CUTS", 0); n > 0 {
		return n
	}
	return max(10, int(needs.Duration(t, "CRASH_SECONDS", time.Minute).Seconds())*2/5)
}

func powerCuts(t *testing.T, run *crash.Run, n int) *crash.CutReport {
	t.Helper()
	report, err := run.PowerCuts(crash.Plan{Cuts: n, Seed: uint64(time.Now().UnixNano()), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	return report
}

// underTest is the server as the crash tools see it.
func underTest(s Server) crash.System {
	pack := order.Promise{Name: "pack", Files: func(p string) bool { return strings.HasSuffix(p, ".pack") }}
	wal := order.Promise{Name: "wal", Files: func(p string) bool { return p == "store.db-wal" }, WAL: true}
	since := wal
	since.Since = true
	return crash.System{
		Root: s.Dir,
		Rules: map[string][]order.Promise{"250": {pack}, "APPENDUID": {pack, wal}, "STORE": {wal}, "CREATE": {wal}, "RENAME": {wal},
			"COPY": {since}, "MOVE": {since}, "EXPUNGE": {since}, "DELETE": {since}, "COMPACT": {since}},
		List: func(dirs []string) ([]crash.Listing, error) {
			out := make([]crash.Listing, len(dirs))
			next := make(chan int)
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					for i := range next {
						s := s
						s.Dir = dirs[i]
						out[i] = listing(context.Background(), s)
					}
				})
			}
			for i := range dirs {
				next <- i
			}
			close(next)
			wg.Wait()
			return out, nil
		},
	}
}

// copied begins the token of a message that is in several places on purpose.
const copied = "copied-"

// listing recovers a directory and names what is there: each mailbox; each message as account/token, so that one that is
// there twice is seen; one that a client put there by its place too; and every keyword.
func listing(ctx context.Context, s Server) (l crash.Listing) {
	found, mailboxes, err := recovered(ctx, s)
	l.Err = err
	for _, name := range mailboxes {
		l.IDs = append(l.IDs, "mailbox "+name)
	}
	for _, f := range found {
		if f.Err != nil {
			l.Err = errors.Join(l.Err, fmt.Errorf("%s: %w", f.Place, f.Err))
			continue
		}
		if !strings.HasPrefix(f.Token, copied) {
			l.IDs = append(l.IDs, f.Account+"/"+f.Token)
		}
		if !f.Delivered {
			l.IDs = append(l.IDs, appended(f.Account, f.Mailbox, f.UID, f.Token))
		}
		for _, flag := range f.Flags {
			if strings.HasPrefix(flag, "kw-") {
				l.IDs = append(l.IDs, f.Account+"/"+flag)
			}
		}
	}
	return l
}
