package smtp

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
)

// mail opens a transaction, RFC 5321 §4.1.1.2.
func (s *session) mail(args string) {
	path, from, params, err := parsePath(args, "FROM", true)
	e := &envelope.Envelope{From: from}
	if err == nil {
		params, err = s.offered(e, params)
	}
	if err == nil {
		err = mailParams(e, params, s.cfg.Limits.MessageSize)
	}
	if err == nil && !e.UTF8 {
		err = needASCII(path, true)
	}
	if err == nil && from.Domain == "" && from.Local != "" { // <postmaster> is a recipient only
		err = errSyntax
	}
	switch {
	case errors.Is(err, ErrTooBig):
		s.refuse(err, EventMailRefused)
		return
	case err != nil:
		s.fault(err)
		return
	}
	if s.stats.Messages >= s.cfg.Limits.Messages {
		s.hangUp(errMessages, EndRefused)
		return
	}
	if s.cfg.RequireAuth != nil && s.peer.Identity.IsZero() {
		if err := s.cfg.RequireAuth(&s.peer); err != nil {
			s.refuse(err, EventMailRefused)
			return
		}
	}
	if err := s.back.Mail(s.ctx, e); err != nil {
		s.refuse(err, EventMailRefused)
		return
	}
	s.env = e
	s.expires = time.Now().Add(s.cfg.Timeouts.Transaction)
	s.wasted()
	if s.end == "" {
		s.ok("2.1.0", "Ok")
	}
}

// rcpt adds a recipient, RFC 5321 §4.1.1.3.
func (s *session) rcpt(args string) {
	path, to, params, err := parsePath(args, "TO", false)
	r := envelope.Recipient{To: to}
	if err == nil {
		err = rcptParams(&r, params)
	}
	if err == nil && !s.env.UTF8 {
		err = needASCII(path, false)
	}
	if err == nil && to.IsZero() {
		err = errSyntax
	}
	if err != nil {
		s.refused = true
		s.fault(err)
		return
	}
	if len(s.env.Recipients) >= s.cfg.Limits.Recipients { // RFC 5321 §4.5.3.1.10
		s.refused = true
		s.fail(errRcptMax) // no fault of the client's: it comes again with the rest
		return
	}
	if err := s.back.Rcpt(s.ctx, s.env, &r); err != nil {
		s.refused = true
		s.refuse(err, EventRcptRefused)
		return
	}
	s.env.Recipients = append(s.env.Recipients, r)
	s.ok("2.1.5", "Ok")
}

// ready tells why the transaction cannot take a message yet.
func (s *session) ready() error {
	switch {
	case s.peer.Hello == "":
		return errHelloFirst
	case s.env == nil:
		return errNeedMail
	case len(s.env.Recipients) > 0:
		return nil
	case s.refused && !s.cfg.LMTP: // RFC 2033 §4.2 wants 503
		return errNoRcpt
	}
	return errNeedRcpt
}

// data is RFC 5321 §4.1.1.4.
func (s *session) data(string) {
	if err := s.ready(); err != nil {
		s.fault(err)
		return
	}
	end, err := s.begin()
	if err != nil {
		s.refuse(err, EventDataRefused)
		return
	}
	defer end()
	s.reply(354, "", "End data with <CR><LF>.<CR><LF>")
	s.in.grow()
	dots := dotSource{in: &s.in, fill: s.fillBlock}
	if s.lax() {
		s.receive(&laxSource{dotSource: dots})
	} else {
		s.receive(&dots)
	}
	s.in.shrink()
}

// bdat is RFC 3030 §2. The octets follow the command whatever is said to it, so they are read in any case.
func (s *session) bdat(args string) {
	size, last, err := parseBdat(args)
	if err != nil {
		s.hangUp(err, EndLimit)
		return
	}
	source := &chunkSource{in: &s.in, fill: s.fillBlock, left: size, last: last}
	source.more = func() error { return s.nextChunk(source) }
	s.in.grow()
	defer s.in.shrink()
	if err := s.ready(); err != nil {
		s.discard(source, err)
		return
	}
	end, err := s.begin()
	if err != nil {
		s.discard(source, err)
		s.reset() // RFC 3030 §2: chunks sent ahead must not become a message without their first
		return
	}
	defer end()
	s.receive(source)
}

