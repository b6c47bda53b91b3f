package mtas

import (
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

// TestPostriderAndPostfix is one test, since all of it shares two running systems. The subtests that stop one of them
// come last.
func TestPostriderAndPostfix(t *testing.T) {
	w := newWorld(t)
	expiring := w.beginExpiry(t)
	t.Run("from Postrider to Postfix", w.outgoing)
	t.Run("from Postfix to Postrider", w.incoming)
	t.Run("several recipients are one transaction", w.oneTransaction)
	t.Run("an A record does for an MX", w.implicitMX)
	t.Run("null sender", w.nullSender)
	t.Run("unknown user at Postfix", w.unknownAtPostfix)
	t.Run("unknown user at Postrider", w.unknownAtPostrider)
	t.Run("domains that take no mail", w.noMail)
	t.Run("greylisting", w.greylisting)
	t.Run("loop", w.loop)
	t.Run("smart host", w.smartHost)
	t.Run("Postfix is away", w.postfixAway)
	t.Run("Postrider is away", w.postriderAway)
	t.Run("expiry", func(t *testing.T) { w.endExpiry(t, expiring) })
}

// features are messages that need something of the way they go.
func features() map[string]letter {
	long := strings.Repeat(strings.Repeat("0123456789", 7)+"\r\n", 5<<20/72)
	return map[string]letter{
		"plain":      {text: "plain text\r\n.a dot\r\n..\r\n.\r\n\r\nend\r\n"},
		"8BITMIME":   {text: "Grüße, 日本語, \xff\xfe\r\n", body: smtp.Body8BitMIME},
		"5 MiB":      {text: long},
		"long lines": {text: strings.Repeat("x", 990) + "\r\n" + strings.Repeat("y", 998) + "\r\n"},
		"SMTPUTF8":   {text: "an address that is not ASCII\r\n", utf8: true, body: smtp.Body8BitMIME},
	}
}

// header puts a header in front of a text.
func header(l letter, token string) string {
	h := "From: " + l.from + "\r\nTo: " + strings.Join(l.to, ", ") + "\r\nSubject: " + token + "\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
	return h + "\r\n" + l.text
}

// Every message arrives in a mailbox of Postfix as it was sent, by TLS and by the second exchanger, the first being dead.
func (w *world) outgoing(t *testing.T) {
	for name, l := range features() {
		t.Run(name, func(t *testing.T) {
			token, body, box := w.token(), l.text, "bob"
			l.from, l.to = "alice@a.example", []string{"bob@b.example"}
			if l.utf8 {
				l.from, l.to, box = "müller@a.example", []string{"jürgen@b.example"}, "juergen"
			}
			l.text = header(l, token)
			w.rider.submit(t, l.from, l)
			got := w.postfix.mail(t, box, token)
			if _, rest, _ := strings.Cut(got, "\n\n"); rest != strings.ReplaceAll(body, "\r\n", "\n") {
				t.Errorf("the body has changed: %d octets, %.200q", len(rest), rest)
			}
			for _, want := range []string{"Return-Path: <" + l.from + ">", "Delivered-To: " + l.to[0], "from mx.a.example (mx.a.example [", "using TLSv1.3 "} {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in %.2000s", want, got)
				}
			}
			w.rider.logged(t, "status=sent", "to="+l.to[0], "relay=mx.b.example[")
		})
	}
	// Postfix tells how it was spoken to: CHUNKING, and never DATA.
	w.postfix.logged(t, "disconnect from mx.a.example", "starttls=1", "bdat=")
	if line := lineWith(w.postfix.log(), "disconnect from mx.a.example", " data="); line != "" {
		t.Errorf("DATA although CHUNKING is offered: %s", line)
	}
}

// The same the other way: byte for byte, by TLS, by the second exchanger.
func (w *world) incoming(t *testing.T) {
	for name, l := range features() {
		t.Run(name, func(t *testing.T) {
			token, body := w.token(), l.text
			l.from, l.to = "bob@b.example", []string{"alice@a.example"}
			if l.utf8 {
				l.from, l.to = "jürgen@b.example", []string{"müller@a.example"}
			}
			l.text = header(l, token)
			if err := deliver(t, w.b, postfixIPv4, l); err != nil {
				t.Fatal(err)
			}
			got := w.rider.mail(t, l.to[0], token)
			if _, rest, _ := strings.Cut(got, "\r\n\r\n"); rest != body {
				t.Errorf("the body has changed: %d octets, %.200q", len(rest), rest)
			}
			with := "with ESMTPS id"
			if l.utf8 {
				with = "with UTF8SMTPS id"
			}
			for _, want := range []string{"Return-Path: <" + l.from + ">", "from mx.b.example (", with} {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in %.2000s", want, got)
				}
			}
			w.postfix.logged(t, "postfix/smtp[", "to=<"+l.to[0]+">", "relay=mx.a.example[", "status=sent (250 2.0.0 Ok: queued as ")
		})
	}
	w.postfix.logged(t, "connect to dead.a.example["+deadInA+"]:25: Connection refused")
}

