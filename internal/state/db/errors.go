package db

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/postrider/postrider/internal/mail/status"
	"zombiezen.com/go/sqlite"
)

var (
	// ErrUnique: a UNIQUE or PRIMARY KEY constraint was violated.
	ErrUnique = errors.New("unique constraint violated")
	// ErrConstraint: another constraint (NOT NULL, CHECK, FOREIGN KEY) was violated.
	ErrConstraint = errors.New("constraint violated")
	// ErrFutureSchema: the database was written by a newer Postrider.
	ErrFutureSchema = errors.New("the database was written by a newer version of Postrider")
	// ErrForeign: the file is a database, but not one of ours.
	ErrForeign = errors.New("not a database of Postrider")

	// ErrUnavailable: the database cannot be reached now, or gave up a statement for a reason that passes.
	ErrUnavailable = status.Temp(451, 3, 0, "Mail system database is not available; try again later")
	// ErrInUse: another server has the database.
	ErrInUse = errors.New("another server has this database open")
	// ErrUnsuitable: the database server lacks what a positive answer rests on.
	ErrUnsuitable = errors.New("the database server is not suitable")

	errTxDone   = errors.New("transaction used after its function returned")
	errRowsOpen = errors.New("statement while rows of a query are still open")
)

// severity is what an engine's error means for the database as a whole.
type severity int

const (
	sevNone    severity = iota // this statement only
	sevNoSpace                 // no room or read-only: nothing acknowledged, later writes may work
	sevFatal                   // the file can no longer be trusted
)

// sqliteSeverity judges an error of SQLite. dir is where the database lies.
func sqliteSeverity(err error, dir string) severity {
	code := sqlite.ErrCode(err)
	switch code.ToPrimary() {
	case sqlite.ResultFull, sqlite.ResultReadOnly:
		return sevNoSpace
	case sqlite.ResultIOErr:
		// SQLite says FULL only for ENOSPC from write(2). EDQUOT, EROFS, and ENOSPC while the wal-index grows come as
		// I/O errors; no sync has failed then, so a look at the disk decides.
		if (code == sqlite.ResultIOErrWrite || code == sqlite.ResultIOErrSHMSize) && probeNoSpace(dir) {
			return sevNoSpace
		}
		return sevFatal
	case sqlite.ResultCorrupt, sqlite.ResultNotADB:
		return sevFatal
	}
	return sevNone
}

// probeNoSpace tells whether a small new file in dir fails for lack of space, quota or write permission of the mount.
func probeNoSpace(dir string) bool {
	if dir == "" {
		return false
	}
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return isNoSpace(err)
	}
	_, err = f.Write(make([]byte, 64<<10))
	cerr := f.Close()
	rerr := os.Remove(f.Name())
	return isNoSpace(err) || isNoSpace(cerr) || isNoSpace(rerr)
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// undone tells whether a commit that failed with err has certainly left nothing behind.
func (d *DB) undone(err error) bool {
	if d.pg != nil {
		return !errors.Is(err, errOutcomeUnknown) // anything else was answered by the server or found out afterwards
	}
	return sqlite.ErrCode(err).ToPrimary() == sqlite.ResultBusy || sqliteSeverity(err, d.dir) == sevNoSpace
}

// wrap turns an error of the engine into what callers see. With pgWrap it is the one place that knows the codes.
func (d *DB) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if d.pg != nil {
		return d.pgWrap(op, err)
	}
	switch sqlite.ErrCode(err) {
	case sqlite.ResultConstraintUnique, sqlite.ResultConstraintPrimaryKey, sqlite.ResultConstraintRowID:
		return fmt.Errorf("db: %s: %w: %w", op, ErrUnique, err)
	}
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultConstraint {
		return fmt.Errorf("db: %s: %w: %w", op, ErrConstraint, err)
	}
	switch sqliteSeverity(err, d.dir) {
	case sevNoSpace:
		return status.ErrNoSpace.With("db: "+op, err)
	case sevFatal:
		return d.fail(op, err)
	}
	return fmt.Errorf("db: %s: %w", op, err)
}

// fail makes the database refuse everything from now on and tells the owner once. It returns the error to answer with.
func (d *DB) fail(op string, err error) error {
	fatal := status.ErrFatal.With("db: "+op, err)
	if d.fatal.CompareAndSwap(nil, fatal) {
		d.log.Error("database failed; nothing more is acknowledged", "database", filepath.Base(d.path), "op", op, "err", err)
		if d.opt.Fatal != nil {
			d.opt.Fatal(fatal)
		}
	}
	return fatal
}

// failed returns the fatal error, if there was one.
func (d *DB) failed() error {
	if e := d.fatal.Load(); e != nil {
		return e
	}
	return nil
}
