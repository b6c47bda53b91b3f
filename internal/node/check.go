package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/state/fault"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/internal/vfs"
)

// asideFolder takes files of the pack folder that nothing knows.
const asideFolder = "set-aside"

// checker composes the checks of the parts, and compares the parts with each other. It reads beside whatever else goes on:
// no transaction is long, and with a server running it works at most half of the time.
type checker struct {
	query   admin.CheckQuery
	each    func(admin.CheckEvent) error
	now     func() time.Time
	dir     string // data directory
	db      *db.DB
	reader  *blob.Reader
	catalog *blob.DBCatalog
	store   *mailstore.Store
	people  *directory.Directory
	queue   *queue.Queue // nil: no server runs
	journal *blob.Store  // nil: no server runs

	owner   blob.Installation
	names   map[int64]string // addresses by account
	sound   []blob.Row       // packs that can be read
	sum     admin.CheckSummary
	stage   string
	done    int64
	total   int64
	told    time.Time // when progress was last told
	resumed time.Time // when the last pause ended
	oldest  int64     // time in the ids of unsettled records, the least; microseconds
}

func (a *api) Check(ctx context.Context, q admin.CheckQuery, each func(admin.CheckEvent) error) error {
	if q.Rebuild {
		return admin.Errorf(admin.InUse, "the server runs, so its database is there; stop it first to have it made anew")
	}
	reader := blob.NewReader(vfs.OS{}, filepath.Join(a.Node.Config().DataDir, "packs"))
	k := &checker{query: q, each: each, now: a.opt.Now, dir: a.Node.Config().DataDir, db: a.db, reader: reader,
		catalog: newCatalog(a.db), store: a.store, people: a.directory, queue: a.queue, journal: a.blobs}
	err := k.run(ctx)
	if ctx.Err() != nil {
		err = admin.Errorf(admin.Unavailable, "the check was ended before it was done")
	}
	return errors.Join(apiError(err), reader.Close())
}

func newCatalog(d *db.DB) *blob.DBCatalog {
	return blob.NewDBCatalog(d, mailstore.RefersTo, queue.RefersTo)
}

// installationOf is what the packs have of the installation's id.
func installationOf(id string) (i blob.Installation) {
	if u, err := uuid.Parse(id); err == nil {
		copy(i[:], u[:])
	}
	return i
}

// run checks everything, in an order in which a repair finds mended what it builds on.
func (k *checker) run(ctx context.Context) error {
	began := k.now()
	k.resumed = began
	if err := k.stages(ctx); err != nil {
		return err
	}
	return k.finish(began)
}

func (k *checker) stages(ctx context.Context) error {
	for _, s := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"database", k.checkDatabase}, {"packs", k.checkPacks}, {"messages", k.checkRecords}, {"queue", k.checkQueue},
		{"accounts", k.checkAccounts}, {"ledger", k.checkLedger},
	} {
		k.stage, k.done, k.total = s.name, 0, 0
		if err := k.tell(true); err != nil {
			return err
		}
		err := s.run(ctx)
		if errors.Is(err, status.ErrFatal) { // the database cannot be read here; nothing behind it can be trusted
			return k.report(fault.Fault{Kind: fault.DatabaseDamaged, Text: fmt.Sprintf("store.db (%s): %v", s.name, err)})
		}
		if err != nil {
			return fmt.Errorf("check: %s: %w", s.name, err)
		}
	}
	return nil
}

func (k *checker) finish(began time.Time) error {
	k.sum.Seconds = k.now().Sub(began).Seconds()
	k.sum.Clean = k.sum.Faults == k.sum.Mended
	return k.each(admin.CheckEvent{Summary: &k.sum})
}

// report counts a fault and sends it.
func (k *checker) report(f fault.Fault) error {
	switch {
	case f.Note:
		k.sum.Notes++
	case f.Mended != "":
		k.sum.Mended++
		fallthrough
	default:
		k.sum.Faults++
	}
	return k.each(admin.CheckEvent{Fault: &admin.Fault{Kind: string(f.Kind), Text: f.Text, Pack: f.Pack, Offset: f.Offset,
		Account: k.names[f.Account], Mailbox: f.Mailbox, UID: f.UID, QueueID: f.QueueID, Mended: f.Mended, Note: f.Note}})
}

// part is the check of one part of the state.
func (k *checker) part() fault.Check {
	return fault.Check{Repair: k.query.Repair, Report: k.report, Pause: k.pause}
}

const (
	tellEvery   = 200 * time.Millisecond
	workAtMost  = 10 * time.Millisecond  // without a pause, while a server runs
	pauseAtMost = 500 * time.Millisecond // a piece of work that took long is not paid back in full
)

