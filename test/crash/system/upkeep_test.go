package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/test/crash"
	"github.com/postrider/postrider/test/crash/ledger"
	"github.com/postrider/postrider/test/needs"
)

// TestOrderOfUpkeep: compaction has the bytes and the name of a new pack on the disk before a reference leads there, the sweep
// removes no file before the database says so durably, nor earlier than a day after the pack was condemned. Builds without
// one of the two syncs are found out.
func TestOrderOfUpkeep(t *testing.T) {
	for _, v := range []variant{{"", ""}, {"nosync_packdir", "whose name"}, {"nosync_copies", "are not synced"}} {
		t.Run("tag="+v.tag, func(t *testing.T) {
			run := tracedUpkeep(t, v.tag)
			below := judgeStorage(t, run)
			t.Log(below)
			if v.order != "" {
				if !strings.Contains(below.String(), v.order) {
					t.Errorf("the missing sync is not seen: %s", below)
				}
				return
			}
			if len(below.Faults) > 0 || below.Unlinked == 0 || below.Database.Checkpoints == 0 {
				t.Errorf("%s", below)
			}
			report, err := run.Order()
			if err == nil {
				err = report.Err()
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Log(report)
		})
	}
}

// TestPowerCutUpkeep cuts the power at many instants of a run in which packs are compacted, condemned and deleted while mail
// comes in, is filed and expunged. CRASH_SECONDS or CRASH_CUTS sets the number of cuts.
func TestPowerCutUpkeep(t *testing.T) {
	for _, tag := range []string{"", "nosync_copies"} {
		t.Run("tag="+tag, func(t *testing.T) {
			n := 14
			if tag == "" {
				n = cuts(t)
			}
			report := powerCuts(t, tracedUpkeep(t, tag), n)
			if tag == "" {
				if err := report.Err(); err != nil {
					t.Fatal(err)
				}
			} else if len(report.Losses) == 0 {
				t.Errorf("nothing is lost though a sync is missing: %s", report)
			}
		})
	}
}

// tracedUpkeep runs a server that already has packs: some condemned a day ago, some with little left in them. It compacts and
// sweeps while clients work, and after them. What was acknowledged before the trace is owed after each cut too.
func tracedUpkeep(t *testing.T, tag string) *crash.Run {
	t.Helper()
	dir := realDir(t)
	s := Server{Bin: build(t, tag), Dir: filepath.Join(dir, "data"), Accounts: accounts, Pack: 48 << 10, Fill: -1, Checkpoint: 64 << 10,
		Sets: []string{`store.keep_expunged = "1h"`, rewriting(t)}}
	before := past(t, s)
	initial := filepath.Join(dir, "initial")
	err := os.RemoveAll(filepath.Join(s.Dir, "run")) // sockets
	if err := errors.Join(err, os.CopyFS(initial, os.DirFS(s.Dir))); err != nil {
		t.Fatal(err)
	}
	s.Ahead = 25 * time.Hour
	run := tracedIn(t, s, initial, func(addr map[string]string, book *ledger.Book) error {
		done := make(chan error, 3)
		go func() { done <- deliver(addr["smtp"], 11, book) }()
		go func() { done <- filing(addr["imaps"], accounts[1], book) }()
		go func() { done <- compactSome(s) }()
		if err := errors.Join(<-done, <-done, <-done); err != nil {
			return err
		}
		if err := (&Process{Addr: addr}).Quiet(t.Context()); err != nil {
			return err
		}
		return compactSome(s)
	})
	run.System.List = alsoOwed(run.System.List, before)
	return run
}

// compactSome is two rounds of upkeep: what the first condemns is old enough to go in the next run only.
func compactSome(s Server) error {
	for range 2 {
		if _, err := Upkeep(context.Background(), s.Dir); err != nil {
			return fmt.Errorf("upkeep: %w", err)
		}
	}
	return nil
}

// past makes the packs, and returns what is owed from then on. It also sees that 23 hours are too short for a pack to go.
func past(t *testing.T, s Server) (ids []string) {
	t.Helper()
	var book ledger.Book
	p := started(t, s)
	for i := range 3 {
		if err := deliver(p.Addr["smtp"], i+8, &book); err != nil {
			t.Fatal(err)
		}
	}
	if err := filing(p.Addr["imaps"], accounts[0], &book); err != nil {
		t.Fatal(err)
	}
	if err := p.Quiet(t.Context()); err != nil {
		t.Fatal(err)
	}
	sum, err := Upkeep(t.Context(), s.Dir)
	if err := errors.Join(err, p.Stop()); err != nil {
		t.Fatal(err)
	}
	s.Ahead = 23 * time.Hour
	p = started(t, s)
	early, err := Upkeep(t.Context(), s.Dir)
	if err := errors.Join(err, p.Stop()); err != nil {
		t.Fatal(err)
	}
	if sum.Compacted == 0 || sum.Condemned == 0 || early.Deleted > 0 {
		t.Fatalf("upkeep, and 23 hours later: %+v, %+v", sum, early)
	}
	gone := map[string]bool{}
	for _, a := range book.Acks() {
		gone[a.ID] = gone[a.ID] || a.Gone
	}
	for _, a := range book.Acks() {
		if !gone[a.ID] {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// TestDeletionMeetsError: a condemned pack's file cannot be removed. The pack is deleted all the same, as far as anybody can
// tell, and the next start removes the file; nothing else is lost.
func TestDeletionMeetsError(t *testing.T) {
	needs.Quick(t, "strace")
	needs.Program(t, "strace")
	s := Server{Bin: build(t, ""), Dir: filepath.Join(realDir(t), "data"), Accounts: accounts, Pack: 48 << 10, Fill: -1}
	ids := past(t, s)
	s.Ahead = 25 * time.Hour
	p := started(t, s)
	before := packsThere(s.Dir)
	stop, err := Inject(p, "unlinkat,unlink", "error=EIO", before...)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := Upkeep(t.Context(), s.Dir)
	stop()
	if err == nil {
		t.Fatal("nobody was told")
	}
	var stayed []string
	for _, name := range before {
		if strings.Contains(err.Error(), name) {
			stayed = append(stayed, name)
		}
	}
	t.Logf("deleted %d, stayed %d of %d", sum.Deleted, len(stayed), len(before))
	p.Kill()
	p = started(t, s)
	for _, name := range stayed {
		if slices.Contains(packsThere(s.Dir), name) {
			t.Errorf("%s is still there after the next start", name)
		}
	}
	if len(stayed) == 0 {
		t.Error("no file was told to have stayed")
	}
	if sum, err = Upkeep(t.Context(), s.Dir); err != nil {
		t.Errorf("the next start's upkeep: %+v, %v", sum, err)
	}
	if after := packsThere(s.Dir); len(after) >= len(before) {
		t.Errorf("%d packs, %d before", len(after), len(before))
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	list, err := alsoOwed(underTest(s).List, ids)([]string{s.Dir})
	if err == nil {
		err = list[0].Err
	}
	if err != nil {
		t.Error(err)
	}
}

// alsoOwed is a list that wants these too.
func alsoOwed(list func([]string) ([]crash.Listing, error), ids []string) func([]string) ([]crash.Listing, error) {
	return func(dirs []string) ([]crash.Listing, error) {
		out, err := list(dirs)
		for i := range out {
			for _, id := range ids {
				if !slices.Contains(out[i].IDs, id) {
					out[i].Err = errors.Join(out[i].Err, fmt.Errorf("%s, acknowledged before the trace, is not there", id))
				}
			}
		}
		return out, err
	}
}
