package db

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/postrider/postrider/internal/mail/status"
)

var (
	errOutcomeUnknown = errors.New("the connection was lost during a commit, and whether it was done cannot be learned")
	errNotCommitted   = errors.New("the server rolled back where it was asked to commit")
	errStillAway      = errors.New("the server was away a moment ago")
)

// Codes of PostgreSQL ("SQLSTATE", its appendix A).
const (
	pgDiskFull    = "53100"
	pgUnique      = "23505"
	pgIOError     = "58030"
	pgDamaged     = "XX001"
	pgIndexBroken = "XX002"
	pgLockTimeout = "55P03"
	pgReadOnly    = "25006"
)

// pgCode returns the code of a server's error, "" for other errors.
func pgCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// pgLost tells whether an error is one of the connection, not of the statement.
func pgLost(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, errNotCommitted)
}

// pgWrap turns an error of PostgreSQL into what callers see: the codes of appendix A, by class where that is enough.
func (d *DB) pgWrap(op string, err error) error {
	var known *status.Error
	if errors.As(err, &known) {
		return err
	}
	code := pgCode(err)
	switch code {
	case pgUnique:
		return fmt.Errorf("db: %s: %w: %w", op, ErrUnique, err)
	case pgDiskFull:
		return status.ErrNoSpace.With("db: "+op, err)
	case pgReadOnly: // somebody is changing servers, or has stopped writes for a while
		return ErrUnavailable.With("db: "+op, err)
	case pgIOError, pgDamaged, pgIndexBroken:
		return d.fail(op, err)
	case "":
		if pgLost(err) {
			return ErrUnavailable.With("db: "+op, err)
		}
		return fmt.Errorf("db: %s: %w", op, err)
	}
	switch code[:2] {
	case "23": // integrity constraint
		return fmt.Errorf("db: %s: %w: %w", op, ErrConstraint, err)
	case "08", "40", "53", "55", "57": // connection, rollback (deadlock, serialization), resources, locks, intervention
		return ErrUnavailable.With("db: "+op, err)
	}
	return fmt.Errorf("db: %s: %w", op, err)
}
