package dsn

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
)

type stored []byte

func (s stored) ReadBodyAt(_ recipe.BlobRef, p []byte, off int64) error {
	copy(p, s[off:])
	return nil
}

const original = "Subject: lunch\r\nFrom: ann@example.org\r\n\r\nAt noon?\r\n"

var when = time.Date(2025, 11, 21, 9, 55, 6, 0, time.UTC)

func sample() *Report {
	trace := "Received: by us\r\n"
	return &Report{
		Host: "mx.example.net", To: address.Address{Local: "ann", Domain: "example.org"}, ID: "4cXyZ12345z2B", Date: when,
		OriginalID: "4cXyZ00000z2B", Arrival: when.Add(-time.Hour), EnvID: "QQ314159",
		Recipients: []Recipient{{
			ORcpt: "rfc822;bobby@example.net", Final: address.Address{Local: "bob", Domain: "example.com"}, Action: Failed,
			Status: status.Enhanced{Class: 5, Subject: 1, Detail: 1}, Remote: "mx.example.com",
			Diagnostic: "550-5.1.1 No such\n550 5.1.1 user", LastAttempt: when,
		}},
		Original: Original{
			Message:    recipe.Whole(recipe.BlobRef{Pack: 1, Length: int64(len(original))}).Prepend([]byte(trace)),
			HeaderSize: int64(len(trace) + strings.Index(original, "At noon")), Subject: "lunch", MessageID: "1@example.org",
			MaxReturn: 1 << 20,
		},
	}
}

func build(t *testing.T, r *Report) ([]byte, *mime.Message, *Message) {
	t.Helper()
	m, err := r.Build()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := recipe.NewReader(stored(original), m.Recipe).WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), mime.Parse(out.Bytes()), m
}