// tell sends the progress, now and then.
func (k *checker) tell(always bool) error {
	now := k.now()
	if !always && now.Sub(k.told) < tellEvery {
		return nil
	}
	k.told = now
	return k.each(admin.CheckEvent{Progress: &admin.CheckProgress{Stage: k.stage, Done: k.done, Total: k.total}})
}

// pause lets mail go on: while a server runs, the check rests as long as it worked.
func (k *checker) pause(ctx context.Context) error {
	if err := k.tell(false); err != nil {
		return err
	}
	worked := k.now().Sub(k.resumed)
	if k.queue == nil || worked < workAtMost {
		return ctx.Err()
	}
	rest := time.NewTimer(min(worked, pauseAtMost))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
	}
	k.resumed = k.now()
	return ctx.Err()
}

func (k *checker) checkDatabase(ctx context.Context) error {
	people, err := k.people.ListAccounts(ctx, "")
	if err != nil {
		return err
	}
	k.names = make(map[int64]string, len(people))
	for _, a := range people {
		k.names[a.ID] = a.Address.Display()
	}
	id, _, err := k.db.LastBoot(ctx, nodeNumber)
	if err != nil {
		return err
	}
	k.owner = installationOf(id)
	return k.db.Check(ctx, k.part())
}

func (k *checker) checkPacks(ctx context.Context) error {
	c := &blob.PackCheck{Check: k.part(), Reader: k.reader, Catalog: k.catalog, Installation: k.owner,
		Aside: filepath.Join(k.dir, asideFolder), Adopt: k.adopt}
	if k.journal != nil {
		c.Busy = k.journal.Busy
		if err := k.journal.FlushSettled(ctx); err != nil { // the rows lag behind by a second
			return err
		}
	}
	return c.Run(ctx, func(r blob.Row) {
		k.sound = append(k.sound, r)
		k.sum.Packs++
	})
}

// adopt prepares the replay of a pack that the catalog did not know: of its jobs, only recipients of ours in whose
// mailboxes the message is not are served by it. To others it went out or not, nobody knows: it is not sent again.
func (k *checker) adopt(ctx context.Context, pack int64) error {
	_, err := k.reader.Scan(ctx, pack, 0, blob.Visitor{Record: func(r blob.Record) error {
		if !flow.IsJob(r.Trailer) {
			return nil
		}
		job, err := flow.DecodeJob(r.Trailer)
		if err != nil {
			return nil // shown at every start
		}
		var elsewhere []int
		for i := range job.Recipients {
			to := &job.Recipients[i]
			if to.Transport != flow.Mailbox || k.names[to.Account] == "" {
				elsewhere = append(elsewhere, to.No)
				continue
			}
			d := mailstore.Delivery{QueueID: job.ID, Recipient: to.No, Account: to.Account, Email: mailstore.NewEmail{Ref: r.Ref}}
			if _, err := k.store.MarkDelivered(ctx, &d); err != nil {
				return err
			}
		}
		return queue.MarkDone(ctx, k.db, job.ID, elsewhere)
	}})
	return err
}

func (k *checker) checkAccounts(ctx context.Context) error {
	ids, err := k.store.CheckedAccounts(ctx)
	if err != nil {
		return err
	}
	k.total = int64(len(ids))
	have := map[int64]bool{}
	for _, id := range ids {
		have[id] = true
		if k.names[id] == "" {
			if err := k.report(fault.Fault{Kind: fault.AccountUnknown, Note: true,
				Text: fmt.Sprintf("there are mailboxes of account %d, which the directory does not have", id)}); err != nil {
				return err
			}
		}
		if err := k.store.Check(ctx, id, k.part()); err != nil {
			return err
		}
		k.done++
		k.sum.Accounts++
	}
	return k.withoutMailboxes(ctx, have)
}

// withoutMailboxes names the accounts of the directory that the mailstore does not have. Accounts come and go meanwhile, so
// it looks again before it says so.
func (k *checker) withoutMailboxes(ctx context.Context, have map[int64]bool) error {
	people, err := k.people.ListAccounts(ctx, "")
	if err != nil {
		return err
	}
	ids, err := k.store.CheckedAccounts(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		have[id] = true
	}
	for _, a := range people {
		if have[a.ID] || k.names[a.ID] == "" { // the latter: new
			continue
		}
		f := fault.Fault{Kind: fault.AccountNoState, Account: a.ID, Text: "the account has no mailboxes"}
		if k.query.Repair {
			if err := k.store.CreateAccount(ctx, a.ID); err != nil {
				return err
			}
			f.Mended = "made"
		}
		if err := k.report(f); err != nil {
			return err
		}
	}
	return nil
}
