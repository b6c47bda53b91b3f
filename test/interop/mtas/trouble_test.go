package mtas

import (
	"os"
	"strings"
	"testing"
	"time"
)

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// bounced checks a delivery status notification; white space counts as one space, since fields are folded.
func bounced(t *testing.T, got string, wants ...string) {
	t.Helper()
	flat := strings.Join(strings.Fields(got), " ")
	for _, want := range append(wants, "Return-Path: <>", "Content-Type: multipart/report", "Content-Type: message/delivery-status", "Action: failed") {
		if !strings.Contains(flat, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// What Postfix refuses comes back to the sender in its words.
func (w *world) unknownAtPostfix(t *testing.T) {
	token := w.token()
	l := letter{from: "alice@a.example", to: []string{"nobody@b.example"}, text: "to nobody\r\n"}
	l.text = header(l, token)
	w.rider.submit(t, l.from, l)
	got := w.rider.mail(t, "alice@a.example", token)
	bounced(t, got, "Final-Recipient: rfc822; nobody@b.example", "Status: 5.1.1", "Remote-MTA: dns; mx.b.example",
		"Diagnostic-Code: smtp; 550 5.1.1 <nobody@b.example>: Recipient address rejected: User unknown in virtual mailbox table", "to nobody")
}

// The same the other way.
func (w *world) unknownAtPostrider(t *testing.T) {
	token := w.token()
	l := letter{from: "bob@b.example", to: []string{"nobody@a.example"}, text: "to nobody here\r\n"}
	l.text = header(l, token)
	if err := deliver(t, w.b, postfixIPv4, l); err != nil {
		t.Fatal(err)
	}
	got := w.postfix.mail(t, "bob", token)
	bounced(t, got, "nobody@a.example", "Status: 5.1.1", "550 5.1.1 ", "to nobody here")
	w.rider.logged(t, "msg=rejected", "to=nobody@a.example", "reason=recipient")
}

// What the DNS says for certain ends a message at once.
func (w *world) noMail(t *testing.T) {
	for _, c := range []struct{ to, status, words string }{
		{"x@null.example", "Status: 5.1.10", "null MX"},
		{"x@nowhere.example", "Status: 5.1.2", "does not exist"},
	} {
		t.Run(c.to, func(t *testing.T) {
			token := w.token()
			l := letter{from: "alice@a.example", to: []string{c.to}, text: "in vain\r\n"}
			l.text = header(l, token)
			w.rider.submit(t, l.from, l)
			bounced(t, w.rider.mail(t, "alice@a.example", token), c.status, c.words, "Final-Recipient: rfc822; "+c.to)
		})
	}
}

// A temporary refusal is tried again.
func (w *world) greylisting(t *testing.T) {
	token := w.token()
	l := letter{from: "alice@a.example", to: []string{"grey@b.example"}, text: "patience\r\n"}
	l.text = header(l, token)
	w.rider.submit(t, l.from, l)
	w.rider.logged(t, "to=grey@b.example", "status=deferred", "dsn=4.7.1", "450 4.7.1", "Greylisted, try again later")
	if j := w.rider.queued(t, "grey@b.example"); j == nil || j.State != "deferred" || !strings.Contains(j.Recipients[0].Reason, "Greylisted") {
		t.Errorf("queue: %+v", j)
	}
	w.postfix.table(t, "access", "")
	w.postfix.control(t, "postfix", "reload")
	w.postfix.mail(t, "grey", token)
	w.rider.waitGone(t, "grey@b.example")
}

// Two aliases that point at each other end by the count of Received fields, with one notification to the sender.
func (w *world) loop(t *testing.T) {
	token := w.token()
	l := letter{from: "alice@a.example", to: []string{"loop@b.example"}, text: "round and round\r\n"}
	l.text = header(l, token)
	w.rider.submit(t, l.from, l)
	bounced(t, w.rider.mail(t, "alice@a.example", token), "5.4.6", "Too many hops")
	w.rider.waitGone(t, "loop@b.example")
}

// While the other side is down mail waits in the queue, visibly; it goes when it can.
func (w *world) postfixAway(t *testing.T) {
	w.postfix.stop(t)
	token := w.token()
	l := letter{from: "alice@a.example", to: []string{"carol@b.example"}, text: "later\r\n"}
	l.text = header(l, token)
	w.rider.submit(t, l.from, l)
	await(t, "deferred job", func() string {
		j := w.rider.queued(t, "carol@b.example")
		if j == nil || j.State != "deferred" || j.Sender != "alice@a.example" || j.Recipients[0].Attempts == 0 ||
			!strings.Contains(j.Recipients[0].Reason, "refused") {
			return ""
		}
		return j.ID
	})
	// A restart of our own side loses nothing of it.
	w.rider.stop(t)
	w.rider.start(t)
	if w.rider.queued(t, "carol@b.example") == nil {
		t.Error("a restart has emptied the queue")
	}
	w.postfix.start(t)
	w.postfix.mail(t, "carol", token)
	w.rider.waitGone(t, "carol@b.example")
}

// The same the other way.
func (w *world) postriderAway(t *testing.T) {
	w.rider.stop(t)
	token := w.token()
	l := letter{from: "bob@b.example", to: []string{"alice@a.example"}, text: "later\r\n"}
	l.text = header(l, token)
	if err := deliver(t, w.b, postfixIPv4, l); err != nil {
		t.Fatal(err)
	}
	line := w.postfix.logged(t, "to=<alice@a.example>", "status=deferred", "Connection refused")
	_, id, _ := strings.Cut(line, "]: ")
	id, _, _ = strings.Cut(id, ":")
	w.rider.start(t)
	// Postfix puts a message that it finds in hand off by minutes, however short its times are.
	for end := time.Now().Add(patience); time.Now().Before(end) && lineWith(w.postfix.log(), id, "status=sent") == ""; time.Sleep(300 * time.Millisecond) {
		w.postfix.control(t, "postqueue", "-f")
	}
	w.rider.mail(t, "alice@a.example", token)
}

// beginExpiry sends a message to a host that never answers; endExpiry finds it returned when its time is over. The other
// tests run in between.
func (w *world) beginExpiry(t *testing.T) (token string) {
	token = w.token()
	l := letter{from: "alice@a.example", to: []string{"x@expiring.example"}, text: "too late\r\n"}
	l.text = header(l, token)
	w.rider.submit(t, l.from, l)
	return token
}

func (w *world) endExpiry(t *testing.T, token string) {
	w.rider.logged(t, "to=x@expiring.example", "status=deferred", "refused")
	for end := time.Now().Add(2 * patience); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if lineWith(w.rider.log(), "to=x@expiring.example", "status=expired") != "" {
			break
		}
	}
	bounced(t, w.rider.mail(t, "alice@a.example", token), "Status: 5.4.7", "Final-Recipient: rfc822; x@expiring.example")
}
