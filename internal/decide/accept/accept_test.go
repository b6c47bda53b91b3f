package accept

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/decide/filter"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/decide/sieve"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
)

// record is a record in memory.
type record []byte

func (r *record) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > int64(len(*r)) {
		return 0, io.ErrUnexpectedEOF
	}
	return copy(p, (*r)[off:]), nil
}

func (r *record) ReadBodyAt(_ recipe.BlobRef, p []byte, off int64) error {
	_, err := r.ReadAt(p, off)
	return err
}

func (r *record) Append(p []byte) (int64, error) {
	at := len(*r)
	*r = append(*r, p...)
	return int64(at), nil
}

func (r *record) Self() recipe.BlobRef {
	ref := flow.Self
	ref.Length = int64(len(*r))
	return ref
}

// judge does what the test says.
type judge struct {
	gate.Open
	do func(*gate.Transaction, *gate.Message) error
}

func (j judge) Message(_ context.Context, tx *gate.Transaction, m *gate.Message) error {
	return j.do(tx, m)
}

// nobody is a directory of one domain without accounts.
type nobody struct{}

func (nobody) Lookup(_ context.Context, a address.Address) ([]route.Target, bool, error) {
	if a.Local == "unknown" {
		return nil, true, status.Perm(550, 1, 1, "no such user")
	}
	return nil, false, nil
}

func (nobody) Domain(_ context.Context, domain string) (int64, bool, error) {
	return 1, domain == "here.example", nil
}

func at(local string) address.Address { return address.Address{Local: local, Domain: "far.example"} }

func accept(t *testing.T, text string, do func(*gate.Transaction, *gate.Message) error) (*flow.Job, string, *Message, error) {
	t.Helper()
	rec := record(text)
	p := mime.NewParser()
	_, _ = p.Write(rec)
	index := p.Close()
	head, h, whole := p.Top()
	e := envelope.Envelope{From: at("sender"), Recipients: []envelope.Recipient{{To: at("a")}, {To: at("b")}}}
	plan := &route.Plan{From: e.From}
	for _, r := range e.Recipients {
		if err := plan.Add([]flow.Recipient{{To: r.To, Original: r.To, Transport: flow.SMTP}}); err != nil {
			t.Fatal(err)
		}
	}
	tx := &gate.Transaction{Transaction: &flow.Transaction{ID: queueid.New(1, 1), Envelope: e}, Conn: &gate.Conn{}, Envelope: &e}
	m := &Message{Tx: tx, Plan: plan, Message: gate.NewMessage(&rec, head, h, whole, int64(len(text))), Index: index, Trace: []byte("Received: here\r\n")}
	j := &Judges{Gate: judge{do: do}, Filter: filter.Accept{}, Script: sieve.Keep{}, Router: &route.Router{Directory: nobody{}}, MaxReceived: 3, Now: time.Now}
	job, _, err := j.Job(t.Context(), m)
	if err != nil {
		return nil, "", m, err
	}
	b, err := io.ReadAll(recipe.NewReader(&rec, job.Message))
	if err != nil {
		t.Fatal(err)
	}
	return job, string(b), m, nil
}

const letter = "Subject: s\r\n\r\nbody\r\n"

func TestChangesOfTheEnvelope(t *testing.T) {
	job, text, m, err := accept(t, letter, func(tx *gate.Transaction, m *gate.Message) error {
		c, from := &tx.Changes, at("other")
		c.From, c.Remove, c.Hold = &from, []address.Address{at("A")}, "odd"
		c.Add = []envelope.Recipient{{To: at("new"), Notify: envelope.NotifyNever}, {To: at("b")}, {To: address.Address{Local: "unknown", Domain: "here.example"}}}
		c.Prepend = []byte("X-Access: 1\r\n")
		return m.Edit(gate.Edit{Name: "X-End", Value: " 2"})
	})
	if err != nil {
		t.Fatal(err)
	}
	var to []string
	for i, r := range job.Recipients {
		if r.No != i {
			t.Errorf("number %d at place %d", r.No, i)
		}
		to = append(to, r.To.Local+" "+r.Transport.String())
	}
	if got := strings.Join(to, ","); got != "b smtp,new smtp,unknown error" || job.From != at("other") || job.Hold != "odd" || job.Recipients[1].Notify != envelope.NotifyNever {
		t.Errorf("%s from %v, hold %q", got, job.From, job.Hold)
	}
	if text != "X-Access: 1\r\nReceived: here\r\nSubject: s\r\nX-End: 2\r\n\r\nbody\r\n" {
		t.Errorf("%q", text)
	}
	if got := m.recipients(); len(got) != 4 || got[0].To != at("b") { // for a filter before the queue
		t.Errorf("%+v", got)
	}
}

func TestRefusals(t *testing.T) {
	pass := func(*gate.Transaction, *gate.Message) error { return nil }
	if _, _, _, err := accept(t, strings.Repeat("Received: x\r\n", 4)+letter, pass); err != ErrLoop {
		t.Errorf("loop: %v", err)
	}
	no := status.Perm(550, 7, 1, "no")
	if _, _, _, err := accept(t, letter, func(*gate.Transaction, *gate.Message) error { return no }); err != no {
		t.Errorf("gate: %v", err)
	}
	job, text, _, err := accept(t, letter, func(tx *gate.Transaction, _ *gate.Message) error { tx.Changes.Discard = "x"; return nil })
	if err != nil || len(job.Recipients) != 0 || text != "Received: here\r\n"+letter {
		t.Errorf("discard: %v %q", err, text)
	}
}

// What an access table or a policy server has put on top before the message came is seen by those who judge it.
func TestPrependedBeforeGates(t *testing.T) {
	rec := record(letter)
	p := mime.NewParser()
	_, _ = p.Write(rec)
	index := p.Close()
	head, h, whole := p.Top()
	tx := &gate.Transaction{Transaction: &flow.Transaction{}, Conn: &gate.Conn{}, Envelope: &envelope.Envelope{}}
	tx.Changes.Prepend = []byte("Received-SPF: pass\r\n")
	m := &Message{Tx: tx, Message: gate.NewMessage(&rec, head, h, whole, int64(len(letter))), Index: index}
	err := m.judge(t.Context(), judge{do: func(tx *gate.Transaction, m *gate.Message) error {
		if v, _ := m.Header.Get("Received-SPF"); v != "pass" {
			t.Errorf("seen: %q", v)
		}
		tx.Changes.Prepend = append(tx.Changes.Prepend, "X-Late: 1\r\n"...)
		return nil
	}})
	if b, _ := io.ReadAll(m.Message.Open()); err != nil || string(b) != "X-Late: 1\r\nReceived-SPF: pass\r\n"+letter {
		t.Errorf("%v %q", err, b)
	}
}

// A message whose recipients were all removed is not offered to the filter before the queue.
func TestProxyOfNobody(t *testing.T) {
	job, _, m, err := accept(t, letter, func(tx *gate.Transaction, _ *gate.Message) error {
		tx.Changes.Remove = []address.Address{at("a"), at("b")}
		return nil
	})
	if err != nil || len(job.Recipients) != 0 {
		t.Fatal(job, err)
	}
	if text, err := m.Pass(t.Context(), nil, job, nil); err != nil || text != "Ok: discarded" {
		t.Errorf("%q %v", text, err)
	}
}
