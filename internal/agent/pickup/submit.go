package pickup

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/decide/sieve"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/received"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/repair"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/submit"
)

var (
	errLoop = status.Perm(554, 4, 6, "Too many hops: the message has too many Received fields; it seems to go in a loop")
	errFull = status.Perm(552, 2, 2, "Mailbox full")
)

// refusalLines bounds what a user's messages beyond the rate may write into the log, in lines an hour.
const refusalLines = 60

// Submit takes a message from the socket.
func (a *Agent) Submit(ctx context.Context, uid uint32, h *submit.Head, body io.Reader) (string, error) {
	s := a.settings.Load()
	m := &message{agent: a, settings: s, uid: uid, head: h, via: "socket", now: a.Now()}
	err := m.take(ctx, body)
	if err != nil && !m.counted && uid != 0 && !a.refusals.take(uid, refusalLines, m.now) {
		return "", err // it costs a program nothing to come again at once, and a log has an end
	}
	if err != nil {
		level := a.Log.Info
		if status.IsTemporary(err) {
			level = a.Log.Warn
		}
		level("a submission was refused", obs.KeyComponent, "pickup", obs.KeyUID, uid, obs.KeyFrom, h.Sender,
			obs.KeyTo, h.Recipients[0], obs.KeyNrcpt, len(h.Recipients), obs.KeySize, h.Size, obs.KeyError, err)
		return "", err
	}
	return m.id.String(), nil
}

// message is one submission on its way in.
type message struct {
	agent    *Agent
	settings *Settings
	uid      uint32
	head     *submit.Head
	via      string // "socket" or "drop"
	now      time.Time

	id      queueid.ID
	from    address.Address
	rcpt    []envelope.Recipient
	plan    route.Plan
	counted bool // against its user's rate
	begun   bool // some of its bytes were asked for
	asIs    bool // its header cannot be completed
	// refused is why all recipients fail: a message of the drop folder that would have been refused otherwise.
	refused error
}

func (m *message) dropped() bool { return m.via == "drop" }

// rate counts the message, unless it is root's.
func (m *message) rate() error {
	if m.uid == 0 || m.agent.rates.take(m.uid, m.settings.MaxPerHour, m.now) {
		return nil
	}
	return status.Temp(450, 7, 1, fmt.Sprintf("User %d has sent %d messages within an hour, which is the limit (sendmail.max_messages_per_hour); try again later",
		m.uid, m.settings.MaxPerHour))
}

// take accepts the message, counted; when it returns nil it is durable. An error that is permanent, for a message of the
// drop folder, says that it is no submission.
func (m *message) take(ctx context.Context, body io.Reader) error {
	m.id = m.identity()
	if m.dropped() {
		// It may have been taken already: the server ended before it could remove the file, or before it could answer.
		known, err := m.agent.Intake.Queue.Known(ctx, m.id)
		if err != nil || known {
			return err
		}
	}
	if err := m.rate(); err != nil {
		return err
	}
	m.counted = true
	err := m.accept(ctx, body)
	if status.IsTemporary(err) && m.uid != 0 && (m.dropped() || !m.begun) {
		m.agent.rates.giveBack(m.uid, m.settings.MaxPerHour) // it comes again, and has cost little
		m.counted = false
	}
	return err
}

func (m *message) accept(ctx context.Context, body io.Reader) error {
	if !m.dropped() && m.head.Size > m.settings.MaxSize {
		return errTooBig
	}
	if err := m.addresses(); err != nil {
		return err
	}
	if err := m.settings.Admission.Admit(ctx); err != nil {
		return err
	}
	if err := m.route(ctx); err != nil {
		return err
	}
	in, err := m.agent.Intake.Begin(ctx, m.id, m.head.Size)
	if err != nil {
		return err
	}
	defer in.Abort()
	if err := m.read(in, body); err != nil {
		return err
	}
	job, err := m.judge(ctx, in)
	if err != nil {
		return err
	}
	if err := in.Accept(ctx, job); err != nil {
		return err
	}
	m.agent.Events.Emit(obs.Submitted{ID: m.id, UID: m.uid, Via: m.via, From: job.From, MessageID: in.Index.Envelope.ID(),
		Size: job.Size(), Nrcpt: len(job.Recipients)})
	return nil
}

