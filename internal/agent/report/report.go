// Package report makes the queue's delivery status notifications: bounces, warnings of delay, and the reports of success that
// senders asked for (RFC 3461, RFC 3464). Each is accepted like any other message, from the null reverse-path (RFC 3461 §6.1, RFC 5321
// §4.5.5), and has an id derived from its cause, so that one made again after a crash is the same one and nothing
// happens.
//
// A notification holds a copy of the message it is about, up to Settings.MaxReturn, or of its header: so no record refers
// to another's pack. Mail from the null reverse-path is never answered: when it fails, or a sender takes no mail, the postmaster
// is told, from an address whose own mail is never answered (audience.go).
//
//	report.go    one notification, durable once
//	audience.go  who is told what
//	original.go  what is returned of the message
//
// Failures: a temporary one (no space, directory away) is returned, and the queue asks again; a postmaster who takes no mail is
// logged, and that is the end.
package report

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/mail/dsn"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/state/queue"
)

// DefaultMaxReturn is the largest message that is returned whole, in bytes.
const DefaultMaxReturn = 50 << 10

// Reporter implements queue.Reporter. Its fields do not change once the queue runs; Set is called before.
type Reporter struct {
	Intake *intake.Intake
	Source recipe.Source // of the bodies that are returned
	Now    func() time.Time
	Events obs.Events
	Log    *slog.Logger

	settings atomic.Pointer[Settings]
}

var _ queue.Reporter = (*Reporter)(nil)

// Set puts settings in force. s must not change any more.
func (r *Reporter) Set(s *Settings) { r.settings.Store(s) }

