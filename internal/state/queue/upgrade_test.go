package queue

import (
	"io/fs"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/schema"
)

// schemaUntil returns the migrations up to a name.
func schemaUntil(t *testing.T, last string) fs.FS {
	t.Helper()
	names, err := fs.Glob(schema.Store, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	old := fstest.MapFS{}
	for _, name := range names {
		b, err := fs.ReadFile(schema.Store, name)
		if err != nil {
			t.Fatal(err)
		}
		if name <= last {
			old[name] = &fstest.MapFile{Data: b}
		}
	}
	return old
}

// A queue that the version before the window (migration 0014) has left is all there, and is delivered.
func TestUpgradeOfTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(nil)
		w.t = t
		place := dbtest.Place(t)
		old, err := place(t.Context(), db.Options{Schema: schemaUntil(t, "0013_remembered.sql")})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		type row struct {
			state  State
			from   address.Address
			reply  string
			domain string
			next   time.Duration
			shown  string
		}
		sender := address.Address{Local: "s", Domain: "x.example"}
		rows := []row{
			{Queued, sender, "", "a.example", -time.Minute, "deferred"},
			{Hold, sender, "", "b.example", -time.Minute, "hold"},
			{Queued, sender, "450 4.2.0 later", "c.example", time.Hour, "deferred"},
			{Queued, address.Address{}, "451 4.3.0 busy", "d.example", time.Hour, "deferred"}, // a bounce
			{Corrupt, sender, "", "e.example", -time.Minute, "corrupt"},
		}
		var jobs []*flow.Job
		for i, r := range rows {
			two := remoteTo("second." + r.domain)
			two.No = 1
			j := &flow.Job{ID: w.ids.Next(), Received: now.Add(-time.Hour), From: r.from, Message: recipe.Whole(flow.Self), Recipients: []flow.Recipient{remoteTo(r.domain), two}}
			j.Bind(recipe.BlobRef{Pack: 7, Offset: int64(i), Length: 100})
			jobs = append(jobs, j)
			if err := old.Write(t.Context(), func(tx *db.Tx) error {
				if _, err := tx.Exec("INSERT INTO job (queue_id, state, pack, size, received, expires, body) VALUES (?, ?, ?, ?, ?, ?, ?)", j.ID[:], int64(r.state), 7, 100,
					j.Received.UnixMicro(), now.Add(48*time.Hour).UnixMicro(), flow.AppendJob(nil, j)); err != nil {
					return err
				}
				for no := range j.Recipients {
					attempts, last, status := 0, int64(0), ""
					if r.reply != "" {
						attempts, last, status = 3, now.Add(-time.Minute).UnixMicro(), "4.2.0"
					}
					if _, err := tx.Exec(`INSERT INTO job_recipient (queue_id, recipient_no, transport, route, attempts, next_attempt, last_at, last_status, last_relay,
						last_reply) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, j.ID[:], no, uint8(flow.SMTP), j.Recipients[no].To.Domain, attempts,
						now.Add(r.next).UnixMicro(), last, status, "mx", r.reply); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		if w.db, err = place(t.Context(), db.Options{Schema: schema.Store}); err != nil {
			t.Fatal(err)
		}
		defer w.db.Close()
		q := New(Options{DB: w.db, Journal: w, Ledger: w, Reporter: w})
		if err := q.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := q.List(t.Context())
		if err != nil || len(list) != len(rows) {
			t.Fatalf("%d jobs, %v", len(list), err)
		}
		for i, info := range list {
			r := rows[i]
			if info.State != r.shown || info.Sender != senderOf(jobs[i]) || len(info.Recipients) != 2 || info.Size != 100 {
				t.Errorf("%+v, want %+v", info, r)
			}
			if rcpt := info.Recipients[1]; rcpt.Address != "u@second."+r.domain || rcpt.Site != "second."+r.domain || rcpt.Reply != r.reply {
				t.Errorf("%+v, want %+v", rcpt, r)
			}
		}
		w.stop(q)
		q = w.start()
		pass(2 * time.Hour)
		if n := w.sent(); n != 6 {
			t.Errorf("%d recipients were sent to", n)
		}
		if n, err := q.Change(t.Context(), Filter{States: []string{"hold", "corrupt"}}, Change{Action: ActRelease}); n != 2 || err != nil {
			t.Errorf("%d released, %v", n, err)
		}
		pass(2 * time.Hour)
		w.stop(q)
		for _, j := range jobs {
			for no := range j.Recipients {
				if n := w.remote[key(j.ID, no)]; n != 1 {
					t.Errorf("%v came %d times", j.Recipients[no].To, n)
				}
			}
		}
		if w.rows("job") != 0 || w.rows("job_body") != 0 || w.rows("job_recipient") != 0 {
			t.Error("rows are left")
		}
	})
}
