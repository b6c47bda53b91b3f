package postfix

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/config"
)

// smtpd is the service that mail from the internet comes to: port 25's, behind postscreen where that is in front.
func (m *move) smtpd() *Service {
	if s := m.service("smtpd", "pass"); s != nil && m.postscreen() != nil {
		return s
	}
	return m.first("smtp", 25)
}

// first is the service of a listener whose settings count: the one with its own port, not of this host alone; else the first
// of master.cf. A panel's service on loopback may stand before port 25's, and have no restrictions.
func (m *move) first(listener string, port int) (found *Service) {
	best := -1
	for i, s := range m.Services {
		if s.Type != "inet" || s.Command != "smtpd" || m.listener(s) != listener {
			continue
		}
		host, name := splitService(s.Name)
		rank := 0
		if n, _ := namedPort(name); n == port {
			rank += 2
		}
		if !isLoopback(host) {
			rank++
		}
		if rank > best {
			found, best = &m.Services[i], rank
		}
	}
	return found
}

func (m *move) postscreen() *Service {
	for i, s := range m.Services {
		if s.Type == "inet" && s.Command == "postscreen" {
			return &m.Services[i]
		}
	}
	return nil
}

// submission is the service of our users: port 587's, else 465's.
func (m *move) submission() *Service {
	if s := m.first("submission", 587); s != nil {
		return s
	}
	return m.first("submissions", 465)
}

// listener tells which of our listeners a service of type inet is; "" for none, "reinject" for where mail comes back from a
// content filter.
func (m *move) listener(s Service) string {
	if s.Command == "postscreen" {
		return "smtp"
	}
	if s.Command != "smtpd" {
		return ""
	}
	host, port := splitService(s.Name)
	n, _ := namedPort(port)
	filter, stops := s.override("content_filter")
	wrapped, _ := s.override("smtpd_tls_wrappermode")
	auth, _ := s.override("smtpd_sasl_auth_enable")
	switch {
	case stops && filter == "" && isLoopback(host):
		return "reinject"
	case wrapped == "yes" || n == 465:
		return "submissions"
	case auth == "yes" || n == 587:
		return "submission"
	}
	return "smtp"
}

// splitService splits "127.0.0.1:10025", "[::1]:25", "smtp".
func splitService(name string) (host, port string) {
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		return strings.Trim(name[:i], "[]"), name[i+1:]
	}
	return "", name
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// addresses are where a service listens.
func (m *move) addresses(p *param, s Service) []string {
	host, port := splitService(s.Name)
	n, ok := namedPort(port)
	if !ok {
		p.doubt("%q is no port", clip(port))
		return nil
	}
	hosts := []string{host}
	if host == "" {
		interfaces, _ := m.Value("inet_interfaces", nil)
		hosts = strings.FieldsFunc(interfaces, listSeparator)
	}
	protocols, _ := m.Value("inet_protocols", nil)
	var out []string
	for _, h := range hosts {
		switch h = strings.Trim(h, "[]"); {
		case h == "all" && protocols == "ipv4":
			out = append(out, "0.0.0.0:"+strconv.Itoa(n))
		case h == "all" && protocols == "ipv6":
			out = append(out, "[::]:"+strconv.Itoa(n))
		case h == "all":
			out = append(out, ":"+strconv.Itoa(n))
		case h == "loopback-only" || h == "localhost":
			if protocols != "ipv6" {
				out = append(out, "127.0.0.1:"+strconv.Itoa(n))
			}
			if protocols != "ipv4" {
				out = append(out, "[::1]:"+strconv.Itoa(n))
			}
		default:
			out = append(out, net.JoinHostPort(h, strconv.Itoa(n)))
		}
	}
	return out
}

func interfaces(m *move, p *param) verdict {
	if p.value == "all" {
		return same("all addresses")
	}
	if len(m.Services) == 0 {
		p.doubt("there is no master.cf, so the ports are not known: write listeners.*.addresses")
		return same("")
	}
	return verdict{fate: Translated, keys: []string{"listeners.smtp.addresses"}, text: "with the services of master.cf"}
}

