package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/state/fault"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/internal/state/schema"
	"github.com/postrider/postrider/internal/vfs"
)

// The files of a rebuild, in the data directory. Until the new database is whole it is buildingFile, which is of no use to
// anybody; then it is rebuiltFile, which only has to take its place: what was there goes to set-aside/ first.
const (
	buildingFile = databaseFile + ".building"
	rebuiltFile  = databaseFile + ".rebuilt"
	indexFile    = databaseFile + ".index" // of the records, while a rebuild runs
)

// sqliteFiles are what SQLite has beside a database.
var sqliteFiles = [...]string{"", "-wal", "-shm"}

// validityAhead is how far above every time that is known a rebuild begins with UIDVALIDITY, seconds: an account may have
// been given as many by making mailboxes faster than one a second.
const validityAhead = 1 << 16

// rebuilder makes the database anew: rows of the damaged one as far as they can be read, and the rest out of the packs.
type rebuilder struct {
	*checker
	config *config.Config
	heads  []blob.Head // packs whose beginning can be read
	whole  []blob.Head // those that were read to their end
	index  *recordIndex
	old    *db.Salvaged // nil: nothing of the old database is there
	behind bool         // the old database is from before what the packs have

	owners   map[int64]owner                       // by account, as the packs have them
	aliases  map[address.Address][]address.Address // what mail went to that was for the first
	settled  map[int64]int64                       // positions by pack, of the old database
	boot     db.Boot
	messages int64 // put back
	moved    int64 // emails that lead to another copy of their record
	held     int   // jobs
	failed   int   // records that cannot be understood
}

// rebuild is CheckOffline where the database is to be made anew if it is lost or damaged. Until the end the old state is as
// it was, so it can be ended at any time and begun again.
func (k *checker) rebuild(ctx context.Context, c *config.Config) error {
	began := k.now()
	k.resumed = began
	r := &rebuilder{checker: k, config: c, owners: map[int64]owner{}, aliases: map[address.Address][]address.Address{}, settled: map[int64]int64{}}
	if err := r.resume(); err != nil {
		return err
	}
	d, why, err := openToCheck(ctx, c, k.now)
	if err != nil {
		return err
	}
	if why == nil {
		if why, err = r.judge(ctx, d); err != nil {
			return errors.Join(err, d.Close())
		}
		if why == nil { // nothing to rebuild: an ordinary repair
			return k.withDatabase(ctx, c, d)
		}
	}
	switch {
	case c.Database.Engine == "postgres" && why.Kind != fault.DatabaseMissing,
		why.Kind != fault.DatabaseMissing && why.Kind != fault.DatabaseDamaged:
		return k.packsAlone(ctx, *why) // installing the right version, or moving a stranger's file away, is the operator's
	}
	if c.Database.Engine != "postgres" {
		if d != nil {
			_ = d.Close() // it is damaged: what it says of its end changes nothing
		}
		if d, err = r.begin(ctx); err != nil {
			return err
		}
	}
	if err := r.run(ctx, d, *why); err != nil {
		return errors.Join(fmt.Errorf("rebuild: %w", err), d.Close())
	}
	if err := d.Close(); err != nil {
		return err
	}
	aside, err := r.finishFiles()
	if err != nil {
		return err
	}
	why.Mended = r.summary() + aside
	if err := k.report(*why); err != nil {
		return err
	}
	return k.finish(began)
}

// judge tells whether an open database must be made anew: one that no installation has, beside packs, or one whose tables
// are damaged and not only their indexes. nil: it need not.
func (r *rebuilder) judge(ctx context.Context, d *db.DB) (*fault.Fault, error) {
	id, err := d.Installation(ctx)
	if err == nil && id == "" {
		packs, err := r.reader.Packs()
		if err != nil || len(packs) == 0 {
			return nil, err
		}
		return &fault.Fault{Kind: fault.DatabaseMissing, Text: fmt.Sprintf("the database is empty, and there are %d packs of messages", len(packs))}, nil
	}
	var last *fault.Fault
	if err == nil {
		err = d.Check(ctx, fault.Check{Repair: true, Pause: r.pause, Report: func(f fault.Fault) error {
			if f.Mended == "" {
				last = &f
				return nil
			}
			return r.checker.report(f)
		}})
	}
	if errors.Is(err, status.ErrFatal) || db.NoDatabase(err) {
		return &fault.Fault{Kind: fault.DatabaseDamaged, Text: err.Error()}, nil
	}
	return last, err
}

