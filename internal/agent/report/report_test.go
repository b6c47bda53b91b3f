package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/blob"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/intake"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/internal/state/queue/sched"
)

// world is a queue with packs in memory. The lanes are the test's: what should be delivered comes out of jobs.
type world struct {
	t     *testing.T
	store *blob.Store
	rep   *Reporter
	ids   *queueid.Source
	jobs  chan *flow.Job
	reply func(r *flow.Recipient) flow.Outcome // nil: delivered

	mu     sync.Mutex
	done   map[queueid.ID]bool
	events []obs.Queued
	broken error // of the source
	lookup error // of the directory
}

func (w *world) Emit(e obs.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if q, ok := e.(obs.Queued); ok {
		w.events = append(w.events, q)
	}
}

func (w *world) Delivered(_ context.Context, id queueid.ID, _ int) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done[id], nil
}
func (w *world) Forget(context.Context, queueid.ID, func(queueid.ID) bool) error { return nil }

func (w *world) Deliver(_ context.Context, tasks []*queue.Task) (out [][]flow.Outcome) {
	for _, t := range tasks {
		var os []flow.Outcome
		for i := range t.Recipients {
			r := &t.Recipients[i]
			o := flow.Outcome{Recipient: r.No, Result: flow.Delivered, Status: status.Enhanced{Class: 2}, At: time.Now()}
			if w.reply != nil && r.Transport == flow.SMTP {
				o = w.reply(r)
			}
			os = append(os, o)
		}
		out = append(out, os)
		w.mu.Lock()
		w.done[t.Job.ID] = true
		w.mu.Unlock()
		w.jobs <- t.Job
	}
	return out
}

func (w *world) Domain(_ context.Context, domain string) (int64, bool, error) {
	return 1, domain == "here.example", w.lookup
}

// Lookup has ann@here.example with account 7, nobody else here.
func (w *world) Lookup(_ context.Context, a address.Address) ([]route.Target, bool, error) {
	switch {
	case w.lookup != nil:
		return nil, false, w.lookup
	case a.Domain != "here.example":
		return nil, false, nil
	case a.Local == "ann":
		return []route.Target{{Account: 7, Address: a}}, true, nil
	}
	return nil, true, status.Perm(550, 1, 1, "No such user")
}