// Report makes the notifications of n: one for each sender that its recipients' copies had, or several where the recipients
// are too many for one.
func (r *Reporter) Report(ctx context.Context, n *queue.Notice) error {
	for _, one := range bySender(n) {
		if err := r.report(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reporter) report(ctx context.Context, n *queue.Notice) error {
	s := r.settings.Load()
	letters, err := r.letters(ctx, s, n)
	if err != nil {
		return err
	}
	for _, l := range letters {
		list := recipients(s, l.Notice)
		for _, chunk := range dsn.Chunks(list) {
			if err := r.send(ctx, s, l, chunk); err != nil {
				return err
			}
			list = list[len(chunk):]
			l.Notice = &queue.Notice{Job: n.Job, Recipients: l.Recipients[len(chunk):], Outcomes: l.Outcomes[len(chunk):], Warning: n.Warning}
		}
	}
	return nil
}

// recipients turns outcomes into what a report tells.
func recipients(s *Settings, n *queue.Notice) []dsn.Recipient {
	list := make([]dsn.Recipient, len(n.Recipients))
	for i := range n.Recipients {
		to, o := &n.Recipients[i], &n.Outcomes[i]
		list[i] = dsn.Recipient{ORcpt: to.ORcpt, Final: to.To, Action: actionOf(o.Result), Status: o.Status, Remote: o.RemoteMTA,
			Diagnostic: o.Reply, LastAttempt: o.At}
		switch {
		case to.Transport == flow.Drop && to.NextHop == flow.Expanded && o.Result == flow.Delivered:
			list[i].Action, list[i].Diagnostic, list[i].LastAttempt = dsn.Expanded, "", time.Time{}
		case o.Result == flow.Deferred:
			list[i].RetryUntil = until(s, n.Job, to)
		}
		if to.ORcpt == "" && to.Original != to.To && !to.Original.IsZero() { // the sender knows only what he wrote
			kind := "rfc822;"
			if to.Original.NeedsUTF8() {
				kind = "utf-8;" // RFC 6533 §3
			}
			list[i].ORcpt = kind + to.Original.String()
		}
	}
	return list
}

// until is how long a recipient is tried; zero: not known. FUTURERELEASE moves it, DELIVERBY shortens it (RFC 2852 §4.1.3).
func until(s *Settings, j *flow.Job, to *flow.Recipient) time.Time {
	d := s.Expire
	if j.Sender(to).IsZero() {
		d = s.ExpireNull
	}
	if d <= 0 {
		return time.Time{}
	}
	from := j.Received
	if j.NotBefore.After(from) {
		from = j.NotBefore
	}
	at := from.Add(d)
	if j.DeliverByReturn && !j.DeliverBy.IsZero() && j.DeliverBy.Before(at) {
		return j.DeliverBy
	}
	return at
}

func actionOf(r flow.Result) dsn.Action {
	switch r {
	case flow.Failed:
		return dsn.Failed
	case flow.Delivered:
		return dsn.Delivered
	case flow.Relayed:
		return dsn.Relayed
	}
	return dsn.Delayed
}

// idOf derives the id of the notification about the first recipients of n. Other recipients or other results make
// another id: after a crash an attempt may end otherwise, and who was not told of yet must not be taken for told of. So does
// another audience, and another warning.
func idOf(n *letter, count int) queueid.ID {
	h := fnv.New64a()
	if n.Warning != 0 {
		_, _ = h.Write([]byte{'w', n.Warning})
	}
	if n.audience != dsn.Sender {
		_, _ = h.Write([]byte{byte(n.audience)})
	}
	for i := range count {
		_ = binary.Write(h, binary.BigEndian, [2]int64{int64(n.Recipients[i].No), int64(n.Outcomes[i].Result)}) // a hash never fails
	}
	return n.Job.ID.Derive(n.Recipients[0].No, int(h.Sum64()))
}

// send makes one notification durable, unless that has happened before.
func (r *Reporter) send(ctx context.Context, s *Settings, l *letter, list []dsn.Recipient) error {
	id := idOf(l, len(list))
	if known, err := r.Intake.Queue.Known(ctx, id); err != nil || known {
		return err
	}
	now := r.Now()
	rep := &dsn.Report{Host: s.Hostname, Audience: l.audience, To: l.to, Sender: sender(l.Notice), ID: id.String(), Date: now,
		OriginalID: l.Job.ID.String(), Arrival: l.Job.Received, EnvID: l.Job.EnvID, Recipients: list, Original: original(l.Job, s)}
	if l.audience == dsn.Copy || l.Job.RequireTLS { // RFC 8689 §5: its text is not shown where TLS may be missing
		rep.Original.Ret = envelope.RetHeaders
	}
	built, body, err := r.build(rep)
	if err != nil { // dsn.Chunks has seen to it
		r.Log.Error("notification cannot be built; nobody is told", obs.KeyComponent, "report", obs.KeyQueueID, l.Job.ID.String(), obs.KeyError, err)
		return nil
	}
	m, err := r.Intake.Begin(ctx, id, int64(len(body)))
	if err != nil {
		return err
	}
	defer m.Abort()
	if _, err := m.Write(body); err != nil {
		return err
	}
	m.Close()
	job := &flow.Job{ID: id, Cause: l.Job.ID, Received: now, From: l.from, UTF8: built.UTF8, RequireTLS: l.Job.RequireTLS,
		Message: recipe.Whole(m.Self()), Index: m.Index.Encode(), Recipients: append([]flow.Recipient(nil), l.way...)}
	if built.EightBit {
		job.Body = envelope.Body8BitMIME
	}
	if err := m.Accept(ctx, job); err != nil {
		return err
	}
	r.Events.Emit(obs.Queued{ID: id, Cause: l.Job.ID, Kind: kind(l, list), From: l.from, Size: int64(len(body)), Nrcpt: len(l.way)})
	return nil
}

// kind is the notification's name in the log.
func kind(l *letter, list []dsn.Recipient) string {
	failed := slices.ContainsFunc(list, func(p dsn.Recipient) bool { return p.Action == dsn.Failed })
	switch {
	case l.audience == dsn.Postmaster:
		return "double-bounce"
	case failed && l.audience == dsn.Sender:
		return "bounce"
	}
	return "notice"
}

// build makes the notification and its bytes, which are bounded by MaxReturn and recipe.MaxLiteral. A message that cannot
// be read is not returned: its sender shall know all the same.
func (r *Reporter) build(rep *dsn.Report) (*dsn.Message, []byte, error) {
	built, err := rep.Build()
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(recipe.NewReader(r.Source, built.Recipe))
	if err == nil {
		return built, body, nil
	}
	r.Log.Error("message cannot be read; its sender is told without it", obs.KeyComponent, "report", obs.KeyQueueID, rep.OriginalID,
		obs.KeyError, err)
	rep.Original.Message, rep.Original.HeaderSize, rep.Original.MaxReturn = nil, 0, -1
	if built, err = rep.Build(); err != nil {
		return nil, nil, err
	}
	body, err = io.ReadAll(recipe.NewReader(r.Source, built.Recipe))
	return built, body, err
}