// Recipients of one domain go in one transaction, and each gets its copy.
func (w *world) oneTransaction(t *testing.T) {
	token := w.token()
	l := letter{from: "alice@a.example", to: []string{"bob@b.example", "carol@b.example", "dave@b.example"}, text: "for all\r\n"}
	l.text = header(l, token)
	w.rider.submit(t, l.from, l)
	for _, box := range []string{"bob", "carol", "dave"} {
		w.postfix.mail(t, box, token)
	}
	w.postfix.logged(t, "from=<alice@a.example>", "nrcpt=3 (queue active)")

	token = w.token()
	l = letter{from: "bob@b.example", to: []string{"alice@a.example", "müller@a.example"}, utf8: true, text: "for both\r\n"}
	l.text = header(l, token)
	if err := deliver(t, w.b, postfixIPv4, l); err != nil {
		t.Fatal(err)
	}
	for _, user := range l.to {
		w.rider.mail(t, user, token)
	}
	w.rider.logged(t, "msg=accepted", "from=bob@b.example", "nrcpt=2")
}

// RFC 5321 §5.1: a domain without MX is its own exchanger.
func (w *world) implicitMX(t *testing.T) {
	token := w.token()
	l := letter{from: "alice@a.example", to: []string{"bob@direct.example"}, text: "direct\r\n"}
	l.text = header(l, token)
	w.rider.submit(t, l.from, l)
	w.postfix.mail(t, "bob", token)
	w.rider.logged(t, "to=bob@direct.example", "relay=direct.example["+postfixIPv4+"]:25", "status=sent")
}

// The null reverse-path arrives as such; what fails from it comes back to nobody: the postmaster hears of it, once.
func (w *world) nullSender(t *testing.T) {
	token := w.token()
	l := letter{to: []string{"alice@a.example"}, text: header(letter{from: "daemon@b.example", to: []string{"alice@a.example"}}, token)}
	if err := deliver(t, w.b, postfixIPv4, l); err != nil {
		t.Fatal(err)
	}
	if got := w.rider.mail(t, "alice@a.example", token); !strings.Contains(got, "Return-Path: <>") {
		t.Errorf("%s", got)
	}
	alice, postmaster := w.rider.count(t, "alice@a.example"), w.rider.count(t, "postmaster@a.example")
	token = w.token()
	l = letter{to: []string{"nobody-null@b.example"}, text: header(letter{from: "alice@a.example", to: []string{"nobody-null@b.example"}}, token)}
	w.rider.submit(t, "alice@a.example", l)
	w.rider.logged(t, "to=nobody-null@b.example", "status=bounced")
	w.rider.waitGone(t, "nobody-null@b.example")
	told := await(t, "the postmaster's letter", func() string { // who cannot log in
		return w.rider.operate(t, "", "mail", "fetch", "--account", "postmaster@a.example", "text", token)
	})
	for _, want := range []string{"Return-Path: <double-bounce@a.example>", "\nFinal-Recipient: rfc822; nobody-null@b.example", "\nAction: failed", "\nStatus: 5.1.1"} {
		if !strings.Contains(told, want) {
			t.Errorf("no %q in %s", want, told)
		}
	}
	if a, p := w.rider.count(t, "alice@a.example"), w.rider.count(t, "postmaster@a.example"); a != alice || p != postmaster+1 {
		t.Errorf("a bounce of a bounce: %d and %d messages more", a-alice, p-postmaster)
	}
}

// smartHost: the customer's mail leaves by a relay, under TLS with the right certificate, and with a password.
func (w *world) smartHost(t *testing.T) {
	token := w.token()
	l := letter{from: "carl@c.example", to: []string{"bob@b.example"}, text: "by the relay\r\n"}
	send := func(token string) {
		w.customer.submit(t, l.from, letter{from: l.from, to: l.to, text: header(l, token)})
	}
	send(token)
	got := strings.Join(strings.Fields(w.postfix.mail(t, "bob", token)), " ")
	for _, want := range []string{"from mx.a.example (mx.a.example [", "from host.c.example (host.c.example [" + customerIPv4 + "]) by mx.a.example with ESMTPSA id"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	w.rider.logged(t, "msg=accepted", "service=submission", "client="+customerIPv4, "account=alice@a.example", "mech=SCRAM-SHA-256", "from=carl@c.example")

	// A wrong password is our own trouble: the mail waits, and goes when it is mended.
	writeFile(t, w.customer.secret(), "wrong\n")
	w.customer.reload(t)
	token = w.token()
	send(token)
	w.customer.logged(t, "status=deferred", "to=bob@b.example", "relay=mx.a.example[", "535 5.7.8")
	w.rider.logged(t, "authentication failed", "client="+customerIPv4, "account=alice@a.example")
	writeFile(t, w.customer.secret(), password+"\n")
	w.customer.reload(t)
	w.postfix.mail(t, "bob", token)
}