// tokenAge bounds what is believed of a token's time: it is the user's word.
const tokenAge = 30 * 24 * time.Hour

// identity derives the queue id from token and user.
func (m *message) identity() queueid.ID {
	t := m.head.Token
	at := time.UnixMicro(t.Micros)
	if at.After(m.now.Add(time.Minute)) || at.Before(m.now.Add(-tokenAge)) {
		at = m.now // it is unique all the same, only not recognised again
	}
	return queueid.Named(at.UnixMicro(), fmt.Sprintf("submit %d %s", m.uid, t))
}

// addresses completes the envelope's addresses. The client has seen that they are such: no user of sendmail meets these
// errors.
func (m *message) addresses() (err error) {
	if m.head.Sender != "" {
		if m.from, err = submit.ParseAddress(m.head.Sender, m.settings.Domain); err != nil {
			return badAddress(err, true)
		}
	}
	for _, to := range m.head.Recipients {
		a, err := submit.ParseAddress(to, m.settings.Domain)
		if err != nil {
			return badAddress(err, false)
		}
		m.rcpt = append(m.rcpt, envelope.Recipient{To: a, Notify: m.head.Notify})
	}
	return nil
}

func badAddress(err error, sender bool) error {
	if e, ok := err.(*address.Error); ok {
		return e.Status(sender)
	}
	return err
}

// route decides the recipients' ways. One that cannot be reached gets the way of a failure, which tells the sender; when
// none can, the message is refused.
func (m *message) route(ctx context.Context) error {
	var first error
	good := 0
	for _, r := range m.rcpt {
		targets, err := m.settings.Router.Recipient(ctx, r, true)
		if status.IsTemporary(err) {
			return err
		}
		if err == nil && m.dropped() {
			err = m.room(ctx, targets)
		}
		if status.IsTemporary(err) {
			return err
		}
		if err != nil {
			if first == nil {
				e := status.Of(err)
				first = status.Perm(e.Code, e.Enhanced.Subject, e.Enhanced.Detail, fmt.Sprintf("%s: %s", r.To, e.Public)).With(e.Op, e.Err)
			}
			targets = []flow.Recipient{failing(r, err)}
		} else {
			good++
		}
		if err := m.plan.Add(targets); err != nil {
			return err
		}
	}
	if good == 0 && !m.dropped() {
		return first
	}
	return nil
}

// failing is a recipient that fails with the reason of err.
func failing(r envelope.Recipient, err error) flow.Recipient {
	e := status.Of(err)
	return flow.Recipient{To: r.To, Original: r.To, Notify: r.Notify, ORcpt: r.ORcpt, Transport: flow.Error,
		NextHop: fmt.Sprintf("%s %s", e.Enhanced, e.Public)}
}

// room looks for room in the one mailbox that a recipient of a message of the drop folder has: nobody waits who could be
// told to try again later.
func (m *message) room(ctx context.Context, targets []flow.Recipient) error {
	if len(targets) != 1 || targets[0].Transport != flow.Mailbox {
		return nil
	}
	err := m.agent.Quota.Room(ctx, targets[0].Account, m.head.Size)
	if e := status.Of(err); e != nil && e.Enhanced == status.ErrQuota.Enhanced {
		return errFull
	}
	return err
}

