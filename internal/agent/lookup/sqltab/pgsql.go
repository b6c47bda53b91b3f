package sqltab

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/agent/lookup/pool"
	"github.com/postrider/postrider/internal/decide/table"
)

// PostgreSQL reads a file of pgsql_table(5).
func PostgreSQL(text string, env mapconf.Env) (*Table, []table.Problem, error) {
	f := mapconf.Parse(text)
	t := common("pgsql", f, env)
	user, password, dbname := f.Text("user", ""), f.Text("password", ""), f.Text("dbname", "")
	if encoding := f.Text("encoding", "UTF8"); !strings.EqualFold(strings.ReplaceAll(encoding, "-", ""), "utf8") {
		f.Wrong("encoding", "only UTF8 is spoken; the server translates from what it stores")
	}
	hosts := f.Words("hosts", "localhost")
	configs := map[string]*pgconn.Config{}
	for _, h := range hosts {
		c, err := pgConfig(h, user, password, dbname)
		if err != nil {
			f.Wrong("hosts", "%v", err)
			continue
		}
		if c.Database == "" {
			f.Wrong("dbname", "the parameter is missing")
		}
		configs[h] = c
	}
	t.connections(f, env, hosts, func(ctx context.Context, host string) (conn, error) {
		c, err := pgconn.ConnectConfig(ctx, configs[host].Copy())
		if err != nil {
			return nil, err
		}
		if c.ParameterStatus("standard_conforming_strings") != "on" || c.ParameterStatus("client_encoding") != "UTF8" {
			_ = c.Close(ctx)
			return nil, errors.New("the server does not take standard_conforming_strings=on and client_encoding=UTF8, so nothing could be quoted safely")
		}
		return pgConn{c}, nil
	})
	bad, err := f.Done()
	return t, bad, err
}

// pgConfig is where and as whom to connect. Nothing is taken from the environment that the file can say.
func pgConfig(word, user, password, dbname string) (*pgconn.Config, error) {
	if strings.HasPrefix(word, "postgresql://") || strings.HasPrefix(word, "postgres://") {
		c, err := pgconn.ParseConfig(word)
		if err != nil {
			return nil, errors.New("the URI cannot be understood") // the library's words have the password
		}
		if user != "" {
			c.User = user
		}
		if password != "" {
			c.Password = password
		}
		if dbname != "" {
			c.Database = dbname
		}
		strict(c)
		return c, nil
	}
	network, addr, err := address(word, "5432")
	if err != nil {
		return nil, err
	}
	host, port := addr, "5432"
	if network == "tcp" {
		if host, port, err = net.SplitHostPort(addr); err != nil {
			return nil, err
		}
	} else if base := filepath.Base(addr); strings.HasPrefix(base, ".s.PGSQL.") { // else the folder of the socket, as libpq has it
		host, port = filepath.Dir(addr), strings.TrimPrefix(base, ".s.PGSQL.")
	}
	dsn := "sslmode=prefer passfile='' connect_timeout=0"
	for _, p := range [][2]string{{"host", host}, {"port", port}, {"user", user}, {"password", password}, {"dbname", dbname}} {
		if p[1] != "" {
			dsn += " " + p[0] + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(p[1]) + "'"
		}
	}
	c, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("host, user and dbname cannot be understood: " + host)
	}
	strict(c)
	return c, nil
}

// strict asks for what makes quoting sound.
func strict(c *pgconn.Config) {
	c.RuntimeParams = map[string]string{"client_encoding": "UTF8", "standard_conforming_strings": "on", "application_name": "postrider"}
}

type pgConn struct{ *pgconn.PgConn }

func (c pgConn) close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // no farewell: a server that hangs must not keep anybody
	_ = c.Close(ctx)
}

func (c pgConn) ask(ctx context.Context, query string, add func(string) error) error {
	results := c.Exec(ctx, query) // the simple protocol: every value is text
	rows := 0
	for results.NextResult() {
		r := results.ResultReader()
		for r.NextRow() {
			if rows++; rows > maxRows {
				return tooMany(c)
			}
			for _, v := range r.Values() {
				if v == nil {
					continue
				}
				if err := add(string(v)); err != nil {
					c.close()
					return pool.Answered{Err: err}
				}
			}
		}
		if _, err := r.Close(); err != nil {
			break // Close of all says the same
		}
	}
	err := results.Close()
	var said *pgconn.PgError
	if errors.As(err, &said) && !c.IsClosed() && !outage(said.Code) {
		return pool.Answered{Err: err}
	}
	return err
}

// maxRows bounds what is read of an answer, NULLs counted.
const maxRows = 100_000

func tooMany(c conn) error {
	c.close()
	return pool.Answered{Err: errors.New("an answer of more than 100,000 rows")}
}

// outage tells errors of a server that is going or full from those of a query: classes 08, 53, 57 of SQLSTATE. A query that
// was cancelled (57014) is a query's.
func outage(code string) bool {
	return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "53") || strings.HasPrefix(code, "57") && code != "57014"
}