func (w *world) ReadBodyAt(ref recipe.BlobRef, p []byte, off int64) error {
	if w.broken != nil {
		return w.broken
	}
	return w.store.ReadBodyAt(ref, p, off)
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, ids: queueid.NewSource(time.Now, 1, 1), jobs: make(chan *flow.Job, 100), done: map[queueid.ID]bool{}}
	store, err := blob.NewMemory(t.Context(), blob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.store = store
	w.rep = &Reporter{Source: w, Now: time.Now, Events: w, Log: slog.New(slog.DiscardHandler)}
	w.rep.Set(&Settings{Hostname: "mail.here.example", Router: &route.Router{Directory: w}, MaxReturn: 2000})
	q := queue.New(queue.Options{DB: dbtest.Open(t), Journal: store, Ledger: w, Reporter: w.rep, Policy: sched.Policy{Limits: sched.Limits{PerRoute: 1, Total: 5, Mailbox: 5}},
		Lanes: map[flow.Transport]queue.Lane{flow.Mailbox: {Agent: w, Workers: 1, Batch: 1}, flow.SMTP: {Agent: w, Workers: 1, Batch: 1}}})
	w.rep.Intake = &intake.Intake{Blobs: store, Queue: q}
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(q.Stop(context.Background()), store.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return w
}

const sample = "From: ann@here.example\r\nSubject: lunch\r\nMessage-ID: <1@here.example>\r\n\r\nAt noon?\r\n"

// accept takes a message as mx and msa do.
func (w *world) accept(text string, change func(*flow.Job), rcpts ...flow.Recipient) *flow.Job {
	w.t.Helper()
	id := w.ids.Next()
	m, err := w.rep.Intake.Begin(w.t.Context(), id, int64(len(text)))
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.WriteString(m, text); err != nil {
		w.t.Fatal(err)
	}
	m.Close()
	for i := range rcpts {
		rcpts[i].No = i
	}
	job := &flow.Job{ID: id, Received: time.Now(), From: address.Address{Local: "ann", Domain: "here.example"}, EnvID: "Q1",
		Message: recipe.Whole(m.Self()), Index: m.Index.Encode(), Recipients: rcpts}
	if change != nil {
		change(job)
	}
	if err := m.Accept(w.t.Context(), job); err != nil {
		w.t.Fatal(err)
	}
	return job
}

// next is the next job that is delivered, with its text.
func (w *world) next() (*flow.Job, string) {
	w.t.Helper()
	j := <-w.jobs
	b, err := io.ReadAll(recipe.NewReader(w.store, j.Message))
	if err != nil {
		w.t.Fatal(err)
	}
	return j, string(b)
}

func to(local string) flow.Recipient {
	a := address.Address{Local: local, Domain: "there.example"}
	return flow.Recipient{To: a, Original: a, Transport: flow.SMTP}
}

func refuse(r *flow.Recipient) flow.Outcome {
	return flow.Outcome{Recipient: r.No, Result: flow.Failed, Status: status.Enhanced{Class: 5, Subject: 1, Detail: 1}, RemoteMTA: "mx.there.example",
		Reply: "550 5.1.1 No such user " + r.To.Local, At: time.Now()}
}

func notice(j *flow.Job, results ...flow.Result) *queue.Notice {
	n := &queue.Notice{Job: j}
	for i, r := range results {
		o := refuse(&j.Recipients[i])
		o.Result = r
		n.Recipients, n.Outcomes = append(n.Recipients, j.Recipients[i]), append(n.Outcomes, o)
	}
	return n
}

func TestBounceThroughTheQueue(t *testing.T) {
	w := newWorld(t)
	w.reply = refuse
	first := w.accept(sample, nil, to("bob"), to("eve"))
	if j, _ := w.next(); j.ID != first.ID {
		t.Fatal("another job")
	}
	j, text := w.next()
	r := j.Recipients[0]
	if !j.From.IsZero() || j.Cause != first.ID || !j.ID.IsDerived() || len(j.Recipients) != 1 || r.Transport != flow.Mailbox || r.Account != 7 {
		t.Errorf("%+v", j)
	}
	m, err := mime.Decode(j.Index)
	if err != nil || m.Root.Subtype != "report" || len(m.Root.Children) != 3 || m.Root.Children[2].Subtype != "rfc822" {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, want := range []string{"Original-Envelope-Id: Q1", "Reporting-MTA: dns; mail.here.example", "Final-Recipient: rfc822; bob@there.example",
		"Final-Recipient: rfc822; eve@there.example", "Remote-MTA: dns; mx.there.example", "Diagnostic-Code: smtp; 550 5.1.1 No such user bob", sample} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if refs := j.Blobs(); len(refs) != 1 || refs[0] == first.Blobs()[0] {
		t.Errorf("refers to %v", refs)
	}
	if len(w.events) != 1 || w.events[0].Kind != "bounce" || w.events[0].ID != j.ID || w.events[0].Cause != first.ID || w.events[0].Size != j.Size() {
		t.Errorf("%+v", w.events)
	}
}

// The same notice again is the same notification: nothing happens. Another set of recipients is another.
func TestRepeat(t *testing.T) {
	w := newWorld(t)
	job := w.accept(sample, nil, to("bob"), to("eve"))
	w.next()
	for _, c := range []struct {
		n    *queue.Notice
		sent int
	}{
		{notice(job, flow.Failed), 1}, {notice(job, flow.Failed), 1}, {notice(job, flow.Failed, flow.Failed), 2},
		{notice(job, flow.Failed, flow.Failed), 2}, {notice(job, flow.Relayed), 3},
	} {
		if err := w.rep.Report(t.Context(), c.n); err != nil {
			t.Fatal(err)
		}
		if len(w.events) != c.sent {
			t.Errorf("%d notifications, want %d", len(w.events), c.sent)
		}
	}
	if w.events[2].Kind != "notice" {
		t.Errorf("%+v", w.events[2])
	}
}

func TestNobodyToTell(t *testing.T) {
	w := newWorld(t)
	job := w.accept(sample, func(j *flow.Job) { j.From = address.Address{} }, to("bob"))
	w.next()
	if err := w.rep.Report(t.Context(), notice(job, flow.Failed)); err != nil {
		t.Error(err)
	}
	job.From = address.Address{Local: "gone", Domain: "here.example"}
	if err := w.rep.Report(t.Context(), notice(job, flow.Failed)); err != nil {
		t.Error(err)
	}
	if len(w.events) != 0 {
		t.Errorf("%+v", w.events)
	}
	w.lookup = errors.New("directory away")
	if err := w.rep.Report(t.Context(), notice(job, flow.Failed)); err == nil {
		t.Error("told nobody, although somebody may be there")
	}
}

func TestSenderElsewhere(t *testing.T) {
	w := newWorld(t)
	job := w.accept(sample, func(j *flow.Job) { j.From = address.Address{Local: "zed", Domain: "far.example"} }, to("bob"))
	w.next()
	if err := w.rep.Report(t.Context(), notice(job, flow.Failed)); err != nil {
		t.Fatal(err)
	}
	j, text := w.next()
	if r := j.Recipients[0]; r.Transport != flow.SMTP || r.To.String() != "zed@far.example" {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(text, "To: <zed@far.example>") {
		t.Error(text)
	}
}

func TestWhatIsReturned(t *testing.T) {
	long := strings.Replace(sample, "At noon?", strings.Repeat("At noon? ", 10)+"\r\n"+strings.Repeat("And then?\r\n", 300), 1)
	hugeHeader := strings.Replace(sample, "Subject", strings.Repeat("X-Long: "+strings.Repeat("x", 60)+"\r\n", 100)+"Subject", 1)
	for _, c := range []struct {
		name, text string
		change     func(*flow.Job)
		action     flow.Result
		broken     error
		kind       string // of the third part
		has, not   string
		eight      bool
	}{
		{name: "whole", text: sample, kind: "message/rfc822", has: "At noon?"},
		{name: "RET=HDRS", text: sample, change: func(j *flow.Job) { j.Ret = envelope.RetHeaders }, kind: "text/rfc822-headers", has: "Subject: lunch", not: "At noon"},
		{name: "too long", text: long, kind: "text/rfc822-headers", has: "Subject: lunch", not: "At noon"},
		{name: "too long, RET=FULL", text: long, change: func(j *flow.Job) { j.Ret = envelope.RetFull }, kind: "text/rfc822-headers", not: "At noon"},
		{name: "header too long", text: hugeHeader, kind: "text/rfc822-headers", has: "X-Long", not: "At noon"},
		{name: "relayed", text: sample, action: flow.Relayed, kind: "text/rfc822-headers", not: "At noon"},
		{name: "8-bit", text: strings.Replace(sample, "noon", "nöön", 1), kind: "message/rfc822", has: "nöön", eight: true},
		{name: "UTF-8", text: strings.Replace(sample, "lunch", "Frühstück", 1), change: func(j *flow.Job) { j.UTF8 = true }, kind: "message/global", has: "At noon", eight: true},
		{name: "SMTPUTF8 for nothing", text: sample, change: func(j *flow.Job) { j.UTF8 = true }, kind: "message/rfc822"},
		{name: "unreadable", text: sample, broken: errors.New("bad sector"), kind: "text/rfc822-headers", not: "At noon"},
		{name: "index unreadable", text: sample, change: func(j *flow.Job) { j.Index = []byte("x") }, kind: "text/rfc822-headers", not: "At noon", eight: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			job := w.accept(c.text, c.change, to("bob"))
			w.next()
			w.broken = c.broken
			if c.action == flow.Deferred {
				c.action = flow.Failed
			}
			if err := w.rep.Report(t.Context(), notice(job, c.action)); err != nil {
				t.Fatal(err)
			}
			j, text := w.next()
			m, err := mime.Decode(j.Index)
			if err != nil || len(m.Root.Children) != 3 {
				t.Fatalf("%v\n%s", err, text)
			}
			p := m.Root.Children[2]
			returned := text[p.Body:p.End]
			if got := p.Type + "/" + p.Subtype; got != c.kind || !strings.Contains(returned, c.has) || c.not != "" && strings.Contains(returned, c.not) {
				t.Errorf("%s\n%s", got, text)
			}
			if (j.Body == envelope.Body8BitMIME) != c.eight || j.UTF8 != (c.kind == "message/global") || int64(len(text)) > 2000+64<<10 {
				t.Errorf("body %v, utf8 %v, %d bytes", j.Body, j.UTF8, len(text))
			}
		})
	}
}

// More recipients than one report holds are told of in several.
func TestManyRecipients(t *testing.T) {
	w := newWorld(t)
	var rcpts []flow.Recipient
	for i := range 100 {
		rcpts = append(rcpts, to(fmt.Sprintf("user%d", i)))
	}
	job := w.accept(sample, nil, rcpts...)
	w.next()
	results := make([]flow.Result, 100)
	for i := range results {
		results[i] = flow.Failed
	}
	for range 2 {
		if err := w.rep.Report(t.Context(), notice(job, results...)); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.events) < 2 || len(w.events) > 20 {
		t.Fatalf("%d reports", len(w.events))
	}
	all := ""
	for range w.events {
		_, text := w.next()
		all += text
	}
	for i := range rcpts {
		if n := strings.Count(all, fmt.Sprintf("Final-Recipient: rfc822; user%d@there.example\r\n", i)); n != 1 {
			t.Errorf("user%d is named %d times", i, n)
		}
	}
}

func TestAliasIsNamedAsTheSenderWroteIt(t *testing.T) {
	w := newWorld(t)
	r := to("bob")
	r.Original = address.Address{Local: "team", Domain: "here.example"}
	job := w.accept(sample, nil, r)
	w.next()
	if err := w.rep.Report(t.Context(), notice(job, flow.Failed)); err != nil {
		t.Fatal(err)
	}
	if _, text := w.next(); !strings.Contains(text, "Original-Recipient: rfc822; team@here.example") {
		t.Error(text)
	}
}

// What can be neither delivered nor returned goes to the postmaster, and his own mail goes nowhere: every chain ends.
func TestDoubleBounce(t *testing.T) {
	w := newWorld(t)
	w.reply = refuse
	double := address.Address{Local: "double-bounce", Domain: "here.example"}
	set := *w.rep.settings.Load()
	set.Postmaster, set.DoubleBounce = address.Address{Local: "ann", Domain: "here.example"}, double
	w.rep.Set(&set)
	null := w.accept(sample, func(j *flow.Job) { j.From = address.Address{} }, to("bob"))
	if j, _ := w.next(); j.ID != null.ID {
		t.Fatal("another job")
	}
	j, text := w.next()
	if j.From != double || j.Cause != null.ID || j.Recipients[0].Account != 7 {
		t.Errorf("%+v", j)
	}
	for _, want := range []string{"Subject: Double bounce", "Sender: <>", "Final-Recipient: rfc822; bob@there.example", "At noon?", "To: <ann@here.example>"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	gone := w.accept(sample, func(j *flow.Job) { j.From = address.Address{Local: "gone", Domain: "here.example"} }, to("bob"))
	w.next()
	if j, text := w.next(); j.Cause != gone.ID || !strings.Contains(text, "Sender: <gone@here.example>") {
		t.Errorf("%+v\n%s", j, text)
	}
	if len(w.events) != 2 || w.events[0].Kind != "double-bounce" {
		t.Errorf("%+v", w.events)
	}
	last := w.accept(sample, func(j *flow.Job) { j.From = double }, to("bob"))
	w.next()
	if err := w.rep.Report(t.Context(), notice(last, flow.Failed)); err != nil || len(w.events) != 2 {
		t.Errorf("%v, %+v", err, w.events)
	}
	set.Postmaster.Local = "nobody" // then nothing is left but the log
	w.rep.Set(&set)
	if err := w.rep.Report(t.Context(), notice(null, flow.Failed)); err != nil {
		t.Error(err)
	}
	w.lookup = errors.New("directory away")
	if err := w.rep.Report(t.Context(), notice(gone, flow.Failed)); err == nil {
		t.Error("given up for a directory that is away")
	}
}

// Copies of what senders are told have no text of the message in them, and an id of their own.
// Mail that was late, and then over DELIVERBY's time, and then failed: its sender hears of all three, once each. The warning names
// the time when it is given up.
func TestEachWarningIsToldOnce(t *testing.T) {
	w := newWorld(t)
	set := *w.rep.settings.Load()
	set.Expire = 48 * time.Hour
	w.rep.Set(&set)
	job := w.accept(sample, func(j *flow.Job) {
		j.Received = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		j.DeliverBy, j.DeliverByReturn = j.Received.Add(6*time.Hour), true
	}, to("bob"))
	w.next()
	for warning, result := range []flow.Result{flow.Failed, flow.Deferred, flow.Deferred} {
		for range 2 {
			n := notice(job, result)
			n.Warning = uint8(warning)
			if err := w.rep.Report(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		_, text := w.next()
		if late := "Will-Retry-Until: Sun, 01 Mar 2026 18:00:00 +0000"; strings.Contains(text, late) != (result == flow.Deferred) || len(w.events) != warning+1 {
			t.Errorf("%d notifications\n%s", len(w.events), text)
		}
	}
}

// A letter to the postmaster that is late is neither dropped nor said to be.
func TestLateDoubleBounce(t *testing.T) {
	w := newWorld(t)
	var log strings.Builder
	w.rep.Log = slog.New(slog.NewTextHandler(&log, nil))
	set := *w.rep.settings.Load()
	set.DoubleBounce = address.Address{Local: "double-bounce", Domain: "here.example"}
	w.rep.Set(&set)
	job := w.accept(sample, func(j *flow.Job) { j.From = set.DoubleBounce }, to("bob"))
	w.next()
	for said, result := range []flow.Result{flow.Deferred, flow.Failed} {
		if err := w.rep.Report(t.Context(), notice(job, result)); err != nil || strings.Count(log.String(), "it is dropped") != said || len(w.events) != 0 {
			t.Errorf("%v %v %s", err, w.events, log.String())
		}
	}
}

func TestCopies(t *testing.T) {
	w := newWorld(t)
	set := *w.rep.settings.Load()
	ann := address.Address{Local: "ann", Domain: "here.example"}
	set.Bounces, set.Delays, set.DoubleBounce, set.Expire = ann, ann, address.Address{Local: "double-bounce", Domain: "here.example"}, 48*time.Hour
	w.rep.Set(&set)
	job := w.accept(sample, func(j *flow.Job) {
		j.From, j.Ret = address.Address{Local: "zed", Domain: "far.example"}, envelope.RetFull
		j.Received = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	}, to("bob"), to("eve"))
	w.next()
	for range 2 {
		if err := w.rep.Report(t.Context(), notice(job, flow.Failed, flow.Deferred)); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[queueid.ID]bool{}
	subjects := ""
	for range 3 {
		j, text := w.next()
		seen[j.ID] = true
		_, rest, _ := strings.Cut(text, "Subject: ")
		subject, _, _ := strings.Cut(rest, "\r\n")
		subjects += subject + "|"
		if copied := strings.HasPrefix(subject, "Copy"); copied == strings.Contains(text, "At noon?") || copied != (j.From == set.DoubleBounce) {
			t.Errorf("from %v:\n%s", j.From, text)
		}
		if strings.Contains(text, "eve@") && !strings.Contains(text, "Will-Retry-Until: Tue, 03 Mar 2026 12:00:00 +0000") {
			t.Error(text)
		}
	}
	if len(seen) != 3 || len(w.events) != 3 || !strings.Contains(subjects, "Undelivered mail returned") || !strings.Contains(subjects, "postmaster: undelivered") ||
		!strings.Contains(subjects, "postmaster: delayed") {
		t.Errorf("%s %+v", subjects, w.events)
	}
}

// The bounce of a message that demands TLS demands it too, and has none of its text: RFC 8689 §5.
func TestRequireTLSBounce(t *testing.T) {
	w := newWorld(t)
	job := w.accept(sample, func(j *flow.Job) { j.RequireTLS, j.Ret = true, envelope.RetFull }, to("bob"))
	w.next()
	if err := w.rep.Report(t.Context(), notice(job, flow.Failed)); err != nil {
		t.Fatal(err)
	}
	if j, text := w.next(); !j.RequireTLS || strings.Contains(text, "At noon") {
		t.Errorf("%+v\n%s", j, text)
	}
}

func TestExpandedIsReported(t *testing.T) {
	w := newWorld(t)
	team := address.Address{Local: "team", Domain: "here.example"}
	job := w.accept(sample, nil, to("bob"), flow.Recipient{To: team, Original: team, Transport: flow.Drop, NextHop: flow.Expanded, Notify: envelope.NotifySuccess})
	for range 2 { // the message, and the report
		if j, text := w.next(); j.ID != job.ID && (!strings.Contains(text, "Action: expanded") || !strings.Contains(text, "Status: 2.0.0") ||
			!strings.Contains(text, "Final-Recipient: rfc822; team@here.example") || strings.Contains(text, "Diagnostic-Code")) {
			t.Error(text)
		}
	}
}

// Who hears of a copy is who sent that copy: a list's owner of its members, nobody where it came from nobody.
func TestNotificationGoesToTheCopysSender(t *testing.T) {
	w := newWorld(t)
	w.reply = refuse
	owner := address.Address{Local: "owner-list", Domain: "there.example"}
	member, quiet := to("member"), to("quiet")
	member.Sender, quiet.Sender = &owner, &address.Address{}
	first := w.accept(sample, nil, to("bob"), member, quiet)
	told := map[string]string{}
	for range 2 {
		j, text := w.next()
		for j.ID == first.ID {
			j, text = w.next()
		}
		told[j.Recipients[0].To.String()] = text
	}
	for who, about := range map[string]string{"ann@here.example": "bob", "owner-list@there.example": "member"} {
		text := told[who]
		if !strings.Contains(text, "Final-Recipient: rfc822; "+about+"@there.example") || strings.Count(text, "Final-Recipient:") != 1 ||
			!strings.Contains(text, "To: <"+who+">") && !strings.Contains(text, "To: "+who) {
			t.Errorf("%s was told:\n%s", who, text)
		}
	}
}