// judge completes message and plan, and makes the job. Order: repair, then filters; nothing changes the message later.
func (m *message) judge(ctx context.Context, in *intake.Message) (*flow.Job, error) {
	tx := &flow.Transaction{ID: m.id, Started: m.now, Client: flow.Client{Protocol: "local"}, Envelope: envelope.Envelope{From: m.from,
		Size: m.head.Size, Ret: m.head.Ret, EnvID: m.head.EnvID, Recipients: m.rcpt}}
	recipients, fields, err := m.verdict(ctx, tx, in)
	if err != nil && (!m.dropped() || status.IsTemporary(err)) {
		return nil, err
	}
	if err != nil || m.refused != nil {
		if err == nil {
			err = m.refused
		}
		recipients = nil
		for i, r := range m.rcpt {
			f := failing(r, err)
			f.No = i
			recipients = append(recipients, f)
		}
	}
	content, err := m.complete(in, fields)
	if m.dropped() && status.IsPermanent(err) && !m.asIs {
		m.refused, m.asIs = err, true // it goes back
		return m.judge(ctx, in)
	}
	if err != nil {
		return nil, err
	}
	job := &flow.Job{ID: m.id, Received: m.now, From: m.from, Ret: m.head.Ret, EnvID: m.head.EnvID, Client: tx.Client,
		Recipients: recipients, Message: content, Index: in.Index.Encode(), UTF8: m.needsUTF8()}
	if in.Index.Flags&(mime.EightBitBody|mime.EightBitHeader) != 0 {
		job.Body = envelope.Body8BitMIME // whatever the program said
	}
	return job, nil
}

// verdict asks those who judge content.
func (m *message) verdict(ctx context.Context, tx *flow.Transaction, in *intake.Message) ([]flow.Recipient, []byte, error) {
	if err := in.HeaderComplete(); err != nil {
		return nil, nil, err
	}
	if received.Hops(in.Header) > m.settings.MaxReceived {
		return nil, nil, errLoop
	}
	facts := &flow.Facts{Size: in.Size()}
	v, err := m.agent.Filter.Judge(ctx, tx, facts)
	if err != nil {
		return nil, nil, err
	}
	if v.Err != nil {
		return nil, nil, v.Err
	}
	recipients, err := sieve.Expand(ctx, m.agent.Script, tx, facts, m.plan.Recipients())
	if err != nil {
		return nil, nil, err
	}
	if !m.dropped() { // there each recipient was asked
		err = route.Room(ctx, m.agent.Quota, recipients, in.Size())
	}
	return recipients, v.Fields, err
}

// complete puts the trace and what is missing in front of the message, and brings the index up to date.
func (m *message) complete(in *intake.Message, fields []byte) (recipe.Recipe, error) {
	trace := m.trace()
	if in.HeaderComplete() != nil || m.asIs { // it is on its way back, and cannot be completed
		all := append(trace, fields...)
		return recipe.Whole(in.Self()).Prepend(all), in.Index.Shift(int64(len(all)))
	}
	edit := repair.Complete(in.Header, repair.Message{ID: m.id, Now: m.id.Time(), Hostname: m.settings.Hostname, From: m.author()})
	repair.Qualify(&edit, in.Header, m.settings.Domain)
	edit.Prepend = append(append(trace, fields...), edit.Prepend...)
	content, block, err := edit.Apply(in.Header, in.Self())
	if err != nil {
		return nil, intake.ErrHeader.With("complete the header", err)
	}
	in.Index.SetHeader(block)
	return content, nil
}

// author is the From field of a message without one.
func (m *message) author() header.Mailbox {
	if m.from.IsZero() {
		return header.Mailbox{Local: "MAILER-DAEMON", Domain: m.settings.Domain}
	}
	return header.Mailbox{Name: m.head.Name, Local: m.from.Local, Domain: m.from.Domain}
}

// trace is the Received field: the user is named by number, which the kernel vouches for.
func (m *message) trace() []byte {
	f := received.Field{By: m.settings.Hostname, Note: fmt.Sprintf("from user id %d", m.uid), Protocol: received.Protocol{Local: "local"},
		ID: m.id.String(), Time: m.now, Recipients: len(m.rcpt)}
	if len(m.rcpt) == 1 && !m.rcpt[0].To.NeedsUTF8() {
		f.For = m.rcpt[0].To
	}
	return f.Append(nil)
}

// needsUTF8 tells whether an address demands SMTPUTF8 (RFC 6531 §3.3). A header above ASCII does not: programs write their
// subjects so without knowing, and a server that refuses it for that would bounce half the cron mail of a country.
func (m *message) needsUTF8() bool {
	if m.from.NeedsUTF8() {
		return true
	}
	for _, r := range m.rcpt {
		if r.To.NeedsUTF8() {
			return true
		}
	}
	return false
}
