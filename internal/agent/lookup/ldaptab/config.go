package ldaptab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/agent/lookup/pool"
	"github.com/postrider/postrider/internal/decide/table"
)

// New reads a file of ldap_table(5).
func New(text string, env mapconf.Env) (*Table, []table.Problem, error) {
	f := mapconf.Parse(text)
	t := &Table{shape: f.Shape(env, "result_filter"), timeout: f.Duration("timeout", 10*time.Second),
		filter: f.Template("query_filter", "(mailacceptinggeneralid=%s)"), base: f.Template("search_base", ""),
		recursion: f.Int("recursion_limit", 1000, 1, 10_000), deref: f.Int("dereference", 0, 0, 3)}
	if t.timeout <= 0 {
		f.Wrong("timeout", "expected is at least 1s")
	}
	f.Required("search_base")
	t.size = f.Int("size_limit", f.Int("expansion_limit", 0, 0, 1<<30), 0, 1<<30)
	t.scope = map[string]int{"sub": ldap.ScopeWholeSubtree, "one": ldap.ScopeSingleLevel, "base": ldap.ScopeBaseObject}[f.Enum("scope", "sub", "sub", "one", "base")]
	t.terminal, t.leaf = f.Words("terminal_result_attribute", ""), f.Words("leaf_result_attribute", "")
	t.result, t.special = f.Words("result_attribute", "maildrop"), f.Words("special_result_attribute", "")
	t.attributes = slices.Concat(t.terminal, t.leaf, t.result, t.special)
	if f.Bool("chase_referrals", false) {
		f.Wrong("chase_referrals", "referrals are not followed: name the servers in server_host")
	}
	f.Int("version", 3, 2, 3) // 3 is spoken; 2, Postfix's default, is understood by no server that 3 is not
	f.Ignore("cache", "cache_expiry", "cache_size", "debuglevel", "tls_random_file")
	f.Refuse("not supported: bind with a name and a password (bind = yes), under TLS", "sasl_mechs", "sasl_realm", "sasl_authz_id", "sasl_minssf")
	f.Refuse("name one file: tls_ca_cert_file", "tls_ca_cert_dir")
	f.Refuse("the ciphers of TLS 1.2 and 1.3 that are sound are offered, no others", "tls_cipher_suite")
	l := login{}
	switch bind := strings.ToLower(f.Text("bind", "yes")); bind {
	case "yes", "simple", "true":
		l.dn, l.password = f.Text("bind_dn", ""), f.Text("bind_pw", "")
	case "no", "none", "false":
		f.Ignore("bind_dn", "bind_pw")
	default:
		f.Wrong("bind", "expected is yes or no; SASL is not supported")
	}
	l.startTLS = f.Bool("start_tls", false)
	secure := ldapTLS(f)
	hosts, at := ldapHosts(f, secure)
	t.pool = pool.New(pool.Config[*connection]{Hosts: hosts, Close: (*connection).close,
		Max:  f.Int("max_connections", 10, 1, 1000),
		Idle: f.Duration("idle_interval", time.Minute), Retry: f.Duration("retry_interval", time.Minute), Now: env.Now, Intn: env.Intn,
		Dial: func(ctx context.Context, host string) (*connection, error) { return l.dial(ctx, at[host]) }})
	bad, err := f.Done()
	return t, bad, err
}

// ldapHosts reads server_host: names, name:port, and URLs ldap://, ldaps://, ldapi://.
func ldapHosts(f *mapconf.File, secure *tls.Config) (hosts []string, at map[string]endpoint) {
	hosts, at = f.Words("server_host", "localhost"), map[string]endpoint{}
	port := fmt.Sprint(f.Int("server_port", 389, 1, 65535))
	if len(hosts) == 0 {
		f.Wrong("server_host", "expected is a host")
	}
	for _, h := range hosts {
		e := endpoint{network: "tcp", secure: secure.Clone()}
		scheme, rest, isURL := strings.Cut(h, "://")
		if !isURL {
			scheme, rest = "ldap", h
		}
		rest = strings.TrimSuffix(rest, "/")
		switch strings.ToLower(scheme) {
		case "ldap":
			e.address = withPort(rest, port)
		case "ldaps":
			e.address, e.tls = withPort(rest, "636"), true
		case "ldapi":
			path, err := url.PathUnescape(rest)
			if err != nil || !strings.HasPrefix(path, "/") {
				f.Wrong("server_host", "expected is the path of a socket, as in ldapi://%%2Frun%%2Fslapd%%2Fldapi")
			}
			e.network, e.address = "unix", path
		default:
			f.Wrong("server_host", "%q: expected is a host, ldap://host:port, ldaps://host:port or ldapi://path", h)
		}
		e.secure.ServerName, _, _ = net.SplitHostPort(e.address)
		at[h] = e
	}
	return hosts, at
}

func withPort(host, port string) string {
	if h, p, err := net.SplitHostPort(host); err == nil && p != "" {
		return net.JoinHostPort(h, p)
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

func ldapTLS(f *mapconf.File) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: !f.Bool("tls_require_cert", false)} // ldap_table(5): no by default
	if ca := f.Text("tls_ca_cert_file", ""); ca != "" {
		pem, err := os.ReadFile(ca)
		c.RootCAs = x509.NewCertPool()
		if err != nil {
			f.Wrong("tls_ca_cert_file", "%v", err)
		} else if !c.RootCAs.AppendCertsFromPEM(pem) {
			f.Wrong("tls_ca_cert_file", "no certificate in PEM form")
		}
	}
	cert, key := f.Text("tls_cert", ""), f.Text("tls_key", "")
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			f.Wrong("tls_cert", "%v", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}
