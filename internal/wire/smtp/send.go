package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
)

// Outgoing is a message to send.
type Outgoing struct {
	Envelope *envelope.Envelope
	// Body gives the message with CRLF line ends; io.WriterTo is used if it has it. BDAT sends it as it is; DATA makes CRLF
	// of a bare LF or CR (RFC 5321 §2.3.8 forbids to send them) and of a missing last line end.
	Body io.Reader
	Size int64 // octets that Body gives; -1: not known (then the message goes by DATA, without SIZE)
	// All: to every recipient or to none. Where one is refused the message is not sent. It needs ClientOptions.NoPipelining.
	All bool
}

// Outcome is what became of one recipient.
type Outcome struct {
	Phase Phase // where it was decided: PhaseMail, PhaseRcpt, PhaseData (DATA refused), PhaseEnd
	Reply Reply // the words that decided; Code 0: not decided, the connection broke before
}

// Accepted tells whether the server has taken over the responsibility for this recipient.
func (o Outcome) Accepted() bool { return o.Phase == PhaseEnd && o.Reply.Code/100 == 2 }

// What the next hop cannot take although it was never asked.
var (
	Err8Bit     = status.Perm(554, 6, 3, "Message has 8-bit text, which the next server does not take")            // RFC 6152 §3
	ErrSMTPUTF8 = status.Perm(550, 6, 7, "Addresses or header need SMTPUTF8, which the next server does not take") // RFC 6531 §3.5
	ErrBodySize = errors.New("smtp: message gave another number of octets than announced")
	ErrNextSize = status.Perm(552, 3, 4, "Message is larger than the next server takes") // RFC 1870 §6.1
	// ErrRequireTLS is for hosts that do not promise to require TLS of the next hop in turn.
	ErrRequireTLS = status.Perm(550, 7, 30, "The sender requires TLS on the whole way (REQUIRETLS), which the next server does not promise") // RFC 8689 §4.2.1
	ErrDeliverBy  = status.Perm(550, 3, 3, "The sender wants it in time or back (DELIVERBY), which the next server does not do")             // RFC 2852 §4.2
	ErrTooLate    = status.Perm(550, 4, 7, "The time in which the sender wants it delivered is over, or less than the next server needs")    // RFC 2852 §4.1.4
)

// group is how many commands are sent before their replies are read. RFC 2920 §3.1 leaves it to the client not to block
// both directions; this many fit any socket buffer.
const group = 100

// Send runs one mail transaction. The outcomes, one for each recipient of the envelope in their order, hold whatever has
// been decided, also when there is an error. The error is a *status.Error if the message cannot go to this server
// (nothing has been sent then), a *ClientError if the connection broke: in PhaseEnd all of the message had gone out and
// recipients without a decision may or may not have got it.
func (c *Client) Send(ctx context.Context, m *Outgoing) ([]Outcome, error) {
	results := make([]Outcome, len(m.Envelope.Recipients))
	if err := c.acceptable(m); err != nil {
		return results, err
	}
	if c.fatal != nil {
		return results, &ClientError{Phase: PhaseMail, Err: c.fatal}
	}
	defer c.watch(ctx)()
	_, chunking := c.ext["CHUNKING"]
	t := &transfer{Client: c, m: m, results: results, bdat: chunking && !c.opt.NoChunking && m.Size >= 0}
	return results, t.run(ctx)
}

// acceptable tells what the server's extensions forbid.
func (c *Client) acceptable(m *Outgoing) error {
	_, eight := c.ext["8BITMIME"]
	_, utf8 := c.ext["SMTPUTF8"]
	max := c.MaxSize()
	switch {
	case m.Envelope.UTF8 && !utf8:
		return ErrSMTPUTF8
	case m.Envelope.Body == envelope.Body8BitMIME && !eight && c.opt.Strict8Bit:
		return Err8Bit
	case max > 0 && m.Size > max:
		return ErrNextSize
	}
	if e := m.Envelope; e.DeliverByReturn && !e.DeliverBy.IsZero() {
		least, by := c.ext["DELIVERBY"]
		if !by {
			return ErrDeliverBy
		}
		seconds, _ := strconv.ParseInt(strings.TrimSpace(least), 10, 32) // none, or no number: any time will do
		if left := time.Until(e.DeliverBy); left < time.Second || left < time.Duration(seconds)*time.Second {
			return ErrTooLate
		}
	}
	return nil
}

// transfer is one transaction.
type transfer struct {
	*Client
	m       *Outgoing
	results []Outcome
	bdat    bool
}

