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
	if keys := m.byName[p.name]; len(keys) > 0 {
		return m.named(p, keys)
	}
	relayName, _ := m.Value("relayhost", nil)
	r, ok := parseRelay(relayName)
	if !ok || relayName == "" {
		return unsupported("passwords are sent to the relay of relayhost only, and there is none")
	}
	secret, found := m.password(p, relayName, r)
	user, password, hasBoth := strings.Cut(secret, ":")
	switch {
	case !found:
		return unsupported("no password for %s is found in it; write it into a file and name that in mta.smart_host.password_file", relayName)
	case !hasBoth:
		return unsupported("the entry of %s has no name:password", relayName)
	}
	if by, _ := m.Value("smtp_sender_dependent_authentication", nil); by == "yes" {
		p.doubt("one name and password holds for all senders here: those of %s were taken", relayName)
	}
	const file = "smart_host.password"
	m.files[file] = []byte(password + "\n")
	v := merge(m.put(p, "mta.smart_host.user", user), m.put(p, "mta.smart_host.password_file", m.outputPath(file)))
	if level := m.relayTLS(); level == "none" || level == "may" {
		v = merge(v, m.put(p, "mta.smart_host.tls", "encrypt")).with("a password is sent under TLS only: encrypt")
	}
	return v
}

// others tells of the passwords that are for somebody else than the relay: transports may lead there.
func (m *move) others(p *param, t table.Table, item, taken string) {
	f, ok := t.(*table.Fixed)
	if !ok {
		return
	}
	n := 0
	f.All(func(key, _ string) bool {
		if key != taken {
			n++
		}
		return true
	})
	if by, _ := m.Value("smtp_sender_dependent_authentication", nil); n > 0 && by != "yes" {
		p.doubt("%s has %d more: a password is sent to the relay only, so other hosts that transports lead to get none", item, n)
	}
}

// password asks the tables for the relay as it is written, and for its host alone.
func (m *move) password(p *param, written string, r relay) (secret string, found bool) {
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
			p.doubt("%s cannot be asked here", item)
			continue
		}
		for _, key := range []string{written, r.host, "[" + r.host + "]"} {
			if secret, found, err := t.Lookup(context.Background(), key); found && err == nil {
				m.others(p, t, item, key)
				return secret, true
			}
		}
	}
	return "", false
}
