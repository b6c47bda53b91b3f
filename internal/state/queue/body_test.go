package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/fault"
)

// A job without its body and a body without its job are found and told; the repair sets the one aside, where the operator sees it
// and can delete it, and removes the other.
func TestCheckFindsMissingBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ids := stored(t, w.db, w.ids, 3, time.Now().Add(time.Hour), func(int) string { return "far.example" })
		if err := w.db.Write(t.Context(), func(tx *db.Tx) error {
			if _, err := tx.Exec("DELETE FROM job_body WHERE queue_id = ?", ids[0][:]); err != nil {
				return err
			}
			if _, err := tx.Exec("DELETE FROM job_recipient WHERE queue_id = ?", ids[1][:]); err != nil {
				return err
			}
			_, err := tx.Exec("DELETE FROM job WHERE queue_id = ?", ids[1][:])
			return err
		}); err != nil {
			t.Fatal(err)
		}
		var found map[fault.Kind]fault.Fault
		check := func(repair bool) {
			t.Helper()
			found = map[fault.Kind]fault.Fault{}
			c := Checker{DB: w.db, Readable: func(context.Context, *flow.Job) error { return nil }}
			c.Repair = repair
			c.Pause = func(context.Context) error { return nil }
			c.Report = func(f fault.Fault) error { found[f.Kind] = f; return nil }
			if n, err := c.Run(t.Context()); n != 2 || err != nil {
				t.Errorf("%d jobs, %v", n, err)
			}
		}
		is := func(k fault.Kind, id queueid.ID, mended string) {
			t.Helper()
			if f := found[k]; f.QueueID != id.String() || f.Mended != mended || f.Note {
				t.Errorf("%+v", found)
			}
		}
		check(false)
		is(fault.JobUnreadable, ids[0], "")
		is(fault.BodyNoJob, ids[1], "")
		check(true)
		is(fault.JobUnreadable, ids[0], "set aside as corrupt")
		is(fault.BodyNoJob, ids[1], "removed")
		check(false)
		if f := found[fault.JobUnreadable]; len(found) != 1 || !f.Note {
			t.Errorf("after the repair %+v", found)
		}
		q := w.start()
		if info, err := q.Info(t.Context(), ids[0]); err != nil || info.State != "corrupt" {
			t.Errorf("the operator sees %+v, %v", info, err)
		}
		if err := q.Delete(t.Context(), ids[0]); err != nil || w.rows("job") != 1 {
			t.Errorf("%v, %d left", err, w.rows("job"))
		}
		w.stop(q)
	})
}
