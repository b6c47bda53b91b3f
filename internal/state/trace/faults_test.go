package trace

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/vfs"
)

// Whatever operation of the disk fails, once: mail goes on, every line is either found or counted as lost, and what comes later is
// written again.
func TestEveryFailingOperation(t *testing.T) {
	for at := int64(1); ; at++ {
		var failed atomic.Bool
		synctest.Test(t, func(t *testing.T) {
			disk := vfs.NewMem()
			var armed atomic.Bool
			armed.Store(true)
			i := int64(0) // the writer's own
			fsys := vfs.NewFaulty(disk, func(_ int64, op vfs.Op, name string) error {
				if op == vfs.OpReadDir || op == vfs.OpStat { // of looking after old segments, once a minute
					return nil
				}
				if i++; armed.Load() && i == at {
					failed.Store(true)
					return errors.New("the disk says no")
				}
				return nil
			})
			tr := open(fsys, 1, generous)
			const many = 4
			for i := range many {
				tr.Emit(obs.Removed{ID: queueid.New(int64(i+1)*1_000_000, 1)})
				time.Sleep(20 * time.Minute) // so that segments end, too
			}
			armed.Store(false)
			last := queueid.New(99_000_000, 1)
			tr.Emit(obs.Removed{ID: last})
			tr.Flush()
			tr.Emit(obs.Removed{ID: last}) // the word of a loss comes with the next block
			tr.Close()
			found, lost := 0, 0
			for _, r := range newScan(t, disk) {
				switch r.Event {
				case "removed":
					found++
				case "lost":
					n := 0
					if _, err := fmt.Sscanf(string(r.Raw[strings.Index(string(r.Raw), `"lines":`):]), `"lines":%d`, &n); err != nil {
						t.Error(err)
					}
					lost += n
				}
			}
			if found+lost != many+2 || lost > 1 {
				t.Errorf("operation %d: %d lines are found, %d said to be lost", at, found, lost)
			}
		})
		if !failed.Load() {
			break
		}
	}
}

// A disk that hangs costs memory up to a bound, and then lines; nobody waits for it.
func TestHangingDiskIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		disk := vfs.NewMem()
		tr := open(vfs.NewFaulty(disk, func(i int64, op vfs.Op, name string) error {
			<-release
			return nil
		}), 1, generous)
		text := strings.Repeat("x", 10_000)
		const many = 2000
		for range many {
			tr.Emit(obs.Rejected{Peer: peer("smtp-1", "192.0.2.1"), Command: "RCPT", From: text})
		}
		tr.mu.Lock()
		waiting, lost := len(tr.block.text)+len(tr.full)*largest, tr.lost.Load()
		tr.mu.Unlock()
		if lost == 0 || waiting > (behind+1)*largest {
			t.Errorf("%d bytes wait, %d lines are lost", waiting, lost)
		}
		close(release)
		tr.Close()
		if n := len(newScan(t, disk)); n != many-int(lost)+1 {
			t.Errorf("%d lines of %d, %d lost", n, many, lost)
		}
	})
}

// A full disk takes names of files, but nothing into them: hours of that leave no segments.
func TestFullDiskLeavesNoEmptySegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := vfs.NewMem()
		tr := open(vfs.NewFaulty(disk, func(_ int64, op vfs.Op, _ string) error {
			if op == vfs.OpWrite {
				return errors.New("no space left on device")
			}
			return nil
		}), 1, generous)
		for range 100 {
			tr.Emit(obs.Removed{ID: queueid.New(1, 1)})
			time.Sleep(10 * time.Second)
		}
		tr.Close()
		if list, err := segments(disk, folder); len(list) > 0 || err != nil {
			t.Errorf("%d segments, %v", len(list), err)
		}
	})
}