func (t *transfer) run(ctx context.Context) error {
	_, pipelining := t.ext["PIPELINING"]
	pipelining = pipelining && !t.opt.NoPipelining
	lines := make([]string, 0, len(t.results)+2)
	lines = append(lines, t.mailLine())
	for i := range t.results {
		lines = append(lines, t.rcptLine(i))
	}
	if !t.bdat {
		lines = append(lines, "DATA") // last of its group, RFC 2920 §3.1
	}
	step := group
	if !pipelining {
		step = 1
	}
	var data Reply
	accepted := 0
	for at := 0; at < len(lines); at += step {
		part := lines[at:min(at+step, len(lines))]
		if part[0] == "DATA" && (accepted == 0 || t.lacking(accepted)) { // alone, and nobody wants it
			break
		}
		for _, line := range part {
			t.put(line)
		}
		for i := range part {
			r, err := t.reply(ctx, t.phase(at+i), t.wait(at+i))
			if err != nil {
				return err
			}
			switch no := at + i; {
			case no == 0 && r.Code/100 != 2:
				t.decideAll(Outcome{PhaseMail, r})
				if !pipelining {
					return t.abandon(ctx)
				}
			case no == 0:
			case no > len(t.results):
				data = r
			case r.Code/100 == 2:
				accepted++
			case t.results[no-1].Reply.Code == 0:
				t.results[no-1] = Outcome{PhaseRcpt, r}
			}
			if t.fatal != nil { // 421
				return &ClientError{Phase: t.phase(at + i), Err: t.fatal}
			}
		}
	}
	return t.finish(ctx, data, accepted)
}

// finish sends the message, or winds up where there is nobody to send it to.
func (t *transfer) finish(ctx context.Context, data Reply, accepted int) error {
	switch {
	case !t.bdat && data.Code == 354:
		return t.sendData(ctx, accepted)
	case !t.bdat && data.Code != 0:
		t.decideAll(Outcome{PhaseData, data})
		return t.abandon(ctx)
	case accepted == 0 || t.lacking(accepted):
		return t.abandon(ctx)
	}
	return t.sendChunk(ctx)
}

// lacking tells whether a message for all or none has a recipient who is refused.
func (t *transfer) lacking(accepted int) bool { return t.m.All && accepted < len(t.results) }

// abandon resets the server; that it could not be reset is the next user's affair.
func (t *transfer) abandon(ctx context.Context) error {
	if t.fatal == nil {
		_, _ = t.command(ctx, PhaseMail, "RSET")
	}
	return nil
}

func (t *transfer) phase(no int) Phase {
	switch {
	case no == 0:
		return PhaseMail
	case no <= len(t.results):
		return PhaseRcpt
	}
	return PhaseData
}

func (t *transfer) wait(no int) time.Duration {
	if no > len(t.results) {
		return t.opt.Timeouts.DataInit
	}
	return t.opt.Timeouts.Command
}

// decideAll sets o for every recipient that is not decided.
func (t *transfer) decideAll(o Outcome) {
	for i := range t.results {
		if t.results[i].Reply.Code == 0 {
			t.results[i] = o
		}
	}
}

// sendData sends the message behind 354. Without a recipient (RFC 2920 §3.1: a server may answer 354 all the same) it
// sends an empty one, which nobody gets.
func (t *transfer) sendData(ctx context.Context, accepted int) error {
	w := newDotWriter(&blockWriter{t.Client, ctx}, t.blockBuffer())
	if accepted > 0 {
		n, err := io.Copy(w, t.m.Body)
		if err == nil && t.m.Size >= 0 && n != t.m.Size {
			err = ErrBodySize
		}
		if err != nil {
			return t.cut(ctx, err)
		}
	}
	if err := w.Close(); err != nil {
		return t.cut(ctx, err)
	}
	if accepted == 0 {
		r, err := t.reply(ctx, PhaseData, t.opt.Timeouts.DataEnd)
		if err == nil && r.Code/100 == 2 {
			return nil
		}
		if err == nil {
			return t.abandon(ctx)
		}
		return err
	}
	return t.final(ctx)
}

