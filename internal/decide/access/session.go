package access

import (
	"context"
	"slices"
	"sync"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

// session is a gate's session. What defer_if_permit remembers of a stage holds until a later one decides.
type session struct {
	gate.Open
	policy *Policy
	conn   *gate.Conn

	ifPermit [Sender + 1]*status.Error // after the client's, HELO's and sender's lists, without smtpd_delay_reject
	added    []string                  // fields that rules have put in front of the message
	tx       *gate.Transaction
	keys     sessionKeys
	now      eval // the evaluation under way: there is one at a time
}

// begin begins an evaluation.
func (s *session) begin(ctx context.Context, stage gate.Stage, tx *gate.Transaction) *eval {
	s.now = eval{policy: s.policy, session: s, ctx: ctx, stage: stage, tx: tx}
	return &s.now
}

// Connect judges the client, unless that waits for a recipient.
func (p *Policy) Connect(ctx context.Context, c *gate.Conn) (gate.Session, error) {
	s := &session{policy: p, conn: c}
	if !p.opt.Lists.SmtpdDelayReject {
		if err := s.early(ctx, gate.AtConnect, nil, Client); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// early judges one of the first three lists at its own stage.
func (s *session) early(ctx context.Context, stage gate.Stage, tx *gate.Transaction, k Kind) error {
	e := s.begin(ctx, stage, tx)
	if k > Client {
		e.ifPermit = s.ifPermit[k-1]
	}
	o := e.judge(k)
	if o.verdict != refuses && k == Sender {
		o = e.unlistedSender()
	}
	s.ifPermit[k] = e.ifPermit
	return refusal(o)
}

// Hello judges what the client calls itself.
func (s *session) Hello(ctx context.Context) error {
	if s.policy.opt.Lists.SmtpdDelayReject {
		return nil
	}
	return s.early(ctx, gate.AtHello, nil, Helo)
}

// Mail judges the sender.
func (s *session) Mail(ctx context.Context, tx *gate.Transaction) error {
	s.tx, s.added = tx, nil
	if s.policy.opt.Lists.SmtpdDelayReject {
		return nil
	}
	return s.early(ctx, gate.AtMail, tx, Sender)
}

// Rcpt judges a recipient, and whether mail for it may go elsewhere: somebody must have said so in the relay or the recipient
// list.
func (s *session) Rcpt(ctx context.Context, tx *gate.Transaction, r *envelope.Recipient) error {
	e := s.begin(ctx, gate.AtRcpt, tx)
	e.rcpt, e.ifPermit = r, s.ifPermit[Sender]
	if s.policy.opt.Lists.SmtpdDelayReject {
		e.ifPermit = nil
		for _, k := range []Kind{Client, Helo, Sender} {
			o := e.judge(k)
			if k == Sender && o.verdict != refuses {
				o = e.unlistedSender()
			}
			if o.verdict == refuses {
				return refusal(o)
			}
		}
	}
	may := false
	for _, k := range []Kind{Relay, Recipient} {
		o := e.judge(k)
		if o.verdict == refuses {
			return refusal(o)
		}
		may = may || o.verdict == permits && (!o.anybody || e.elsewhere())
	}
	if err := e.forced(); err != nil {
		return err
	}
	tx.MayRelay = tx.MayRelay || may
	return nil
}

// elsewhere tells a recipient that not everybody may send to: who was permitted to is one of ours, for greylisting too.
func (e *eval) elsewhere() bool {
	ours, err := e.policy.opt.Destinations.Authorized(e.ctx, e.rcpt.To)
	return err != nil || !ours
}

// forced turns a permission into a refusal for now where an earlier restriction could not find out whether to refuse.
func (e *eval) forced() error {
	if e.ifPermit == nil || e.discarded() {
		return nil
	}
	e.session.conn.Tell(e.stage, "defer_if_permit", e.ifPermit.Public)
	return &gate.Refusal{Reason: obs.ReasonPolicy, Err: e.ifPermit}
}

// Data judges what is known before the message comes.
func (s *session) Data(ctx context.Context, tx *gate.Transaction) error {
	return s.late(ctx, gate.AtData, tx, Data, 0)
}

// Message judges what is known at its end.
func (s *session) Message(ctx context.Context, tx *gate.Transaction, m *gate.Message) error {
	return s.late(ctx, gate.AtMessage, tx, EndOfData, m.Size)
}

func (s *session) late(ctx context.Context, stage gate.Stage, tx *gate.Transaction, k Kind, size int64) error {
	if len(s.policy.lists[k]) == 0 {
		return nil
	}
	e := s.begin(ctx, stage, tx)
	e.size = size
	if o := e.judge(k); o.verdict == refuses {
		return refusal(o)
	}
	return e.forced()
}

// Reset forgets the transaction.
func (s *session) Reset(context.Context) {
	s.tx, s.added, s.ifPermit[Sender] = nil, nil, s.ifPermit[Helo]
}

func refusal(o outcome) error {
	if o.verdict != refuses {
		return nil
	}
	return &gate.Refusal{Reason: o.reason, Err: o.err}
}

// client is "name[address]" as logs of mail servers have it.
func (s *session) client() string {
	return s.ofClient().label
}

// name is the client's verified name, or "unknown".
func (s *session) name() string {
	if s.conn.Client.Name == "" {
		return unknown
	}
	return s.conn.Client.Name
}

// unknown is the name of clients without one.
const unknown = "unknown"

// has tells whether a copy goes to a already; once, whether a field was not there yet. A rule is judged for each recipient.
func (s *session) has(a address.Address) bool {
	return s.tx != nil && slices.Contains(s.tx.Changes.BCC, a)
}

func (s *session) once(field string) bool {
	if slices.Contains(s.added, field) {
		return false
	}
	s.added = append(s.added, field)
	return true
}

// answers remembers lists of restrictions that tables have answered with, so that each is read once.
type answers struct {
	mu    sync.Mutex
	rules map[answerKey][]rule
}

type answerKey struct {
	kind Kind
	text string
}

// maxAnswers bounds them; a table of patterns can make any number.
const maxAnswers = 1000

// answer reads a list of restrictions that a table has answered with.
func (p *Policy) answer(k Kind, text string) ([]rule, error) {
	key := answerKey{k, text}
	p.answers.mu.Lock()
	rules, ok := p.answers.rules[key]
	p.answers.mu.Unlock()
	if ok {
		return rules, nil
	}
	rules, err := (&parser{p: p, kind: k, inTable: true}).list(text)
	if err != nil {
		return nil, err
	}
	p.answers.mu.Lock()
	defer p.answers.mu.Unlock()
	if p.answers.rules == nil || len(p.answers.rules) >= maxAnswers {
		p.answers.rules = map[answerKey][]rule{}
	}
	p.answers.rules[key] = rules
	return rules, nil
}