// services finds the fate of every service and of its -o, then opens the listeners.
func (m *move) services() {
	listeners := map[string][]string{}
	origin := map[string]*param{}
	for i := range m.Services {
		s := &m.Services[i]
		p := &param{name: "", file: "master.cf", line: s.Line, service: s}
		v := m.serviceFate(p, s)
		if name := m.listener(*s); s.Type == "inet" && name != "" {
			for _, a := range m.addresses(p, *s) {
				if !slices.Contains(listeners[name], a) {
					listeners[name] = append(listeners[name], a)
				}
			}
			if origin[name] == nil {
				origin[name] = &param{name: s.Label(), file: "master.cf", line: s.Line}
			}
			v = translated("listeners." + name + ".addresses")
			if s.Command == "postscreen" {
				v = merge(v, m.put(p, "screen.enabled", true))
			}
		}
		m.tell(p, v)
		for i, o := range s.Override {
			p := &param{name: o.Name, raw: o.Value, file: "master.cf", line: o.Line, service: s}
			if slices.ContainsFunc(s.Override[i+1:], func(later Setting) bool { return later.Name == o.Name }) {
				m.tell(p, meaningless("it is set again for this service; the last one counts"))
				continue
			}
			m.judge(p)
		}
	}
	if len(m.Services) > 0 {
		m.listen(listeners, origin)
	}
}

// listen writes the listeners. Where users log in on port 25 only, the ports for them stay open: they must move there.
func (m *move) listen(listeners map[string][]string, origin map[string]*param) {
	auth, _ := m.Value("smtpd_sasl_auth_enable", nil)
	none := &param{name: "no such service in master.cf"}
	if p := origin["reinject"]; p != nil {
		m.put(p, "listeners.reinject.enabled", true)
		m.put(p, "listeners.reinject.addresses", listeners["reinject"])
		m.put(p, "filters.reinject_networks", loopback())
	}
	for _, name := range []string{"smtp", "submission", "submissions"} {
		key := "listeners." + name
		switch p := origin[name]; {
		case p != nil:
			m.put(p, key+".addresses", listeners[name])
		case name == "smtp" || auth != "yes":
			m.put(none, key+".enabled", false)
		}
	}
	if interfaces, _ := m.Value("inet_interfaces", nil); interfaces == "loopback-only" || interfaces == "localhost" || interfaces == "127.0.0.1" {
		for _, name := range []string{"imap", "imaps", "pop3", "pop3s"} {
			m.put(&param{name: "inet_interfaces: nobody reads mail from outside"}, "listeners."+name+".enabled", false)
		}
	}
}

// serviceFate tells what becomes of a service that is no listener.
func (m *move) serviceFate(p *param, s *Service) verdict {
	switch {
	case s.Type == "inet" && s.Command == "qmqpd":
		return unsupported("QMQP is not spoken; let the clients use submission")
	case s.Type == "inet":
		return unsupported("%s on the network has no counterpart", s.Command)
	case s.Command == "pipe":
		return m.program(p, s)
	case s.Command == "spawn":
		return m.spawned(s)
	case isDelivery(s.Command) && !isDelivery(s.Name) && s.Name != "relay":
		if !m.transportUsed(s.Name) {
			return meaningless("nothing sends mail to it")
		}
		if len(s.Override) == 0 || m.feedsFilter(s.Name) {
			return meaningless("as %s, and called so here", s.Command)
		}
		return unsupported("a copy of %s with settings of its own; mail for it goes by %s here, with the settings of [mta]", s.Command, s.Command)
	}
	return meaningless("%s", oneProgram)
}

func isDelivery(command string) bool {
	switch command {
	case "smtp", "lmtp", "local", "virtual", "error", "retry", "discard", "relay":
		return true
	}
	return false
}

// isProgram tells the services that Postfix starts programs for.
func (m *move) isProgram(name string) bool {
	s := m.service(name, "unix")
	return s != nil && (s.Command == "pipe" || s.Command == "spawn")
}

// feedsFilter tells that a transport leads to the content filter.
func (m *move) feedsFilter(name string) bool {
	filter, _ := m.Value("content_filter", nil)
	return strings.HasPrefix(filter, name+":")
}

// transportUsed tells whether a parameter, or a table that was taken along, names a transport.
func (m *move) transportUsed(name string) bool {
	if m.used[name] {
		return true
	}
	uses := func(value string) bool {
		for word := range strings.FieldsFuncSeq(value, listSeparator) {
			if word == name || strings.HasPrefix(word, name+":") || strings.HasPrefix(word, "FILTER") {
				return true
			}
		}
		return false
	}
	for _, s := range m.Settings {
		if uses(s.Value) {
			return true
		}
	}
	for _, s := range m.Services {
		for _, o := range s.Override {
			if uses(o.Value) {
				return true
			}
		}
	}
	return false
}

// loopback is this host: where content filters of Postfix are.
func loopback() config.Networks {
	return config.Networks{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")}}
}
