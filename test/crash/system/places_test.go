package system

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/test/needs"
)

// place is a kind of file, and a kind of call on it that fails.
type place struct {
	name  string
	files func(dir string) []string
	calls string
	fault string // of strace: EIO, ENOSPC, EROFS
	fatal bool   // the server ends; else it refuses for a while and goes on
	quiet bool   // nobody is refused: it is put off
}

// places are every kind of file of the data directory with every kind of call that writes, makes or syncs it.
var places = func() (list []place) {
	for _, p := range []struct {
		name  string
		files func(string) []string
		write string // fatal with EIO, and only then
		sync  string // fatal with any error
	}{
		{"pack", packsThere, "pwritev,pwritev2", "fdatasync"},
		{"new pack", packsToCome, "openat", ""},
		{"new pack's header, large message", packsToCome, "pwrite64", "fdatasync"},
		{"folder of packs", folder, "", "fsync"},
		{"log", named("store.db-wal"), "pwrite64", "fsync"},
		{"database, at a checkpoint", named("store.db"), "pwrite64", "fsync"},
	} {
		if p.write != "" {
			list = append(list, place{p.name, p.files, p.write, "EIO", true, false},
				place{p.name, p.files, p.write, "ENOSPC", false, strings.HasSuffix(p.name, "checkpoint")})
		}
		if p.write != "" && strings.Contains(p.name, "pack") { // SQLite's read-only file system: TestDiskReadOnly
			list = append(list, place{p.name, p.files, p.write, "EROFS", false, false})
		}
		if p.sync != "" {
			list = append(list, place{p.name, p.files, p.sync, "EIO", true, false}, place{p.name, p.files, p.sync, "ENOSPC", true, false})
		}
	}
	return list
}()

func named(name string) func(string) []string {
	return func(dir string) []string { return []string{filepath.Join(dir, name)} }
}

func folder(dir string) []string { return []string{filepath.Join(dir, "packs")} }

func packsThere(dir string) []string {
	list, _ := filepath.Glob(filepath.Join(dir, "packs", "*.pack")) // its pattern is sound
	return list
}

func packsToCome(dir string) (list []string) {
	there := packsThere(dir)
	last := 0
	_, _ = fmt.Sscanf(filepath.Base(there[len(there)-1]), "%d.pack", &last) // 0: all numbers
	for n := range 40 {
		list = append(list, filepath.Join(dir, "packs", fmt.Sprintf("%010d.pack", last+1+n)))
	}
	return list
}

// TestInjectedErrors: an error at one kind of call on one kind of file, from some moment on, while mail comes in, is filed and
// compacted. A failed sync, or EIO, ends the server with a non-zero code and nothing that needed the file is acknowledged
// from then on; no space and a read-only file are answered for now, and when they are over the server goes on. In both cases
// everything acknowledged is there once, whole, at the next start.
func TestInjectedErrors(t *testing.T) {
	needs.Quick(t, "strace")
	needs.Program(t, "strace")
	for _, at := range places {
		t.Run(fmt.Sprintf("%s/%s/%s", at.name, at.calls, at.fault), func(t *testing.T) {
			s := Server{Bin: build(t, ""), Dir: filepath.Join(realDir(t), "data"), Accounts: accounts, Pack: 48 << 10, Fill: -1, Checkpoint: 64 << 10,
				Sets: []string{`mta.retry = ["1s"]`}}
			p := started(t, s)
			var w press
			if err := w.some(p, "before", 6); err != nil {
				t.Fatal(err)
			}
			stop, err := Inject(p, at.calls, "error="+at.fault, at.files(s.Dir)...)
			if err != nil {
				t.Fatal(err)
			}
			refused := w.until(p, s)
			stop()
			if (refused == nil) != at.quiet {
				t.Errorf("refused: %v", refused)
			}
			ended := false
			select {
			case <-p.done:
				ended = true
			case <-time.After(map[bool]time.Duration{true: patience, false: 100 * time.Millisecond}[at.fatal]):
			}
			t.Logf("ended: %t; acknowledged under it: %d; first answer: %v", ended, w.during, refused)
			if at.fatal && refused != nil && strings.Contains(refused.Error(), "Insufficient system storage") {
				t.Errorf("the first error is answered as if there were no room: %v", refused)
			}
			if ended != at.fatal {
				t.Errorf("the server ended: %t", ended)
			}
			appended := 0
			for _, token := range w.acked[len(w.acked)-w.during:] {
				if strings.HasPrefix(token, "appended-") {
					appended++
				}
			}
			if at.fatal && (at.name == "pack" && w.during > 0 || at.name == "log" && appended > 0) {
				t.Errorf("acknowledged though every such call failed: %v", w.acked[len(w.acked)-w.during:])
			}
			if ended && p.err == nil {
				t.Error("the server ended with code 0")
			}
			if !ended {
				again(t, p, &w.acked)
				if err := p.Stop(); err != nil {
					t.Error(err)
				}
			}
			found, err := Recover(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			owed(t, found, w.acked)
		})
	}
}

// press is a client that does all there is to do, one thing after the other.
type press struct {
	acked  []string // tokens in alice's mailboxes
	n      int
	during int
}

// some sends, appends and stores n times.
func (w *press) some(p *Process, name string, n int) error {
	c, err := DialIMAP(p.Addr["imaps"], "alice")
	if err != nil {
		return err
	}
	defer c.Close()
	var errs []error
	for range n {
		w.n++
		size := 2000 * (1 + w.n%5)
		if w.n%3 == 2 {
			size = large
		}
		token := fmt.Sprintf("%s-%d-end", name, w.n)
		smtp, err := DialSMTP(p.Addr["smtp"])
		if err == nil {
			_, err = smtp.Send(Mail{Token: token, Size: size, To: accounts[:1]})
			smtp.Close()
		}
		if err == nil {
			w.acked = append(w.acked, token)
		}
		uid, err2 := c.Append("Archive", "", Make("appended-"+token, size/2))
		if err2 == nil {
			w.acked = append(w.acked, "appended-"+token)
			_, err2 = c.Do("SELECT Archive")
		}
		if err2 == nil {
			_, err2 = c.Do(fmt.Sprintf(`UID STORE %d +FLAGS (\Flagged)`, uid))
		}
		errs = append(errs, err, err2)
	}
	return errors.Join(errs...)
}

// until goes on, compacting too, until something is refused or the server is gone, and then for a while. It returns the first
// answer that was no acknowledgement.
func (w *press) until(p *Process, s Server) (first error) {
	before := len(w.acked)
	for round := 0; round < 25; round++ {
		select {
		case <-p.done:
			w.during = len(w.acked) - before
			return first
		default:
		}
		err := w.some(p, "during", 1)
		if round%4 == 1 {
			ctx, cancel := shortly()
			_, uerr := Upkeep(ctx, s.Dir)
			cancel()
			err = errors.Join(err, uerr)
		}
		if err != nil && first == nil {
			first = fmt.Errorf("%s", strings.ReplaceAll(err.Error(), "\n", " | "))
			round = max(round, 19)
		}
	}
	w.during = len(w.acked) - before
	return first
}
