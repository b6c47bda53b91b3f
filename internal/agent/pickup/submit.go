package pickup

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/postrider/postrider/internal/decide/accept"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/received"
	"github.com/postrider/postrider/internal/mail/repair"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/submit"
)

var (
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

	id        queueid.ID
	from      address.Address
	rcpt      []envelope.Recipient
	plan      route.Plan
	counted   bool // against its user's rate
	begun     bool // some of its bytes were asked for
	messageID string
	heard     accept.Heard // what rules found and nobody was told yet
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
	m.heard.On = m.settings.Traced
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
	m.tell()
	m.agent.Events.Emit(obs.Submitted{ID: m.id, UID: m.uid, Via: m.via, From: job.From, MessageID: m.messageID,
		Size: job.Size(), Nrcpt: len(job.Recipients)})
	return nil
}

// tell tells the trace what rules have found.
func (m *message) tell() {
	if j, ok := m.heard.Take(m.rcpt); ok {
		j.ID, j.Service = m.id, "sendmail"
		m.agent.Events.Emit(j)
	}
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
	var first, err error
	router, good := m.settings.Router, 0
	if m.plan.From, err = router.Sender(ctx, m.from, m.heard.Routes()); err != nil {
		return err
	}
	for _, r := range m.rcpt {
		query := route.Query{From: m.plan.From, To: r, MayRelay: true, Note: m.heard.Routes()}
		targets, err := router.Recipient(ctx, query)
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
			copies, err := router.Copies(ctx, query)
			if err == nil {
				err = m.plan.Copy(copies)
			}
			if err != nil {
				return err
			}
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

// judge completes the message, asks those who judge content, and makes the job. Order: repair, then filters; nothing changes
// the message later. A message of the drop folder that is refused goes back to its sender.
func (m *message) judge(ctx context.Context, in *intake.Message) (*flow.Job, error) {
	err := m.refused
	if err == nil {
		var job *flow.Job
		if job, err = m.accepted(ctx, in); err == nil || !m.dropped() || status.IsTemporary(err) {
			return job, err
		}
	}
	return m.returned(ctx, in, err)
}

// draft is the message as those who judge it see it.
func (m *message) draft(in *intake.Message) *accept.Message {
	tx := &flow.Transaction{ID: m.id, Started: m.now, Client: flow.Client{Protocol: "local"}, Envelope: envelope.Envelope{From: m.from,
		Size: m.head.Size, Ret: m.head.Ret, EnvID: m.head.EnvID, VERP: m.head.VERP, Recipients: m.rcpt, UTF8: m.needsUTF8()}}
	if in.Index.Flags&(mime.EightBitBody|mime.EightBitHeader) != 0 {
		tx.Envelope.Body = envelope.Body8BitMIME // whatever the program said
	}
	conn := &gate.Conn{Service: "sendmail", Session: m.id.String(), Client: tx.Client}
	m.heard.Listen(conn)
	return &accept.Message{Tx: &gate.Transaction{Transaction: tx, Conn: conn, Envelope: &tx.Envelope, MayRelay: true}, Plan: &m.plan, Index: in.Index,
		Trace: m.trace(), Message: gate.NewMessage(in, in.Head(), in.Header, in.HeaderComplete() == nil, in.Size())}
}

func (m *message) accepted(ctx context.Context, in *intake.Message) (*flow.Job, error) {
	d := m.draft(in)
	if err := m.complete(ctx, d.Message); err != nil {
		return nil, err
	}
	g, err := m.gates(ctx, d.Tx)
	if err != nil {
		return nil, err
	}
	defer g.Close()
	defer g.Reset(ctx)
	a := m.agent
	j := &accept.Judges{Gate: g, Filter: a.Filter, Script: a.Script, Quota: a.Quota, Router: m.settings.Router,
		MaxReceived: m.settings.MaxReceived, Now: func() time.Time { return m.now }}
	if m.dropped() {
		j.Quota = nil // each recipient was asked
	}
	job, _, err := j.Job(ctx, d)
	m.messageID = d.Index.Envelope.ID()
	return job, err
}

// gates leads those who judge sessions through what a session would have been.
func (m *message) gates(ctx context.Context, tx *gate.Transaction) (gate.Session, error) {
	if m.settings.Gate == nil {
		return gate.Open{}, nil
	}
	g, err := m.settings.Gate.Connect(ctx, tx.Conn)
	if err != nil {
		return nil, err
	}
	all := tx.Envelope.Recipients
	tx.Envelope.Recipients = nil
	if err = g.Hello(ctx); err == nil {
		err = g.Mail(ctx, tx)
	}
	for i := range all {
		if err == nil {
			if err = g.Rcpt(ctx, tx, &all[i]); err == nil {
				tx.Envelope.Recipients = append(tx.Envelope.Recipients, all[i])
			}
		}
	}
	if err == nil {
		err = g.Data(ctx, tx)
	}
	if err != nil {
		g.Reset(ctx)
		g.Close()
		return nil, err
	}
	return g, nil
}

// returned is the job of a message that goes back, as it came if it cannot be completed.
func (m *message) returned(ctx context.Context, in *intake.Message, reason error) (*flow.Job, error) {
	d := m.draft(in)
	_ = m.complete(ctx, d.Message) // if it cannot be, so be it
	content, index, err := d.Message.Finish(d.Trace, d.Index)
	if err != nil {
		return nil, err
	}
	m.messageID = index.Envelope.ID()
	e := d.Tx.Envelope
	job := &flow.Job{ID: m.id, Received: m.now, From: m.from, Ret: e.Ret, EnvID: e.EnvID, Body: e.Body, UTF8: e.UTF8, Client: d.Tx.Client,
		Message: content, Index: index.Encode()}
	for i, r := range m.rcpt {
		f := failing(r, reason)
		f.No = i
		job.Recipients = append(job.Recipients, f)
	}
	return job, nil
}

// complete adds what is missing in the header.
func (m *message) complete(ctx context.Context, d *gate.Message) error {
	if err := d.Complete(); err != nil {
		return err
	}
	edit := repair.Complete(d.Header, repair.Message{ID: m.id, Now: m.id.Time(), Hostname: m.settings.Hostname, From: m.author()})
	repair.Qualify(&edit, d.Header, m.settings.Domain)
	if err := d.Apply(edit); err != nil {
		return err
	}
	return accept.Rewrite(ctx, m.settings.Router, d)
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
