package db

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"strconv"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"
)

const (
	pgOldest         = 150000           // server_version_num of the oldest server that the contract suite runs against
	pgMaxBatch       = 64               // a backend remembers so many subtransactions; more make snapshots slow
	pgConnectTimeout = 10 * time.Second // unless the URL has connect_timeout
	pgDeadPeer       = 30 * time.Second // a peer that acknowledges nothing for so long is gone
	pgRetryPause     = time.Second / 10 // between attempts to connect again
	pgSettleTries    = 300              // attempts to learn what became of a commit
)

// pgSession is what a session is given at its start where the URL says nothing else. A statement that takes 30 seconds is
// a mistake or a stuck lock; keepalives let the server notice a dead client, and with it give up its lock.
var pgSession = [...][2]string{
	{"application_name", "postrider"},
	{"statement_timeout", "30s"},
	{"lock_timeout", "5s"},
	{"idle_in_transaction_session_timeout", "0"},
	{"tcp_keepalives_idle", "10"},
	{"tcp_keepalives_interval", "5"},
	{"tcp_keepalives_count", "3"},
	{"jit", "off"},
}

// postgres is what a DB on PostgreSQL has beyond its writer's connection.
type postgres struct {
	config *pgconn.Config
	log    func(msg string, args ...any)
	token  string    // of this Open, in schema_owner: who finds another there has been replaced
	xid    string    // of the writer's transaction
	failed time.Time // when the last attempt to connect failed
	now    func() time.Time
	pause  func(time.Duration)
}

// OpenPostgres opens a database on a PostgreSQL server, brings its schema up to date and starts the writer. url is a
// connection URL or a list of keywords and values as libpq takes them; tables lie in the first schema of search_path. One
// server at a time has the database: an advisory lock says so.
func OpenPostgres(ctx context.Context, url string, opt Options) (*DB, error) {
	config, err := pgconn.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("db: database url: %w", err)
	}
	token, err := uuid.NewRandom()
	if err != nil {
		return nil, fmt.Errorf("db: open: %w", err)
	}
	if opt.MaxBatch <= 0 {
		opt.MaxBatch = pgMaxBatch
	}
	opt.setDefaults()
	d := &DB{path: "postgresql://" + path.Join(config.Host, config.Database), opt: opt, log: opt.Log}
	d.pg = &postgres{config: config, log: opt.Log.Warn, token: token.String(), now: opt.Now, pause: time.Sleep}
	d.pg.configure(opt.Sync)
	conn, err := d.pg.connect(ctx, roleWriter)
	if err != nil {
		return nil, d.wrap("open "+d.path, err)
	}
	d.link = conn
	if err := d.claimServer(ctx, conn); err != nil {
		return nil, errors.Join(fmt.Errorf("db: open %s: %w", d.path, err), conn.Close())
	}
	d.start()
	close(d.ckptDone)
	return d, nil
}

// configure completes what the URL says.
func (p *postgres) configure(s Sync) {
	params := p.config.RuntimeParams
	for _, kv := range pgSession {
		if params[kv[0]] == "" {
			params[kv[0]] = kv[1]
		}
	}
	params["client_encoding"], params["standard_conforming_strings"] = "UTF8", "on"
	if s != SyncFull || params["synchronous_commit"] != "remote_apply" { // which waits for more
		params["synchronous_commit"] = s.synchronousCommit()
	}
	if p.config.ConnectTimeout <= 0 {
		p.config.ConnectTimeout = pgConnectTimeout
	}
	for _, f := range p.config.Fallbacks {
		if f.Host != p.config.Host || f.Port != p.config.Port {
			// Of several servers only the primary: a standby's rows may lag behind what was acknowledged.
			p.config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
		}
	}
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control: func(network, _ string, c syscall.RawConn) (err error) {
			if network == "unix" {
				return nil
			}
			cerr := c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(pgDeadPeer.Milliseconds()))
			})
			return errors.Join(cerr, err)
		},
	}
	p.config.DialFunc = dialer.DialContext
}

