package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/state/fault"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/schema"
	"github.com/postrider/postrider/internal/vfs"
)

// CheckOffline checks a data directory that no server has, under its lock. Unlike Open it makes nothing, replays nothing,
// and looks at what it can even where the database cannot be opened.
func CheckOffline(ctx context.Context, o Options, q admin.CheckQuery, each func(admin.CheckEvent) error) (err error) {
	c := o.Config
	lock, err := lockDir(c.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if o.Now == nil {
		o.Now = time.Now
	}
	reader := blob.NewReader(vfs.OS{}, filepath.Join(c.DataDir, "packs"))
	defer func() { err = errors.Join(err, reader.Close()) }()
	k := &checker{query: q, each: each, now: o.Now, dir: c.DataDir, reader: reader}
	if q.Rebuild {
		k.query.Repair = true
		return k.rebuild(ctx, c)
	}
	d, f, err := openToCheck(ctx, c, o.Now)
	if err != nil {
		return err
	}
	if f != nil {
		return k.packsAlone(ctx, *f)
	}
	return k.withDatabase(ctx, c, d)
}

// withDatabase checks all there is, and closes the database.
func (k *checker) withDatabase(ctx context.Context, c *config.Config, d *db.DB) (err error) {
	defer func() {
		if cerr := d.Close(); err == nil && !errors.Is(cerr, status.ErrFatal) { // what failed it was reported
			err = cerr
		}
	}()
	k.db, k.catalog = d, newCatalog(d)
	k.store = mailstore.New(mailstore.Options{DB: d, Blobs: k.reader, Now: k.now})
	if k.people, err = directory.New(ctx, d, directory.Options{HostDomain: c.Domain, Now: k.now}); err != nil {
		return k.packsAlone(ctx, fault.Fault{Kind: fault.DatabaseDamaged, Text: fmt.Sprintf("the directory cannot be read: %v", err)})
	}
	why, err := oldDatabase(ctx, d, k.reader, k.dir)
	if err != nil || why == "" {
		return errors.Join(err, k.run(ctx))
	}
	began := k.now()
	k.resumed = began
	f := fault.Fault{Kind: fault.DatabaseOld, Text: "the database is older than its packs, as a backup is that was put back: " + why}
	if !k.query.Repair {
		err = k.report(f)
	} else {
		err = k.catchUp(ctx, c, f)
	}
	if err == nil {
		err = k.stages(ctx)
	}
	if err != nil {
		return err
	}
	return k.finish(began)
}

// openToCheck opens the database without counting a start. Where there is none to open, the fault says why.
func openToCheck(ctx context.Context, c *config.Config, now func() time.Time) (d *db.DB, f *fault.Fault, err error) {
	file, opt := filepath.Join(c.DataDir, databaseFile), db.Options{Schema: schema.Store, Now: now}
	_, missing := os.Stat(file)
	switch {
	case c.Database.Engine == "postgres":
		var url string
		if url, err = databaseURL(c.Database); err == nil {
			d, err = db.OpenPostgres(ctx, url, opt)
		}
	case errors.Is(missing, fs.ErrNotExist):
		return nil, &fault.Fault{Kind: fault.DatabaseMissing, Text: file + " is not there: without it the server does not start. " +
			"Put back a backup of it; the messages themselves are in the packs"}, nil
	default:
		d, err = db.Open(ctx, file, opt)
	}
	switch {
	case err == nil:
		return d, nil, nil
	case errors.Is(err, db.ErrFutureSchema):
		f = &fault.Fault{Kind: fault.DatabaseLater}
	case errors.Is(err, db.ErrForeign):
		f = &fault.Fault{Kind: fault.DatabaseForeign}
	case errors.Is(err, status.ErrFatal), db.NoDatabase(err):
		f = &fault.Fault{Kind: fault.DatabaseDamaged}
	default:
		return nil, nil, fmt.Errorf("open the database: %w", err)
	}
	f.Text = err.Error()
	return nil, f, nil
}

// packsAlone reports why there is no database, and looks at what the packs hold all the same.
func (k *checker) packsAlone(ctx context.Context, f fault.Fault) error {
	began := k.now()
	k.resumed = began
	if err := k.report(f); err != nil {
		return err
	}
	packs, err := k.reader.Packs()
	if err != nil {
		return err
	}
	k.stage, k.total = "packs", int64(len(packs))
	for _, p := range packs {
		if err := k.scanAlone(ctx, p); err != nil {
			return err
		}
		k.done++
		if err := k.tell(false); err != nil {
			return err
		}
	}
	return k.finish(began)
}

// scanAlone reads a pack of which nothing else is known.
func (k *checker) scanAlone(ctx context.Context, pack int64) error {
	k.sum.Packs++
	if !k.query.Deep {
		return nil
	}
	_, err := k.reader.Scan(ctx, pack, 0, blob.Visitor{
		Record: func(r blob.Record) error {
			k.sum.Records, k.sum.Bytes = k.sum.Records+1, k.sum.Bytes+r.End-r.Ref.Offset
			return k.pause(ctx)
		},
		Damage: func(d blob.Damage) error { return k.report(damageFault(d)) },
	})
	if f := packFault(pack, err); f != nil {
		return k.report(*f)
	}
	return err
}

// packFault is what an error that ended a scan says of the pack; nil: nothing.
func packFault(pack int64, err error) *fault.Fault {
	f := &fault.Fault{Pack: pack, Text: fmt.Sprint(err)}
	switch {
	case errors.Is(err, blob.ErrUnsupported):
		f.Kind = fault.PackLater
	case errors.Is(err, blob.ErrMissing):
		f.Kind = fault.PackMissing
	case errors.Is(err, blob.ErrDamaged):
		f.Kind = fault.PackUnreadable
	default:
		return nil
	}
	return f
}

func damageFault(d blob.Damage) fault.Fault {
	f := fault.Fault{Kind: fault.RecordDamaged, Pack: d.Pack, Offset: d.From, Text: fmt.Sprintf("pack %d, %d to %d: %v", d.Pack, d.From, d.To, d.Err)}
	if errors.Is(d.Err, blob.ErrUnsupported) {
		f.Kind = fault.RecordLater
	}
	if !d.ID.IsZero() {
		f.QueueID = d.ID.String()
	}
	return f
}
