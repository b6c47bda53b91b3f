package postfix

import (
	"context"
	"net"
	"strings"

	"github.com/postrider/postrider/internal/decide/table"
)

// relay is what relayhost names.
type relay struct {
	host   string
	port   int
	direct bool // in brackets: its MX records are not asked
}

// parseRelay reads "[host]:port", "host:port", "host", "[address]".
func parseRelay(s string) (relay, bool) {
	r := relay{host: s, port: 25}
	s = strings.TrimPrefix(s, "smtp:")
	if rest, ok := strings.CutPrefix(s, "["); ok {
		host, after, closed := strings.Cut(rest, "]")
		if !closed || after != "" && after[0] != ':' {
			return r, false
		}
		r.host, r.direct = strings.TrimPrefix(host, "ipv6:"), true
		s = strings.TrimPrefix(after, ":")
		if after == "" {
			return r, r.host != ""
		}
	} else {
		host, port, hasPort := strings.Cut(s, ":")
		if r.host = host; !hasPort {
			return r, host != "" && !strings.ContainsAny(host, ", \t")
		}
		s = port
	}
	port, ok := namedPort(s)
	r.port = port
	return r, ok && r.host != ""
}

// smartHost tells that the relay wants what only mta.smart_host has: a password, or a verified certificate. Else it is
// routing.relayhost, which knows MX records.
func (m *move) smartHost() bool {
	enabled, _ := m.Value("smtp_sasl_auth_enable", nil)
	passwords, _ := m.Value("smtp_sasl_password_maps", nil)
	return enabled == "yes" && passwords != "" || m.relayTLS() == "verify" || len(m.byName["relayhost"]) == 0
}

func relayhost(m *move, p *param) verdict {
	if p.value == "" {
		return same("no relay: mail goes to each domain's mail exchanger")
	}
	if !m.smartHost() {
		return m.named(p, m.byName[p.name])
	}
	r, ok := parseRelay(p.value)
	if !ok {
		return unsupported("%q is no single relay: expected is [host]:port", clip(p.value))
	}
	host := r.host
	if net.ParseIP(host) != nil {
		host = "[" + host + "]"
	}
	v := merge(merge(m.put(p, "mta.smart_host.host", host), m.put(p, "mta.smart_host.port", r.port)), m.put(p, "mta.smart_host.tls", m.relayTLS()))
	if !r.direct && net.ParseIP(r.host) == nil {
		v = v.with("the MX records of %s are not asked here: if it has any, name the host itself", r.host)
	}
	return v
}

func saslEnable(m *move, p *param) verdict {
	if p.value == "no" {
		return same("as Postfix's own default")
	}
	if passwords, _ := m.Value("smtp_sasl_password_maps", nil); passwords == "" {
		return unsupported("smtp_sasl_password_maps is empty, so there is no password")
	}
	return meaningless("with smtp_sasl_password_maps")
}

// saslPasswords finds the relay's name and password.
func saslPasswords(m *move, p *param) verdict {
	if p.value == "" {
		return same("none")
	}
	if enabled, _ := m.Value("smtp_sasl_auth_enable", nil); enabled != "yes" {
		return meaningless("smtp_sasl_auth_enable is off")
	}
	relayName, _ := m.Value("relayhost", nil)
	r, ok := parseRelay(relayName)
	if !ok || relayName == "" {
		return m.passwords(p)
	}
	secret, others, found := m.password(p, relayName, r)
	user, password, hasBoth := strings.Cut(secret, ":")
	by, _ := m.Value("smtp_sender_dependent_authentication", nil)
	switch {
	case !found:
		return m.passwords(p)
	case !hasBoth:
		return unsupported("the entry of %s has no name:password", relayName)
	}
	const file = "smart_host.password"
	m.files[file] = []byte(password + "\n")
	v := merge(m.put(p, "mta.smart_host.user", user), m.put(p, "mta.smart_host.password_file", m.outputPath(file)))
	if level := m.relayTLS(); level == "none" || level == "may" {
		v = merge(v, m.put(p, "mta.smart_host.tls", "encrypt")).with("a password is sent under TLS only: encrypt")
	}
	if others || by == "yes" {
		v = merge(v, m.passwords(p))
	}
	return v
}

// passwords has the tables asked at each delivery: for senders, for other hosts than the relay, or because they cannot be
// read here.
func (m *move) passwords(p *param) verdict {
	v := m.named(p, m.byName[p.name])
	if level, _ := m.Value("smtp_tls_security_level", nil); level == "" || level == "none" {
		v = merge(v, m.put(p, "mta.tls", "may")).with("a password is sent under TLS only")
	}
	return v
}

// others tells whether a table has passwords for somebody else than the relay: transports may lead there.
func others(t table.Table, taken string) (more bool) {
	if f, ok := t.(*table.Fixed); ok {
		f.All(func(key, _ string) bool {
			more = more || key != taken
			return true
		})
	}
	return more
}

// password asks the tables for the relay as it is written, and for its host alone.
func (m *move) password(p *param, written string, r relay) (secret string, more, found bool) {
	items, _ := table.Split(p.value)
	for _, item := range items {
		kind, path, _ := strings.Cut(strings.TrimPrefix(item, "proxy:"), ":")
		var t table.Table
		switch {
		case kind == "static":
			s, err := table.NewStatic(path)
			if err != nil {
				continue
			}
			t = s
		case kind == "inline":
			f, err := table.Inline(path)
			if err != nil {
				continue
			}
			t = f
		case isText(kind) && kind != "pcre" && kind != "regexp" && kind != "cidr":
			text, err := readTable(m.At(path))
			if err != nil {
				p.doubt("%s cannot be read: %s", item, reason(err))
				continue
			}
			f, _, err := table.Text(string(text))
			if err != nil {
				continue
			}
			t = f
		default:
			continue // at each delivery it can be
		}
		for _, key := range []string{written, r.host, "[" + r.host + "]"} {
			if secret, found, err := t.Lookup(context.Background(), key); found && err == nil {
				return secret, others(t, key), true
			}
		}
	}
	return "", false, false
}
