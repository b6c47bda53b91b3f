package obs

// dovecot writes an outcome of a mail reader's session in the words of Dovecot.
func (m *maillog) dovecot(e Event) {
	switch e := e.(type) {
	case AuthFailed:
		m.loginFailed(reader(e.Service)+"-login", e)
	case Login:
		master := ""
		if e.Master != "" {
			master = ", master=<" + cleanAngle(e.Master) + ">"
		}
		m.line("dovecot", m.pid, "%s-login: Login: user=<%s>, method=%s, %s%s", reader(e.Service), cleanAngle(e.Account), word(e.Mech),
			remote(e.Peer), master)
	case Logout:
		reason := clean(e.Reason)
		if reason == "" {
			reason = "Logged out"
		}
		m.line("dovecot", m.pid, "%s(%s)<%d><%s>: Disconnected: %s%s in=%d out=%d", reader(e.Service), cleanAngle(e.Account),
			m.session(e.Peer), word(e.Session), reason, e.Maildrop.dovecot(), e.In, e.Out)
	case Rejected:
		text := ""
		if e.Error != nil {
			text = oneLine(e.Error.Public)
		}
		m.line("dovecot", m.pid, "%s: %s refused: %s: rip=%s", reader(e.Service), word(e.Command), text, rip(e.Peer))
	case Disconnect:
		if e.Reason != "" {
			m.line("dovecot", m.pid, "%s-login: Disconnected: %s: %s", reader(e.Service), clean(e.Reason), remote(e.Peer))
		}
	case Connect: // Dovecot does not say it
	}
}

// loginFailed writes the line that fail2ban's filter for Dovecot takes.
func (m *maillog) loginFailed(program string, e AuthFailed) {
	m.line("dovecot", m.pid, "%s: Disconnected (auth failed, %d attempts): user=<%s>, method=%s, %s",
		program, max(1, e.Attempts), cleanAngle(e.Account), word(e.Mech), remote(e.Peer))
}

// remote writes the addresses, TLS and session of a connection.
func remote(p Peer) string {
	s := "rip=" + rip(p)
	if p.Local.IsValid() {
		s += ", lip=" + p.Local.Unmap().WithZone("").String()
	}
	if p.TLS != "" {
		s += ", TLS"
	}
	if p.Session != "" {
		s += ", session=<" + word(p.Session) + ">"
	}
	return s
}

func rip(p Peer) string { return p.Addr.Addr().Unmap().WithZone("").String() }

// reader names Dovecot's service for a listener of ours.
func reader(service string) string {
	switch service {
	case "pop3", "pop3s":
		return "pop3"
	case "managesieve":
		return "managesieve"
	}
	return "imap"
}
