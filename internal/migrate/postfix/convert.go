package postfix

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/config"
)

// The makers of simple conversions.

func number(key string, least int) func(*move, *param) verdict {
	return func(m *move, p *param) verdict {
		n, err := parseInt(p.value)
		if err != nil {
			return unsupported("%v", err)
		}
		if n < least {
			return m.put(p, key, least).with("%d is too few here", n)
		}
		return m.put(p, key, n)
	}
}

func span(key string) func(*move, *param) verdict {
	return func(m *move, p *param) verdict {
		d, err := parseTime(p.value, unitOf(m.defaults[p.name]))
		if err != nil {
			return unsupported("%v", err)
		}
		return m.put(p, key, d)
	}
}

func size(key string) func(*move, *param) verdict {
	return func(m *move, p *param) verdict {
		n, err := parseInt(p.value)
		if err != nil {
			return unsupported("%v", err)
		}
		if n == 0 && key == "limits.disk_reserve" {
			return same("nothing is demanded; ours stays")
		}
		return m.put(p, key, config.Size(n))
	}
}

func text(key string) func(*move, *param) verdict {
	return func(m *move, p *param) verdict { return m.put(p, key, p.value) }
}

// forSMTP takes a limit of the transport smtp, or the default of all, where smtp has none of its own.
func forSMTP(key string, least int) func(*move, *param) verdict {
	return func(m *move, p *param) verdict {
		if ending, ok := strings.CutPrefix(p.name, "default_"); ok && m.IsSet("smtp_"+ending) {
			return meaningless("smtp_%s counts", ending)
		}
		return number(key, least)(m, p)
	}
}

func hostname(m *move, p *param) verdict {
	name := p.value
	if !strings.Contains(name, ".") {
		return m.put(p, "hostname", name+".localdomain").with("a host needs a full name: correct it")
	}
	return m.put(p, "hostname", name)
}

func mydomain(m *move, p *param) verdict {
	if user := m.user("mydomain"); user != "" {
		return meaningless("its value went to where it is used: %s", user)
	}
	return meaningless("nothing uses it but Postfix's own defaults, which are written out")
}

func protocols(m *move, p *param) verdict {
	switch words := strings.FieldsFunc(p.value, listSeparator); {
	case len(words) == 1 && (words[0] == "ipv4" || words[0] == "ipv6"):
		return m.put(p, "mta.inet_protocols", words[0])
	case p.value == "all" || len(words) == 2:
		return m.put(p, "mta.inet_protocols", "all")
	}
	return unsupported("%q: expected is all, ipv4 or ipv6", clip(p.value))
}

func mynetworks(m *move, p *param) verdict {
	networks, err := m.networks(p)
	if err != nil {
		return unsupported("%v", err)
	}
	v := m.put(p, "access.mynetworks", networks)
	others := config.Networks{}
	for _, n := range networks {
		if !n.Addr().IsLoopback() {
			others = append(others, n)
		}
	}
	if s := m.submission(); s != nil && len(others) > 0 && m.trusts(s) {
		v = merge(v, m.put(p, "submission.trusted_networks", others))
	}
	return v
}

// trusts tells whether a service takes mail from mynetworks without a login.
func (m *move) trusts(s *Service) bool {
	for _, name := range []string{"smtpd_relay_restrictions", "smtpd_recipient_restrictions", "smtpd_client_restrictions"} {
		if v, _ := m.Value(name, s); strings.Contains(v, "permit_mynetworks") {
			return true
		} else if name == "smtpd_relay_restrictions" && v != "" {
			return false
		}
	}
	return false
}

func mynetworksStyle(m *move, p *param) verdict {
	if m.IsSet("mynetworks") {
		return meaningless("mynetworks is set, which counts")
	}
	if p.value == "host" {
		return meaningless("mynetworks is written out: this host")
	}
	return unsupported("the networks of %q are those of the host's interfaces; write them into access.mynetworks", clip(p.value))
}

// largest is what smtp.max_message_size may be.
const largest = config.Size(2 << 30)

func sizeLimit(m *move, p *param) verdict {
	n, err := parseInt(p.value)
	if err != nil {
		return unsupported("%v", err)
	}
	if n == 0 || config.Size(n) > largest {
		return m.put(p, "smtp.max_message_size", largest).with("2GiB is the most here")
	}
	return m.put(p, "smtp.max_message_size", config.Size(n))
}