func TestFailed(t *testing.T) {
	b, m, msg := build(t, sample())
	root := m.Root
	if root.Subtype != "report" || len(root.Children) != 3 || msg.UTF8 || msg.EightBit || m.Flags != 0 {
		t.Fatalf("%s", b)
	}
	if v, _ := header.Get(root.Params, "report-type"); v != "delivery-status" {
		t.Errorf("report-type %q", v)
	}
	if to, err := m.Envelope.To[0].Address(); err != nil || to.String() != "ann@example.org" {
		t.Errorf("To %v %v", to, err)
	}
	if m.Envelope.InReplyTo != "<1@example.org>" || m.Envelope.ID() != "4cXyZ12345z2B@mx.example.net" {
		t.Errorf("ids %+v", m.Envelope)
	}
	text, report, back := root.Children[0], root.Children[1], root.Children[2]
	for _, want := range []string{"<bob@example.com>: failed", "(you wrote to bobby@example.net)", "The server mx.example.com said:\r\n        550-5.1.1 No such\r\n        550 5.1.1 user\r\n",
		"address does not exist", "Subject: lunch", "check the address"} {
		if !strings.Contains(string(b[text.Body:text.End]), want) {
			t.Errorf("no %q in\n%s", want, b[text.Body:text.End])
		}
	}
	want := "Original-Envelope-Id: QQ314159\r\nReporting-MTA: dns; mx.example.net\r\nArrival-Date: Fri, 21 Nov 2025 08:55:06 +0000\r\n\r\n" +
		"Original-Recipient: rfc822; bobby@example.net\r\nFinal-Recipient: rfc822; bob@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n" +
		"Remote-MTA: dns; mx.example.com\r\nDiagnostic-Code: smtp; 550-5.1.1 No such 550 5.1.1 user\r\n" +
		"Last-Attempt-Date: Fri, 21 Nov 2025 09:55:06 +0000\r\nFinal-Log-ID: 4cXyZ00000z2B\r\n"
	if got := string(b[report.Body:report.End]); got != want || report.Subtype != "delivery-status" {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := string(b[back.Body:back.End]); got != "Received: by us\r\n"+original || back.Kind != mime.Rfc822 {
		t.Errorf("returned %q", got)
	}
	h, _ := header.Parse(b, len(b))
	if v, _ := h.Get("Auto-Submitted"); v != "auto-replied" {
		t.Error("Auto-Submitted")
	}
}

func TestReturned(t *testing.T) {
	head := "Received: by us\r\n" + original[:strings.Index(original, "At noon")]
	for name, c := range map[string]struct {
		change func(*Report)
		typ    string
		body   string
	}{
		"RET=HDRS":  {func(r *Report) { r.Original.Ret = envelope.RetHeaders }, "text/rfc822-headers", head},
		"too large": {func(r *Report) { r.Original.MaxReturn = 10 }, "text/rfc822-headers", head},
		"binary":    {func(r *Report) { r.Original.Body = envelope.BodyBinaryMIME }, "text/rfc822-headers", head},
		"delayed":   {func(r *Report) { r.Original.Ret, r.Recipients[0].Action = envelope.RetFull, Delayed }, "text/rfc822-headers", head},
		"RET=FULL":  {func(r *Report) { r.Original.Ret = envelope.RetFull }, "message/rfc822", "Received: by us\r\n" + original},
		"UTF8":      {func(r *Report) { r.Original.UTF8 = true }, "message/global", "Received: by us\r\n" + original},
		"UTF8 head": {func(r *Report) { r.Original.UTF8, r.Original.Ret = true, envelope.RetHeaders }, "message/global-headers", head},
		"too many trace fields": {func(r *Report) {
			r.Original.Message = r.Original.Message.Prepend(bytes.Repeat([]byte("X: y\r\n"), 8000))
		}, "message/rfc822", original},
	} {
		r := sample()
		c.change(r)
		b, m, _ := build(t, r)
		p := m.Root.Children[2]
		if got := string(b[p.Body:p.End]); p.Type+"/"+p.Subtype != c.typ || got != c.body {
			t.Errorf("%s: %s/%s %q", name, p.Type, p.Subtype, got)
		}
	}
}

func TestDelayedAndDelivered(t *testing.T) {
	r := sample()
	r.Recipients[0].Action, r.Recipients[0].RetryUntil, r.Recipients[0].Status = Delayed, when.Add(96*time.Hour), status.Enhanced{}
	b, m, _ := build(t, r)
	if !bytes.Contains(b, []byte("Will-Retry-Until: Tue, 25 Nov 2025 09:55:06 +0000\r\n")) || !bytes.Contains(b, []byte("Status: 4.0.0\r\n")) ||
		!strings.Contains(m.Envelope.Subject, "delayed") {
		t.Errorf("%s", b)
	}
	r.Recipients[0].Action, r.Recipients[0].Diagnostic = Delivered, ""
	if b, m, _ = build(t, r); bytes.Contains(b, []byte("Will-Retry")) || !bytes.Contains(b, []byte("Status: 2.0.0")) || m.Envelope.Subject != "Your mail was delivered" {
		t.Errorf("%s", b)
	}
}

func TestUTF8(t *testing.T) {
	r := sample()
	r.Recipients[0].Final = address.Address{Local: "jörg", Domain: "xn--mnchen-3ya.example"}
	b, m, msg := build(t, r)
	if !msg.UTF8 || !msg.EightBit || m.Root.Children[1].Subtype != "global-delivery-status" ||
		!bytes.Contains(b, []byte("Final-Recipient: utf-8; jörg@xn--mnchen-3ya.example\r\n")) || !bytes.Contains(b, []byte("<jörg@münchen.example>: failed")) {
		t.Errorf("%s", b)
	}
}

func TestWanted(t *testing.T) {
	for _, c := range []struct {
		n    envelope.Notify
		a    Action
		want bool
	}{
		{0, Failed, true}, {0, Delayed, true}, {0, Delivered, false}, {envelope.NotifyNever, Failed, false},
		{envelope.NotifySuccess, Failed, false}, {envelope.NotifySuccess, Relayed, true}, {envelope.NotifyFailure, Failed, true},
		{envelope.NotifyFailure, Delayed, false}, {envelope.NotifyDelay, Delayed, true},
	} {
		if Wanted(c.n, c.a) != c.want {
			t.Errorf("%v", c)
		}
	}
}

func TestManyRecipients(t *testing.T) {
	r := sample()
	r.Recipients[0].Diagnostic = strings.Repeat("550 very long words ", 1000)
	r.Recipients[0].ORcpt = "rfc822;" + strings.Repeat("x", 490)
	for len(r.Recipients) < 100 {
		r.Recipients = append(r.Recipients, r.Recipients[0])
	}
	r.Original.Message = r.Original.Message.Prepend(bytes.Repeat([]byte("X: y\r\n"), maxReturned/6-10))
	all, n := r.Recipients, 0
	for _, chunk := range Chunks(all) {
		n += len(chunk)
		r.Recipients = chunk
		if _, err := r.Build(); err != nil {
			t.Errorf("%d recipients: %v", len(chunk), err)
		}
	}
	if n != len(all) {
		t.Errorf("%d of %d recipients", n, len(all))
	}
	for _, list := range [][]Recipient{nil, all} {
		r.Recipients = list
		if _, err := r.Build(); !errors.Is(err, ErrTooMany) {
			t.Errorf("%d recipients: %v", len(list), err)
		}
	}
	if got := len(Chunks(sampleList(25))); got != 1 {
		t.Errorf("25 ordinary recipients in %d reports", got)
	}
}

func sampleList(n int) []Recipient {
	list := make([]Recipient, n)
	for i := range list {
		list[i] = sample().Recipients[0]
	}
	return list
}

// Whatever the remote host and the sender wrote, the report has its three parts and its fields.
func FuzzBuild(f *testing.F) {
	f.Add("550 5.1.1 No such user", "mx.example.com", "rfc822;x@y", "lunch")
	f.Fuzz(func(t *testing.T, diagnostic, remote, orcpt, subject string) {
		if len(orcpt) > 500 || len(remote) > 255 {
			return // the envelope's limits
		}
		r := sample()
		r.Recipients[0].Diagnostic, r.Recipients[0].Remote, r.Recipients[0].ORcpt = diagnostic, remote, orcpt
		r.Original.Subject, r.Original.MessageID, r.EnvID = subject, subject, subject[:min(len(subject), 100)]
		b, m, msg := build(t, r)
		if len(m.Root.Children) != 3 || m.Root.Children[2].Kind != mime.Rfc822 || m.Flags&(mime.NUL|mime.EightBitHeader) != 0 {
			t.Fatalf("%s", b)
		}
		if !msg.EightBit && m.Flags&mime.EightBitBody != 0 {
			t.Fatalf("8 bit unannounced: %q", b)
		}
		p := m.Root.Children[1]
		fields := b[p.Body:p.End]
		first, _ := header.Parse(fields, len(fields))
		second, _ := header.Parse(fields[first.Size:], len(fields))
		if v, _ := second.Get("Action"); v != "failed" || !first.Ended || second.Size != len(fields)-first.Size || second.Count("Status") != 1 {
			t.Fatalf("%q", fields)
		}
		for line := range bytes.SplitSeq(b, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n") {
				t.Fatalf("line %q", line)
			}
		}
	})
}
