package smtp

import (
	"fmt"
	"strconv"
	"strings"
)

// flag says when a verb may come.
type flag uint8

const (
	hello   flag = 1 << iota // only after EHLO, HELO or LHLO
	closed                   // not within a transaction
	open                     // only within a transaction
	bare                     // takes no arguments
	argued                   // needs an argument
	always                   // also on a connection that was refused
	onSMTP                   // not in LMTP
	onLMTP                   // only in LMTP
	verbMax = 16
)

// verb is one row of the dispatch table.
type verb struct {
	run   func(*session, string)
	flags flag
}

// verbs returns the table. RFC 5321 §4.1.4 gives the order of commands that the flags hold; the rows are here only.
func verbs() map[string]verb {
	return map[string]verb{
		"EHLO":     {(*session).ehlo, argued | onSMTP},
		"HELO":     {(*session).helo, argued | onSMTP},
		"LHLO":     {(*session).ehlo, argued | onLMTP},
		"STARTTLS": {(*session).starttls, hello | closed | bare},
		"AUTH":     {(*session).auth, hello | closed | argued},
		"MAIL":     {(*session).mail, hello | closed | argued},
		"RCPT":     {(*session).rcpt, hello | open | argued},
		"DATA":     {(*session).data, hello | open | bare},
		"BDAT":     {(*session).bdat, argued}, // its octets follow whatever the reply is
		"RSET":     {(*session).rset, bare},
		"NOOP":     {(*session).noop, 0},
		"VRFY":     {(*session).vrfy, argued},
		"QUIT":     {(*session).quit, bare | always},
		"EXPN":     {(*session).never, 0},
		"XCLIENT":  {(*session).xclient, closed | argued},
		"XFORWARD": {(*session).xforward, closed | argued},
		"HELP":     {(*session).help, 0},
		"ETRN":     {(*session).never, 0},
		"TURN":     {(*session).never, 0},
		"GET":      {(*session).http, always},
		"HEAD":     {(*session).http, always},
		"POST":     {(*session).http, always},
		"PUT":      {(*session).http, always},
		"OPTIONS":  {(*session).http, always},
		"CONNECT":  {(*session).http, always},
	}
}

// dispatch obeys one command line.
func (s *session) dispatch(line string) {
	s.stats.Commands++
	if s.stats.Commands > s.cfg.Limits.Commands {
		s.hangUp(errCommands, EndLimit)
		return
	}
	name, args := splitCommand(line)
	v, known := s.srv.verbs[name]
	if s.stats.Last = name; !known {
		s.stats.Last = "UNKNOWN"
	}
	// MAIL and RCPT judge their octets themselves, since SMTPUTF8 may allow more.
	if plain := !known || name != "MAIL" && name != "RCPT"; plain && !isPrintable(strings.ReplaceAll(line, "\t", " ")) {
		s.fault(errLine8Bit)
		return
	}
	wrongMode := v.flags&onSMTP != 0 && s.cfg.LMTP || v.flags&onLMTP != 0 && !s.cfg.LMTP
	switch {
	case s.back == nil && v.flags&always == 0:
		s.fault(errRefused)
	case !known || wrongMode:
		s.fault(errUnknown)
	case v.flags&bare != 0 && args != "":
		s.fault(errNoArgs)
	case v.flags&argued != 0 && args == "":
		s.fault(errSyntax)
	case v.flags&hello != 0 && s.peer.Hello == "":
		s.fault(errHelloFirst)
	case v.flags&open != 0 && s.env == nil:
		s.fault(errNeedMail)
	case v.flags&closed != 0 && s.env != nil:
		s.fault(errNested)
	default:
		v.run(s, args)
	}
}

// splitCommand returns the verb in upper case and its arguments without the white space around them.
func splitCommand(line string) (name, args string) {
	name, args, _ = strings.Cut(strings.TrimRight(line, " \t"), " ")
	if len(name) > verbMax {
		name = name[:verbMax]
	}
	return strings.ToUpper(name), strings.TrimLeft(args, " ")
}