// backoff makes waiting times that double, of the shortest and the longest.
func backoff(m *move, p *param) verdict {
	shortest, err := m.time("minimal_backoff_time")
	if err != nil {
		return unsupported("%v", err)
	}
	longest, err := m.time("maximal_backoff_time")
	if err != nil {
		return unsupported("%v", err)
	}
	times := []config.Duration{shortest}
	for d := 2 * shortest; d < longest && d > 0 && len(times) < 30; d *= 2 {
		times = append(times, d)
	}
	if longest > shortest {
		times = append(times, longest)
	}
	return m.put(p, "mta.retry", times)
}

func (m *move) time(name string) (config.Duration, error) {
	value, err := m.Value(name, nil)
	if err != nil {
		return 0, err
	}
	return parseTime(value, unitOf(m.defaults[name]))
}

func delimiter(m *move, p *param) verdict {
	if len(p.value) > 1 {
		p.doubt("only one character can be the delimiter: %q is written; postrider domain set --delimiter takes several", p.value[:1])
		return m.put(p, "delivery.recipient_delimiter", p.value[:1])
	}
	return m.put(p, "delivery.recipient_delimiter", p.value)
}

func heloName(m *move, p *param) verdict {
	if host, _ := m.Value("myhostname", nil); host == p.value {
		return same("as hostname")
	}
	return m.put(p, "mta.helo_name", p.value)
}

// namedPorts are those that Postfix's configurations name.
func namedPort(s string) (int, bool) {
	switch s {
	case "smtp":
		return 25, true
	case "submission":
		return 587, true
	case "smtps", "submissions", "urd":
		return 465, true
	case "lmtp":
		return 24, true
	}
	if n, err := strconv.ParseUint(s, 10, 16); err == nil && n > 0 {
		return int(n), true
	}
	n, err := net.LookupPort("tcp", s) // the system's file of services
	return n, err == nil
}

func port(m *move, p *param) verdict {
	n, ok := namedPort(p.value)
	if !ok {
		return unsupported("%q is no port", clip(p.value))
	}
	return m.put(p, "mta.port", n)
}

func bareNewline(m *move, p *param) verdict {
	networks, err := m.networks(p)
	if err != nil {
		return unsupported("%v", err)
	}
	return m.put(p, "smtp.bare_newline_networks", networks)
}

func connectionCount(m *move, p *param) verdict {
	if keys := m.byName[p.name]; len(keys) > 0 {
		return m.named(p, keys)
	}
	if p.value == "0" {
		return m.put(p, "smtp.max_connections_per_address", 1000000)
	}
	return number("smtp.max_connections_per_address", 1)(m, p)
}

func loginMaps(m *move, p *param) verdict {
	var v verdict
	if keys := m.byName[p.name]; len(keys) > 0 {
		v = m.named(p, keys)
	}
	if !m.checksLogin() {
		return merge(v, meaningless("no restriction asks for it"))
	}
	if p.value == "" || !m.compares(m.submission()) {
		return merge(v, m.put(p, "submission.require_sender_ownership", true)).with("an account may use its own address and its aliases; add the others as aliases")
	}
	// The restriction asks the tables there, and more senders are in them than the directory's.
	return merge(v, m.put(p, "submission.require_sender_ownership", false)).with("the names in it are those that users log in with: addresses of accounts")
}

// checksLogin tells whether a sender's address is compared with who logged in.
func (m *move) checksLogin() bool {
	return m.compares(nil) || m.compares(m.submission())
}

// compares tells whether a service does.
func (m *move) compares(s *Service) bool {
	for _, name := range []string{"smtpd_sender_restrictions", "smtpd_recipient_restrictions", "smtpd_client_restrictions", "smtpd_relay_restrictions"} {
		if v, _ := m.Value(name, s); strings.Contains(v, "login_mismatch") {
			return true
		}
	}
	return false
}

func mailboxLimit(m *move, p *param) verdict {
	if keys := m.byName[p.name]; len(keys) > 0 && p.value != "0" {
		return m.named(p, keys)
	}
	if p.value == "0" {
		return meaningless("no limit: accounts have none either")
	}
	return unsupported("room is said for each account: postrider account set ADDRESS --quota SIZE")
}

func saslServer(m *move, p *param) verdict {
	if p.value == "no" || m.submission() != nil {
		return meaningless("AUTH is offered on submission and submissions, under TLS")
	}
	return unsupported("AUTH is not offered on port 25: users send through submission (587) or submissions (465); tell those who use 25")
}

// exists tells whether a file of the old system is there.
func (m *move) exists(path string) bool {
	_, err := os.Stat(m.At(path))
	return err == nil
}

// absolute gives a path that is relative to Postfix's folder its full form.
func (m *move) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join("/etc/postfix", path)
}
