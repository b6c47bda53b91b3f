// Package sqltab asks databases that speak SQL, with the files of pgsql_table(5), mysql_table(5) and sqlite_table(5).
//
// What a key brings into a query is quoted by the rules of the engine: quotes are doubled (PostgreSQL with
// standard_conforming_strings, which is demanded of it; SQLite), or escaped with backslashes (MySQL and MariaDB, whose mode
// NO_BACKSLASH_ESCAPES is switched off for our sessions). All connections speak UTF-8, and keys that are no UTF-8 are not asked
// for. So a key cannot end the string that it stands in; a %s outside of quotes in the administrator's query is not defended,
// as it is not in Postfix; the file's problems name it.
//
// What it never does: change a database; SQLite's are opened for reading only.
//
// Failures: whatever keeps the database from answering in time is an error, which is a temporary failure; a host that failed
// is left alone for retry_interval.
//
// Map: table.go what all have in common · quotes.go unprotected places · pgsql.go · mysql.go · sqlite.go.
package sqltab

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/agent/lookup/pool"
	"github.com/postrider/postrider/internal/decide/table"
)

// conn is one connection of any engine.
type conn interface {
	// ask runs a query and adds each value that is not NULL.
	ask(ctx context.Context, query string, add func(value string) error) error
	close()
}

// Table is a table in such a database.
type Table struct {
	kind    string
	query   *mapconf.Template
	shape   mapconf.Shape
	quote   func(string) string
	timeout time.Duration
	pool    *pool.Pool[conn]
	all     bool // require_result_set = no: a query without a result set is an empty answer
}

var _ table.Table = (*Table)(nil)

// Bounds and defaults of what a file may set.
const (
	defaultTimeout     = 10 * time.Second
	defaultIdle        = time.Minute
	defaultRetry       = time.Minute
	defaultConnections = 10
)

// Lookup implements table.Table.
func (t *Table) Lookup(ctx context.Context, key string) (string, bool, error) {
	key, ok, err := t.shape.Key(ctx, key)
	if !ok || err != nil {
		return "", false, err
	}
	query, ok := t.query.Query(key, t.quote)
	if !ok {
		return "", false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	var answer *mapconf.Answer
	err = t.pool.Do(ctx, func(ctx context.Context, c conn) error {
		answer = t.shape.Answer(key) // anew: it may be the second attempt
		return c.ask(ctx, query, answer.Add)
	})
	if err != nil {
		return "", false, fmt.Errorf("%s: %w", t.kind, err)
	}
	text, found := answer.Text()
	return text, found, nil
}

// Pattern implements table.Table.
func (*Table) Pattern() bool { return false }

// Close closes connections as they fall idle.
func (t *Table) Close() error {
	t.pool.Shut()
	return nil
}

// common reads the parameters that all engines know.
func common(kind string, f *mapconf.File, env mapconf.Env) *Table {
	t := &Table{kind: kind, shape: f.Shape(env), quote: doubled, timeout: f.Duration("timeout", defaultTimeout)}
	if t.timeout <= 0 {
		f.Wrong("timeout", "expected is at least 1s")
	}
	t.query = f.Template("query", "")
	table, field, where := f.Text("table", ""), f.Text("select_field", ""), f.Text("where_field", "")
	more := f.Text("additional_conditions", "")
	function := ""
	if kind == "pgsql" {
		function = f.Text("select_function", "")
	}
	var old string
	switch {
	case f.Has("query"):
		if unquoted(f.Text("query", ""), kind == "mysql") {
			f.Doubt("query", "a part of the key is not inside of '…', where alone it is protected: whoever sends mail could write SQL there")
		}
		return t
	case function != "":
		old = "SELECT " + function + "('%s')"
	case table != "" && field != "" && where != "":
		old = fmt.Sprintf("SELECT %s FROM %s WHERE %s = '%%s' %s", escaped(field), escaped(table), escaped(where), escaped(more))
	default:
		f.Wrong("query", "the parameter is missing (or the older table, select_field and where_field)")
		return t
	}
	var err error
	if t.query, err = mapconf.NewTemplate(old); err != nil {
		f.Wrong("table", "%v", err)
	}
	return t
}

// escaped keeps a percent sign of an old parameter from being read as a place for the key.
func escaped(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// connections makes the pool by what the file says.
func (t *Table) connections(f *mapconf.File, env mapconf.Env, hosts []string, dial func(context.Context, string) (conn, error)) {
	t.pool = pool.New(pool.Config[conn]{Hosts: hosts, Name: mapconf.Redacted, Dial: dial, Close: conn.close,
		Max:  f.Int("max_connections", defaultConnections, 1, 1000),
		Idle: f.Duration("idle_interval", defaultIdle), Retry: f.Duration("retry_interval", defaultRetry), Now: env.Now, Intn: env.Intn})
}

// doubled is the quoting of standard SQL.
func doubled(s string) string { return strings.ReplaceAll(s, "'", "''") }

// address reads a host of the parameter hosts: unix:/path, inet:host:port, host:port, host, [address]:port.
func address(word, port string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(word, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return "", "", fmt.Errorf("%s: expected is unix:/path", word)
		}
		return "unix", path, nil
	}
	host := strings.TrimPrefix(word, "inet:")
	if h, p, err := net.SplitHostPort(host); err == nil && h != "" && p != "" {
		return "tcp", net.JoinHostPort(h, p), nil
	}
	host = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSuffix(host, ":"), "["), "]")
	if host == "" {
		return "", "", fmt.Errorf("%s: expected is unix:/path or inet:host:port", word)
	}
	return "tcp", net.JoinHostPort(host, port), nil
}
