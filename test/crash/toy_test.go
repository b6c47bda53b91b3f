package crash_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
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

const (
	sessions = 8
	messages = 10 // of each session
)

// TestToy is the test of the proofs: the honest toy passes both, and each build
// that lacks a sync, or does not wait for it, fails both.
func TestToy(t *testing.T) {
	needs.Quick(t, "strace makes the toy slow")
	needs.Program(t, "strace")
	for _, v := range []struct {
		tag   string
		order string // what the order proof must say; "" = proven
	}{
		{"", ""},
		{"nosync_pack", ": pack: write of"},
		{"nowait_pack", ": pack: write of"},
		{"nosync_dir", ": pack: entry blob/"},
		{"nosync_wal", ": wal: write of"},
	} {
		t.Run("tag="+v.tag, func(t *testing.T) {
			run := traceToy(t, v.tag)
			report, err := run.Order()
			if err != nil {
				t.Fatal(err)
			}
			cuts, err := run.PowerCuts(crash.Plan{Cuts: 40, Seed: 1, Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("order: %s", report)
			t.Logf("power cuts: %s", cuts)
			if v.order == "" {
				if err := errors.Join(report.Err(), cuts.Err()); err != nil {
					t.Fatal(err)
				}
				if report.Acks != sessions*messages || report.Entries == 0 || report.Syncs == 0 {
					t.Errorf("judged too little: %s", report)
				}
				return
			}
			if !strings.Contains(report.String(), v.order) {
				t.Errorf("the order proof does not see the missing sync: %s", report)
			}
			if len(cuts.Losses) == 0 {
				t.Errorf("no power cut loses a message though a sync is missing: %s", cuts)
			}
		})
	}
}

// traceToy builds the toy with a tag, has clients send messages through it
// under strace, and loads the trace.
func traceToy(t *testing.T, tag string) *crash.Run {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	toy, root, traceFile := filepath.Join(dir, "toy"), filepath.Join(dir, "data"), filepath.Join(dir, "trace")
	build := exec.Command("go", "build", "-tags", tag, "-o", toy, "./toy")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := crash.Start(ctx, traceFile, toy, "-dir", root)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(p.Stdout).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if !ok {
		t.Fatalf("the toy says %q: %v", line, err)
	}
	var book ledger.Book
	var wg sync.WaitGroup
	errs := make([]error, sessions)
	for s := range sessions {
		wg.Go(func() { errs[s] = client(addr, s, &book) })
	}
	wg.Wait()
	if err := errors.Join(append(errs, p.Stop())...); err != nil {
		t.Fatal(err)
	}
	run, err := crash.Load(traceFile, toySystem(toy, root), book.Acks())
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// client sends messages of very different sizes, every second one as an APPEND.
func client(addr string, session int, book *ledger.Book) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	tap := &ledger.Tap{Conn: conn}
	in := bufio.NewReader(tap)
	for n := range messages {
		token := fmt.Sprintf("token-%02d-%02d-end", session, n)
		verb, kind := "PUT", "250"
		if n%2 == 1 {
			verb, kind = "APPEND", "APPENDUID"
		}
		body := bytes.Repeat([]byte("mail "), 1+(n*n*session)%1500)
		tap.Mark()
		if _, err := fmt.Fprintf(tap, "%s %s %d\r\n%s", verb, token, len(body), body); err != nil {
			return err
		}
		reply, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.Contains(reply, token) || !strings.Contains(reply, kind) {
			return fmt.Errorf("reply %q to %s %s", reply, verb, token)
		}
		book.Add(ledger.Ack{ID: token, Kind: kind, Marks: []string{token}, Reply: tap.Reply(1 << 10), Peer: tap.Peer()})
	}
	return nil
}

func toySystem(toy, root string) crash.System {
	pack := order.Promise{Name: "pack", Files: func(p string) bool { return strings.HasSuffix(p, ".pack") }}
	wal := order.Promise{Name: "wal", Files: func(p string) bool { return p == "store.db-wal" }, WAL: true}
	return crash.System{
		Root:  root,
		Rules: map[string][]order.Promise{"250": {pack}, "APPENDUID": {pack, wal}},
		List: func(dirs []string) ([]crash.Listing, error) {
			cmd := exec.Command(toy, append([]string{"-list"}, dirs...)...)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				return nil, err
			}
			var found []crash.Listing
			for line := range strings.Lines(string(out)) {
				l := crash.Listing{IDs: strings.Fields(line)}
				if strings.HasPrefix(line, "!") {
					l = crash.Listing{Err: errors.New(strings.TrimSpace(line))}
				}
				found = append(found, l)
			}
			return found, nil
		},
	}
}
