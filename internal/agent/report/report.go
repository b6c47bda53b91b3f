// Package report makes the queue's delivery status notifications: bounces, and the reports of success that senders asked
// for (RFC 3461, RFC 3464). Each is accepted like any other message, from the null reverse-path (RFC 3461 §6.1, RFC 5321
// §4.5.5), and has an id derived from its cause, so that one made again after a crash is the same one and nothing
// happens.
//
// A notification holds a copy of the message it is about, up to Settings.MaxReturn, or of its header: so no record refers
// to another's pack. Mail from the null reverse-path is never answered; that it failed is in the log alone.
//
// Failures: a temporary one (no space, directory away) is returned, and the queue asks again; a sender whose address
// takes no mail is logged, and that is the end.
package report

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/dsn"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/state/queue"
)

// DefaultMaxReturn is the largest message that is returned whole, in bytes.
const DefaultMaxReturn = 50 << 10

// Settings are what a reload may change.
type Settings struct {
	Hostname  string
	Router    *route.Router
	MaxReturn int64 // 0: DefaultMaxReturn
}

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

// bySender splits a notice into those of one sender each, in the order of the recipients.
func bySender(n *queue.Notice) []*queue.Notice {
	var out []*queue.Notice
	for i := range n.Recipients {
		to := n.Job.Sender(&n.Recipients[i])
		at := slices.IndexFunc(out, func(o *queue.Notice) bool { return sender(o) == to })
		if at < 0 {
			at = len(out)
			out = append(out, &queue.Notice{Job: n.Job})
		}
		out[at].Recipients, out[at].Outcomes = append(out[at].Recipients, n.Recipients[i]), append(out[at].Outcomes, n.Outcomes[i])
	}
	return out
}

// sender is whom a notice is for: the reverse-path of the copies it is about.
func sender(n *queue.Notice) address.Address { return n.Job.Sender(&n.Recipients[0]) }

func (r *Reporter) report(ctx context.Context, n *queue.Notice) error {
	if sender(n).IsZero() {
		r.Log.Warn("mail from the null reverse-path failed; nobody is told", obs.KeyComponent, "report", obs.KeyQueueID, n.Job.ID.String())
		return nil
	}
	s := r.settings.Load()
	to, err := r.plan(ctx, s, n)
	if err != nil || to == nil {
		return err
	}
	list := recipients(n)
	for _, chunk := range dsn.Chunks(list) {
		if err := r.send(ctx, s, n, chunk, to); err != nil {
			return err
		}
		list = list[len(chunk):]
		n = &queue.Notice{Job: n.Job, Recipients: n.Recipients[len(chunk):], Outcomes: n.Outcomes[len(chunk):]}
	}
	return nil
}

// plan is the way to the sender; nil when there is none.
func (r *Reporter) plan(ctx context.Context, s *Settings, n *queue.Notice) ([]flow.Recipient, error) {
	rcpts, err := s.Router.Recipient(ctx, route.Query{To: envelope.Recipient{To: sender(n)}, MayRelay: true})
	var plan route.Plan
	if err == nil {
		err = plan.Add(rcpts)
	}
	if status.IsPermanent(err) {
		r.Log.Warn("the sender takes no mail; nobody is told of the failure", obs.KeyComponent, "report", obs.KeyQueueID, n.Job.ID.String(),
			obs.KeyFrom, sender(n).String(), obs.KeyError, err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("route the notification: %w", err)
	}
	return plan.Recipients(), nil
}

// recipients turns outcomes into what a report tells.
func recipients(n *queue.Notice) []dsn.Recipient {
	list := make([]dsn.Recipient, len(n.Recipients))
	for i := range n.Recipients {
		to, o := &n.Recipients[i], &n.Outcomes[i]
		list[i] = dsn.Recipient{ORcpt: to.ORcpt, Final: to.To, Action: actionOf(o.Result), Status: o.Status, Remote: o.RemoteMTA,
			Diagnostic: o.Reply, LastAttempt: o.At}
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
// another id: after a crash an attempt may end otherwise, and who was not told of yet must not be taken for told of.
func idOf(n *queue.Notice, count int) queueid.ID {
	h := fnv.New64a()
	for i := range count {
		_ = binary.Write(h, binary.BigEndian, [2]int64{int64(n.Recipients[i].No), int64(n.Outcomes[i].Result)}) // a hash never fails
	}
	return n.Job.ID.Derive(n.Recipients[0].No, int(h.Sum64()))
}

// send makes one notification durable, unless that has happened before.
func (r *Reporter) send(ctx context.Context, s *Settings, n *queue.Notice, list []dsn.Recipient, to []flow.Recipient) error {
	id := idOf(n, len(list))
	if known, err := r.Intake.Queue.Known(ctx, id); err != nil || known {
		return err
	}
	now := r.Now()
	built, body, err := r.build(&dsn.Report{Host: s.Hostname, To: sender(n), ID: id.String(), Date: now, OriginalID: n.Job.ID.String(),
		Arrival: n.Job.Received, EnvID: n.Job.EnvID, Recipients: list, Original: original(n.Job, s)})
	if err != nil { // dsn.Chunks has seen to it
		r.Log.Error("notification cannot be built; nobody is told", obs.KeyComponent, "report", obs.KeyQueueID, n.Job.ID.String(), obs.KeyError, err)
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
	job := &flow.Job{ID: id, Cause: n.Job.ID, Received: now, UTF8: built.UTF8, Message: recipe.Whole(m.Self()), Index: m.Index.Encode(),
		Recipients: append([]flow.Recipient(nil), to...)}
	if built.EightBit {
		job.Body = envelope.Body8BitMIME
	}
	if err := m.Accept(ctx, job); err != nil {
		return err
	}
	kind := "notice"
	for _, p := range list {
		if p.Action == dsn.Failed {
			kind = "bounce"
		}
	}
	r.Events.Emit(obs.Queued{ID: id, Cause: n.Job.ID, Kind: kind, Size: int64(len(body)), Nrcpt: len(to)})
	return nil
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