// begin makes the new database beside the old one.
func (r *rebuilder) begin(ctx context.Context) (*db.DB, error) {
	for _, tail := range sqliteFiles {
		if err := os.Remove(r.file(buildingFile) + tail); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return db.Open(ctx, r.file(buildingFile), db.Options{Schema: schema.Store, Now: r.now})
}

func (r *rebuilder) file(name string) string { return filepath.Join(r.dir, name) }

// run fills d.
func (r *rebuilder) run(ctx context.Context, d *db.DB, why fault.Fault) (err error) {
	r.db, r.catalog = d, newCatalog(d)
	r.store = mailstore.New(mailstore.Options{DB: d, Blobs: r.reader, Now: r.now})
	if err := r.readHeads(); err != nil {
		return err
	}
	if r.config.Database.Engine == "postgres" {
		err = d.Empty(ctx)
	} else if why.Kind == fault.DatabaseDamaged {
		err = r.salvage(ctx)
	}
	if err != nil {
		return err
	}
	if r.people, err = directory.New(ctx, d, directory.Options{HostDomain: r.config.Domain, Now: r.now}); err != nil {
		return err
	}
	if err := r.knowInstallation(ctx); err != nil {
		return err
	}
	if r.old != nil {
		why, err := oldDatabase(ctx, d, r.reader, r.dir)
		if err != nil {
			return err
		}
		r.behind = why != ""
	}
	if err := r.fill(ctx); err != nil {
		return err
	}
	return r.stages(ctx)
}

// fill puts into the database what the packs have and it has not.
func (r *rebuilder) fill(ctx context.Context) (err error) {
	if r.old != nil && r.old.Whole("pack") {
		if err := r.catalog.All(ctx, func(row blob.Row) error { r.settled[row.Pack] = row.Settled; return nil }); err != nil {
			return err
		}
	}
	if r.index, err = newRecordIndex(ctx, r.file(indexFile)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.index.close()) }()
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"reading packs", r.readPacks}, {"accounts", r.restoreAccounts}, {"aliases", r.lostAliases}, {"queue", r.holdQueue}, {"messages", r.restoreMessages},
		{"mailboxes", r.renew}, {"catalog", r.knowPacks}, {"installation", r.sign},
	} {
		r.stage, r.done, r.total = "rebuild: "+step.name, 0, 0
		if err := r.tell(true); err != nil {
			return err
		}
		if err := step.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// readHeads looks at all packs. Those of two installations are not mixed.
func (r *rebuilder) readHeads() error {
	packs, err := r.reader.Packs()
	if err != nil {
		return err
	}
	from := map[blob.Installation]int64{}
	for _, p := range packs {
		h, err := r.reader.Head(p)
		if f := packFault(p, err); f != nil {
			if f.Kind == fault.PackLater {
				return fmt.Errorf("pack %d: %w: a rebuild without it would lose its messages; install that version", p, err)
			}
			continue // the check names it afterwards
		}
		if err != nil {
			return err
		}
		if h.Owner != (blob.Installation{}) {
			from[h.Owner] = p
		}
		r.heads = append(r.heads, h)
	}
	if len(from) > 1 {
		var list []string
		for owner, p := range from {
			list = append(list, fmt.Sprintf("%x… (pack %d)", owner[:4], p))
		}
		slices.Sort(list)
		return fmt.Errorf("the packs are of %d installations: %s; nobody knows whose mail is whose. Move the packs of the others away",
			len(from), list)
	}
	for owner := range from {
		r.owner = owner
	}
	return nil
}

// salvage copies what can be read of the damaged database.
func (r *rebuilder) salvage(ctx context.Context) error {
	r.stage, r.done, r.total = "rebuild: reading the damaged database", 0, 0
	if err := r.tell(true); err != nil {
		return err
	}
	s, err := r.db.Salvage(ctx, r.file(databaseFile))
	if err != nil {
		return err
	}
	r.old = &s
	for _, table := range sortedKeys(s.Gaps) {
		f := fault.Fault{Kind: fault.DatabaseDamaged, Text: fmt.Sprintf("table %s could not be read whole: %s", table, s.Gaps[table]), Mended: "what could be read is kept"}
		if err := r.report(f); err != nil {
			return err
		}
	}
	return nil
}

// knows tells whether every row of these tables was read from the old database.
func (r *rebuilder) knows(tables []string) bool {
	return r.old != nil && r.old.Whole(append([]string{"pack"}, tables...)...) && len(r.settled) > 0
}

// knowInstallation finds the id that the packs bear: whole in the old database or beside PostgreSQL, else its first 12 bytes.
func (r *rebuilder) knowInstallation(ctx context.Context) error {
	id, err := r.db.Installation(ctx)
	if err != nil {
		return err
	}
	if id == "" {
		if id, err = readMark(r.file(databaseMark)); err != nil {
			return err
		}
	}
	if id == "" || installationOf(id) != r.owner && r.owner != (blob.Installation{}) {
		var u uuid.UUID
		if _, err := rand.Read(u[:]); err != nil {
			return err
		}
		u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80 // RFC 9562 §5.4
		if r.owner != (blob.Installation{}) {
			copy(u[:], r.owner[:])
		}
		id = u.String()
	}
	r.owner = installationOf(id)
	r.boot = db.Boot{Installation: id, Node: nodeNumber}
	return nil
}

// above is above all that was given out by time, seconds.
func (r *rebuilder) above() int64 { return max(r.now().Unix(), r.index.newest/1e6) + validityAhead }

// renew gives all mailboxes a new UIDVALIDITY.
func (r *rebuilder) renew(ctx context.Context) error {
	ids, err := r.store.Accounts(ctx)
	if err != nil {
		return err
	}
	for r.total = int64(len(ids)); len(ids) > 0; ids = ids[1:] {
		if err := r.store.RenewUIDValidity(ctx, ids[0], r.above()); err != nil {
			return err
		}
		r.done++
		if err := r.pause(ctx); err != nil {
			return err
		}
	}
	// The ledger has served: all records are settled. What is in the queue keeps its lines.
	jobs := map[int64]bool{}
	if err := queue.JobTimes(ctx, r.db, func(micros int64) { jobs[micros] = true }); err != nil {
		return err
	}
	return r.store.Forget(ctx, queueid.New(1<<62, 0), func(id queueid.ID) bool { return jobs[id.Micros()] })
}

// sign makes the database the installation's: with it the rebuild is done. Starts are counted on from the highest that a
// pack tells of.
func (r *rebuilder) sign(ctx context.Context) error {
	for _, h := range r.heads {
		r.boot.Count = max(r.boot.Count, uint64(h.Epoch))
	}
	seen, err := readSeen(r.file(seenFile))
	if err != nil {
		return err
	}
	age, err := r.db.Age(ctx, nodeNumber)
	if err != nil {
		return err
	}
	r.boot.Count = max(r.boot.Count, uint64(seen.Boot), uint64(age.Boot)) + 1 // the last start may have written no pack
	if err := r.db.RestoreBoot(ctx, r.boot); err != nil || r.config.Database.Engine != "postgres" {
		return err
	}
	return writeMark(r.file(databaseMark), r.boot.Installation)
}

// finishFiles puts the new database in the place of the old one, which is set aside, and tells where.
func (r *rebuilder) finishFiles() (aside string, err error) {
	if r.config.Database.Engine == "postgres" {
		return "", nil
	}
	sys := vfs.OS{}
	if err := os.Rename(r.file(buildingFile), r.file(rebuiltFile)); err != nil {
		return "", err
	}
	if err := sys.SyncDir(r.dir); err != nil {
		return "", err
	}
	return r.putInPlace()
}

// resume finishes a rebuild that was cut off when the new database was whole, and clears away one that was not.
func (r *rebuilder) resume() error {
	if _, err := os.Stat(r.file(rebuiltFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	_, err := r.putInPlace()
	return err
}

func (r *rebuilder) putInPlace() (aside string, err error) {
	sys := vfs.OS{}
	stamp := "-" + r.now().UTC().Format("20060102T150405.000000Z")
	for _, tail := range sqliteFiles {
		old := r.file(databaseFile) + tail
		if _, err := os.Lstat(old); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.MkdirAll(r.file(asideFolder), 0o700); err != nil {
			return "", err
		}
		to := filepath.Join(r.file(asideFolder), databaseFile+stamp+tail)
		if err := os.Rename(old, to); err != nil {
			return "", err
		}
		if tail == "" {
			aside = "; the damaged one is " + to
		}
	}
	if aside != "" {
		if err := errors.Join(sys.SyncDir(r.file(asideFolder)), sys.SyncDir(r.dir)); err != nil {
			return "", err
		}
	}
	if err := os.Rename(r.file(rebuiltFile), r.file(databaseFile)); err != nil {
		return "", err
	}
	return aside, sys.SyncDir(r.dir)
}

func (r *rebuilder) summary() string {
	text := fmt.Sprintf("made anew: %d packs, %d messages put back, %d messages for others held", len(r.heads), r.messages, r.held)
	if r.old != nil {
		text += fmt.Sprintf(", %d rows of the damaged database kept", r.old.Rows)
	}
	if r.failed > 0 {
		text += fmt.Sprintf(", %d records not understood", r.failed)
	}
	return text
}

// rebuildMargin is how long before the newest record a job's last attempt has ended for certain, whatever became of it.
func rebuildMargin() time.Duration {
	r := queue.DefaultRetry()
	return 2 * max(r.Expire, r.ExpireBounce) // its schedule may have been made longer
}