// connect opens a session. The writer's holds the advisory lock of the database as long as it lives.
func (p *postgres) connect(ctx context.Context, r role) (*pgConn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.config.ConnectTimeout)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, p.config)
	if err != nil {
		return nil, err
	}
	c := &pgConn{conn: conn, stmts: make(map[string]*pgStmt), pg: p}
	if r != roleWriter {
		return c, nil
	}
	// Waits for lock_timeout: the session of a server that was killed a moment ago may not have ended yet.
	if err := c.run(fmt.Sprintf("SELECT pg_advisory_lock(%d, hashtext(current_schema()))", applicationID)); err != nil {
		if pgCode(err) == pgLockTimeout {
			err = ErrInUse
		}
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// suitable refuses a server on which a positive answer would not mean what it says.
func (p *postgres) suitable(c *pgConn) error {
	v, err := c.values(`SELECT current_setting('server_version_num'), current_setting('server_encoding'), current_setting('fsync'),
		current_setting('full_page_writes'), pg_is_in_recovery()::text, COALESCE(current_schema(), ''),
		current_setting('synchronous_commit'), current_setting('server_version')`)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(v[0]); err != nil || n < pgOldest {
		return fmt.Errorf("%w: it is PostgreSQL %s, Postrider needs %d or later", ErrUnsuitable, v[7], pgOldest/10000)
	}
	for _, c := range []struct {
		bad bool
		why string
	}{
		{v[1] != "UTF8", "the database's encoding is " + v[1] + "; create it with ENCODING 'UTF8'"},
		{v[2] != "on", "fsync is off: it would lose mail in a power cut; set fsync = on"},
		{v[3] != "on", "full_page_writes is off: a power cut would damage it; set full_page_writes = on"},
		{v[4] != "false", "it is a standby that takes no writes; name the primary"},
		{v[5] == "", "no schema of search_path exists or may be used; create one"},
		{v[6] != p.config.RuntimeParams["synchronous_commit"], "synchronous_commit is " + v[6] + " whatever we ask for"},
	} {
		if c.bad {
			return fmt.Errorf("%w: %s", ErrUnsuitable, c.why)
		}
	}
	return nil
}

// revive makes sure that the writer has a connection before it begins. After a loss it is a new one with the lock on it,
// and nobody else may have held the lock in between.
func (p *postgres) revive(d *DB) error {
	if !d.link.lost() {
		return nil
	}
	if !p.failed.IsZero() && p.now().Sub(p.failed) < pgRetryPause {
		return ErrUnavailable.With("db: connect", errStillAway)
	}
	conn, err := p.connect(context.Background(), roleWriter)
	if err != nil {
		p.failed = p.now()
		p.log("connection to the database lost; it is tried again", "database", d.path, "err", err)
		return ErrUnavailable.With("db: connect", err)
	}
	// Behind the name may be another server by now: a standby, or one that was set up otherwise.
	if err := p.suitable(conn); err != nil {
		p.failed = p.now()
		p.log("the database cannot be used; it is tried again", "database", d.path, "err", err)
		return errors.Join(ErrUnavailable.With("db: connect", err), conn.Close())
	}
	v, err := conn.values("SELECT token FROM schema_owner")
	if err == nil && v[0] != p.token {
		return errors.Join(d.fail("connect", fmt.Errorf("%w: it had it while we were cut off", ErrInUse)), conn.Close())
	}
	if err != nil {
		p.failed = p.now()
		return errors.Join(ErrUnavailable.With("db: connect", err), conn.Close())
	}
	p.failed = time.Time{}
	d.link = conn
	conn.serve(&d.wtx)
	p.log("connected to the database again", "database", d.path)
	return nil
}

// settle finds out what became of a COMMIT that was answered with err. The server's own word counts. Where the
// connection was lost the outcome is open: a new session asks for the state of that transaction once it holds the lock,
// for then the old session has ended. If that cannot be learned the answer is errOutcomeUnknown, which is fatal.
func (p *postgres) settle(d *DB, err error) error {
	if !d.link.lost() {
		return err // the server rolled back and said so
	}
	xid := p.xid
	for range pgSettleTries {
		if rerr := p.revive(d); rerr != nil {
			if d.failed() != nil {
				break
			}
			p.pause(pgRetryPause)
			continue
		}
		v, verr := d.link.(*pgConn).values("SELECT COALESCE(pg_xact_status('" + xid + "'::xid8), '')")
		switch {
		case verr != nil:
			continue // lost again
		case v[0] == "committed":
			p.log("the answer to a commit was lost; it is committed", "database", d.path, "transaction", xid)
			return nil
		case v[0] == "aborted":
			return ErrUnavailable.With("db: commit", err)
		}
		break
	}
	return fmt.Errorf("%w: %w", errOutcomeUnknown, err)
}
