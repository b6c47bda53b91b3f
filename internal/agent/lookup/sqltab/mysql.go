package sqltab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/agent/lookup/pool"
	"github.com/postrider/postrider/internal/decide/table"
)

// mysqlSocket is where "localhost" leads, as with MySQL's own library.
const mysqlSocket = "/run/mysqld/mysqld.sock"

// maxPacket bounds a packet, bytes.
const maxPacket = 4 << 20

// MySQL reads a file of mysql_table(5).
func MySQL(text string, env mapconf.Env) (*Table, []table.Problem, error) {
	f := mapconf.Parse(text)
	t := common("mysql", f, env)
	t.quote = backslashed
	t.all = !f.Bool("require_result_set", true)
	user, password, dbname := f.Text("user", ""), f.Text("password", ""), f.Required("dbname")
	if charset := f.Text("charset", "utf8mb4"); charset != "utf8mb4" && charset != "utf8" && charset != "utf8mb3" {
		f.Wrong("charset", "only utf8mb4 is spoken; the server translates from what it stores")
	}
	f.Refuse("files of options are not read: set user, password, hosts and tls_CAfile here", "option_file", "option_group")
	secure := mysqlTLS(f)
	hosts := f.Words("hosts", "localhost")
	connectors := map[string]driver.Connector{}
	for _, h := range hosts {
		network, addr, err := address(h, "3306")
		if host, _, split := net.SplitHostPort(addr); split == nil && host == "localhost" {
			network, addr = "unix", mysqlSocket // mysql_table(5): localhost is the socket, 127.0.0.1 is TCP
		}
		if err != nil {
			f.Wrong("hosts", "%v", err)
			continue
		}
		c := mysql.NewConfig()
		c.Net, c.Addr, c.User, c.Passwd, c.DBName, c.Collation = network, addr, user, password, dbname, "utf8mb4_general_ci"
		c.MaxAllowedPacket, c.Logger = maxPacket, &mysql.NopLogger{}
		if network == "tcp" && secure != nil {
			c.TLS = secure.Clone()
			c.TLS.ServerName, _, _ = net.SplitHostPort(addr)
		}
		connector, err := mysql.NewConnector(c)
		if err != nil {
			f.Wrong("hosts", "%v", err)
			continue
		}
		connectors[h] = connector
	}
	t.connections(f, env, hosts, func(ctx context.Context, host string) (conn, error) {
		c, err := connectors[host].Connect(ctx)
		if err != nil {
			return nil, err
		}
		m := mysqlConn{c, !t.all}
		// With NO_BACKSLASH_ESCAPES a backslash would not keep a quote in its string.
		if _, err := m.exec(ctx, "SET SESSION sql_mode = REPLACE(@@SESSION.sql_mode, 'NO_BACKSLASH_ESCAPES', '')"); err != nil {
			m.close()
			return nil, err
		}
		return m, nil
	})
	bad, err := f.Done()
	return t, bad, err
}

// mysqlTLS reads the parameters of TLS; nil: none is set, and connections are in the clear.
func mysqlTLS(f *mapconf.File) *tls.Config {
	ca, cert, key := f.Text("tls_CAfile", ""), f.Text("tls_cert_file", ""), f.Text("tls_key_file", "")
	verify := f.Bool("tls_verify_cert", false)
	f.Refuse("name one file: tls_CAfile", "tls_CApath")
	f.Refuse("the ciphers of TLS 1.2 and 1.3 that are sound are offered, no others", "tls_ciphers")
	if ca == "" && cert == "" && !verify {
		return nil
	}
	c := &tls.Config{InsecureSkipVerify: !verify && ca == "", MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		c.RootCAs = x509.NewCertPool()
		if err != nil {
			f.Wrong("tls_CAfile", "%v", err)
		} else if !c.RootCAs.AppendCertsFromPEM(pem) {
			f.Wrong("tls_CAfile", "no certificate in PEM form")
		}
		if !verify { // the authority is checked, the name is not: what MySQL's library does without tls_verify_cert
			c.InsecureSkipVerify = true
			c.VerifyConnection = func(state tls.ConnectionState) error { return chained(state, c.RootCAs) }
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			f.Wrong("tls_cert_file", "%v", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

func chained(state tls.ConnectionState, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

type mysqlConn struct {
	driver.Conn
	wants bool // a result set
}

func (c mysqlConn) close() { _ = c.Conn.Close() }

func (c mysqlConn) exec(ctx context.Context, query string) (driver.Result, error) {
	e, ok := c.Conn.(driver.ExecerContext)
	if !ok {
		return nil, errors.New("the driver runs no statements")
	}
	return e.ExecContext(ctx, query, nil)
}

func (c mysqlConn) ask(ctx context.Context, query string, add func(string) error) error {
	q, ok := c.Conn.(driver.QueryerContext)
	if !ok {
		return errors.New("the driver runs no queries")
	}
	rows, err := q.QueryContext(ctx, query, nil)
	if err != nil {
		return mysqlSaid(err)
	}
	columns := rows.Columns()
	if len(columns) == 0 && c.wants {
		_ = rows.Close()
		return pool.Answered{Err: errors.New("the query has no result set (require_result_set = no takes that for an empty answer)")}
	}
	values := make([]driver.Value, len(columns))
	for n := 0; ; n++ {
		err := rows.Next(values)
		if errors.Is(err, io.EOF) {
			return rows.Close()
		}
		if err == nil && n >= maxRows {
			return tooMany(c)
		}
		if err != nil {
			return mysqlSaid(err)
		}
		for _, v := range values {
			text, ok := plain(v)
			if !ok {
				continue
			}
			if err := add(text); err != nil {
				c.close()
				return pool.Answered{Err: err}
			}
		}
	}
}

// plain is a value as text; false for NULL.
func plain(v driver.Value) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", false
	case []byte:
		return string(v), true
	case string:
		return v, true
	case int64:
		return strconv.FormatInt(v, 10), true
	case uint64:
		return strconv.FormatUint(v, 10), true
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case time.Time:
		return v.Format(time.DateTime), true
	}
	return fmt.Sprint(v), true
}

// mysqlSaid tells what a server answers from a connection that broke. 1053: it shuts down; 1927, 3169: it ends the session.
func mysqlSaid(err error) error {
	var said *mysql.MySQLError
	if errors.As(err, &said) && said.Number != 1053 && said.Number != 1927 && said.Number != 3169 {
		return pool.Answered{Err: err}
	}
	return err
}

// backslashed is MySQL's quoting.
func backslashed(s string) string {
	return strings.NewReplacer("\x00", `\0`, "\n", `\n`, "\r", `\r`, "\x1a", `\Z`, `\`, `\\`, `'`, `\'`, `"`, `\"`).Replace(s)
}