// discard reads a chunk that is not wanted, and says why.
func (s *session) discard(source *chunkSource, why error) {
	source.last = true
	rest := &body{source: source, max: s.cfg.Limits.MessageSize}
	if _, broken := rest.drain(s.cfg.Limits.Drain); broken != nil {
		s.lost(broken)
		return
	}
	s.wasted()
	if s.end == "" {
		s.fail(why) // one fault, but perhaps many chunks were on their way
	}
}

// begin asks whether one more message may come in now.
func (s *session) begin() (end func(), err error) {
	if err := s.back.Ready(s.ctx, s.env); err != nil {
		return nil, err
	}
	if s.cfg.Begin == nil {
		return func() {}, nil
	}
	// What waits here waits before the client sends anything, except for what it has sent ahead.
	if err := s.flush(); err != nil {
		return nil, err
	}
	return s.cfg.Begin(s.ctx, s.peer.Remote.Addr(), s.env.Size)
}

// nextChunk answers a chunk that is not the last and reads commands until the next one, or until one that gives the
// message up: it is kept for dispatch.
func (s *session) nextChunk(source *chunkSource) error {
	s.ok("2.0.0", "Ok")
	for {
		line, err := s.command()
		if s.end != "" {
			return errAborted
		}
		if err != nil {
			return err
		}
		switch name, args := splitCommand(line); name {
		case "NOOP":
			s.noop("")
		case "BDAT":
			s.stats.Commands++
			if source.left, source.last, err = parseBdat(args); err != nil {
				s.hangUp(err, EndLimit)
				return errAborted
			}
			return nil
		default:
			s.pending = &line
			return errAborted
		}
		if s.end != "" {
			return errAborted
		}
	}
}

func parseBdat(args string) (size int64, last bool, err error) {
	number, word, given := strings.Cut(args, " ")
	n, err := strconv.ParseUint(number, 10, 62)
	if err != nil || given && !strings.EqualFold(word, "LAST") {
		return 0, false, errBdat
	}
	return int64(n), given, nil
}

// receive hands the message to the backend and answers for it.
func (s *session) receive(source source) {
	b := &body{source: source, max: s.cfg.Limits.MessageSize}
	s.body, s.began = b, time.Now()
	defer func() { s.body = nil }()
	text, err := s.back.Data(s.ctx, s.env, b)
	chunks, chunked := source.(*chunkSource)
	if chunked && err != nil && (b.err == nil || errors.As(b.err, new(*status.Error))) {
		chunks.last = true // this chunk is answered by the error, and the client must give the message up (RFC 3030 §2)
	}
	violation, broken := b.drain(s.cfg.Limits.Drain)
	s.stats.Octets += b.size
	switch {
	case errors.Is(broken, errAborted):
		s.reset()
		return
	case errors.Is(broken, errSkipped):
		if violation == nil {
			violation = ErrTooBig
		}
		s.reset()
		s.refuse(violation, EventDataRefused)
		s.end = EndLimit
		return
	case broken != nil:
		s.lost(broken)
		return
	case violation != nil:
		err = violation
	}
	if violation == ErrBareLF || violation == ErrBareCR {
		s.stats.BareLines++
		s.event(EventBareLine)
	}
	s.answer(text, err)
}

// answer replies to the end of data: once, or in LMTP once for each recipient (RFC 2033 §4.2).
func (s *session) answer(text string, err error) {
	if text == "" {
		text = "Ok"
	}
	each := RecipientErrors(nil)
	if !s.cfg.LMTP || !errors.As(err, &each) || len(each) != len(s.env.Recipients) {
		each = make(RecipientErrors, 1)
		if s.cfg.LMTP {
			each = make(RecipientErrors, len(s.env.Recipients))
		}
		for i := range each {
			each[i] = err
		}
	}
	good, accepted := 0, len(s.env.Recipients)
	for _, err := range each {
		if err == nil {
			good++
		}
	}
	if s.cfg.LMTP {
		accepted = good
	}
	if good == 0 {
		s.reset()
	} else {
		s.stats.Messages++
		s.stats.Recipients += accepted
		s.junk = 0
		s.event(EventMessage)
		s.endTransaction()
	}
	for _, err := range each {
		if err != nil { // every recipient must have its reply, so the limit of refusals waits
			s.stats.Refusals++
			s.event(EventDataRefused)
			s.fail(err)
		} else {
			s.ok("2.0.0", text)
		}
	}
}