// sendChunk sends the message as one BDAT chunk. Its last octets wait until Body has shown that there are no more than
// announced: once all are out, the server has the message.
func (t *transfer) sendChunk(ctx context.Context) error {
	w := &blockWriter{t.Client, ctx}
	buf := append(t.blockBuffer(), "BDAT "+strconv.FormatInt(t.m.Size, 10)+" LAST\r\n"...)
	for left := t.m.Size; ; {
		n, err := io.ReadFull(t.m.Body, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		left -= int64(n)
		switch end := err == io.EOF || err == io.ErrUnexpectedEOF; {
		case left < 0 || end && left > 0:
			return t.cut(ctx, ErrBodySize)
		case err != nil && !end:
			return t.cut(ctx, err)
		default:
			if _, err := w.Write(buf); err != nil {
				return t.cut(ctx, err)
			}
			if end {
				return t.final(ctx)
			}
		}
		buf = buf[:0]
	}
}

// blockBuffer is the connection's one buffer for messages, empty.
func (c *Client) blockBuffer() []byte {
	if c.block == nil {
		c.block = make([]byte, 0, dotBuffer)
	}
	return c.block[:0]
}

// cut ends a connection in the midst of a message, which the server must throw away (RFC 5321 §4.1.1.4). A server that
// closed may have said why.
func (t *transfer) cut(ctx context.Context, err error) error {
	var write *writeError
	if errors.As(err, &write) && ctx.Err() == nil && t.conn.SetReadDeadline(time.Now().Add(5*time.Second)) == nil {
		if r, rerr := readReply(t.in); rerr == nil && !r.Positive() {
			t.decideAll(Outcome{PhaseData, r})
		}
	}
	return t.broken(ctx, PhaseData, err)
}

// final reads the reply to the message: one, or in LMTP one for each recipient accepted (RFC 2033 §4.2).
func (t *transfer) final(ctx context.Context) error {
	if !t.opt.LMTP {
		r, err := t.reply(ctx, PhaseEnd, t.opt.Timeouts.DataEnd)
		if err == nil {
			t.decideAll(Outcome{PhaseEnd, r})
		}
		return err
	}
	for i := range t.results {
		if t.results[i].Reply.Code != 0 {
			continue
		}
		if t.fatal != nil {
			return &ClientError{Phase: PhaseEnd, Err: t.fatal}
		}
		r, err := t.reply(ctx, PhaseEnd, t.opt.Timeouts.DataEnd)
		if err != nil {
			return err
		}
		t.results[i] = Outcome{PhaseEnd, r}
	}
	return nil
}

func (t *transfer) offers(keyword string) bool {
	_, ok := t.ext[keyword]
	return ok
}

func (t *transfer) mailLine() string {
	e := t.m.Envelope
	line := "MAIL FROM:" + e.From.Path()
	if t.m.Size >= 0 && t.offers("SIZE") {
		line += " SIZE=" + strconv.FormatInt(t.m.Size, 10)
	}
	if e.Body == envelope.Body8BitMIME && t.offers("8BITMIME") {
		line += " BODY=8BITMIME"
	}
	if e.UTF8 {
		line += " SMTPUTF8"
	}
	if e.RequireTLS && t.offers("REQUIRETLS") {
		line += " REQUIRETLS"
	}
	if e.Priority != 0 && t.offers("MT-PRIORITY") { // RFC 6710 §4.1; who does not offer it gets none
		line += " MT-PRIORITY=" + strconv.Itoa(int(e.Priority))
	}
	if by := t.deliverBy(); by != "" {
		line += " BY=" + by
	}
	if t.offers("DSN") {
		line += map[envelope.Ret]string{envelope.RetFull: " RET=FULL", envelope.RetHeaders: " RET=HDRS"}[e.Ret]
		if e.EnvID != "" {
			line += " ENVID=" + encodeXtext(e.EnvID)
		}
	}
	return line
}

// deliverBy is what is left of DELIVERBY's time (RFC 2852 §4), empty where it is not to be said. A time that is over may be
// said of messages whose senders are warned only.
func (t *transfer) deliverBy() string {
	e := t.m.Envelope
	if e.DeliverBy.IsZero() || !t.offers("DELIVERBY") {
		return ""
	}
	const most = 999_999_999 // nine digits
	left := max(min(int64(time.Until(e.DeliverBy)/time.Second), most), -most)
	if e.DeliverByReturn {
		return strconv.FormatInt(max(left, 1), 10) + ";R"
	}
	return strconv.FormatInt(left, 10) + ";N"
}

func (t *transfer) rcptLine(i int) string {
	r := &t.m.Envelope.Recipients[i]
	line := "RCPT TO:" + r.To.Path()
	if !t.offers("DSN") {
		return line
	}
	var words []string
	for _, n := range []struct {
		flag envelope.Notify
		word string
	}{{envelope.NotifyNever, "NEVER"}, {envelope.NotifySuccess, "SUCCESS"}, {envelope.NotifyFailure, "FAILURE"}, {envelope.NotifyDelay, "DELAY"}} {
		if r.Notify&n.flag != 0 {
			words = append(words, n.word)
		}
	}
	if len(words) > 0 {
		line += " NOTIFY=" + strings.Join(words, ",")
	}
	if r.ORcpt != "" {
		line += " ORCPT=" + encodeORcpt(r.ORcpt, t.m.Envelope.UTF8)
	}
	return line
}

// writeError marks that it was the server who did not take what we wrote.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

// blockWriter writes the message, each block within its own time (RFC 5321 §4.5.3.2.5).
type blockWriter struct {
	c   *Client
	ctx context.Context
}

func (w *blockWriter) Write(p []byte) (int, error) {
	if err := w.c.deadline(w.ctx, w.c.opt.Timeouts.Block); err != nil {
		return 0, err
	}
	n, err := w.c.conn.Write(p)
	if err != nil {
		err = &writeError{fmt.Errorf("write: %w", err)}
	}
	return n, err
}