// greeted resets everything (RFC 5321 §4.1.4) and keeps the name.
func (s *session) greeted(name string, extended bool) bool {
	if len(name) > maxHello || strings.ContainsAny(name, " \t") {
		s.fault(errSyntax)
		return false
	}
	s.reset()
	s.peer.Hello, s.peer.Extended = name, extended
	if err := s.back.Hello(s.ctx); err != nil {
		s.peer.Hello = ""
		s.refuse(err, EventMailRefused)
		return false
	}
	s.wasted()
	return s.end == ""
}

func (s *session) helo(name string) {
	if s.greeted(name, false) {
		s.reply(250, "", s.cfg.Hostname)
	}
}

func (s *session) ehlo(name string) {
	if !s.greeted(name, true) {
		return
	}
	text := append(make([]string, 0, 16), s.cfg.Hostname+" greets "+name,
		"PIPELINING",
		"SIZE "+strconv.FormatInt(s.cfg.Limits.MessageSize, 10),
		"8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES",
		fmt.Sprintf("LIMITS RCPTMAX=%d MAILMAX=%d", s.cfg.Limits.Recipients, s.cfg.Limits.Messages)) // RFC 9422 §4
	text = s.keywords(text)
	if s.cfg.TLS != nil && s.peer.TLS == nil {
		text = append(text, "STARTTLS")
	}
	if s.mayXClient() {
		names := xclientNames
		if s.cfg.Login == nil {
			names = strings.Replace(names, " LOGIN", "", 1)
		}
		text = append(text, "XCLIENT "+names)
	}
	if s.mayXForward() {
		text = append(text, "XFORWARD "+xforwardNames)
	}
	if s.authOffered() {
		text = append(text, "AUTH "+strings.Join(s.cfg.Auth.Offered(s.origin()), " "))
	}
	s.reply(250, "", strings.Join(text, "\n"))
}

func (s *session) rset(string) {
	s.reset()
	s.wasted()
	if s.end == "" {
		s.ok("2.0.0", "Ok")
	}
}

func (s *session) noop(string) {
	s.wasted()
	if s.end == "" {
		s.ok("2.0.0", "Ok")
	}
}

// vrfy tells nothing, RFC 5321 §7.3.
func (s *session) vrfy(string) {
	s.wasted()
	if s.end == "" {
		s.reply(252, "2.1.5", "Cannot VRFY user, but will take mail for it and try")
	}
}

func (s *session) quit(string) {
	s.reply(221, "2.0.0", "Bye")
	s.end = EndQuit
}

// help tells where to read on, and nothing about this server: RFC 5321 §4.1.1.8.
func (s *session) help(string) {
	s.wasted()
	if s.end == "" {
		s.reply(214, "2.0.0", "See RFC 5321; people are helped by postmaster at this host")
	}
}

func (s *session) never(string) { s.fault(errNoVerb) }

// http ends at once what a browser or proxy was tricked into.
func (s *session) http(string) {
	s.event(EventHTTP)
	s.cfg.Log.Info("smtp: HTTP", "session", s.peer.ID, "client", s.peer.Remote.String())
	s.hangUp(errHTTP, EndAttack)
}

func (s *session) starttls(string) {
	switch {
	case s.peer.TLS != nil:
		s.fault(errSequence)
		return
	case s.cfg.TLS == nil:
		s.fault(errNoVerb)
		return
	case len(s.in.window()) > 0 || s.in.skip:
		// What came in the clear behind STARTTLS would be taken for what TLS protects (RFC 3207 §6).
		s.event(EventInjection)
		s.cfg.Log.Warn("smtp: plain text after STARTTLS", "session", s.peer.ID, "client", s.peer.Remote.String(), "octets", len(s.in.window()))
		s.in.consume(len(s.in.window()))
		s.hangUp(errInjected, EndAttack)
		return
	}
	if err := s.cfg.Shared.MayHandshake(s.peer.Remote.Addr()); err != nil {
		s.refuse(err, EventTLSFailed)
		return
	}
	s.reply(220, "2.0.0", "Ready to start TLS")
	if err := s.flush(); err != nil {
		s.lost(err)
		return
	}
	s.reset()
	s.peer.Hello = ""
	s.handshake()
}
