package smtp

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
)

func everything(c *Config) {
	c.Offers = Offers{FutureRelease: time.Hour, DeliverBy: true, Priority: true, RequireTLS: true, VERP: func(netip.Addr) bool { return true }}
}

func TestOffers(t *testing.T) {
	bubble(t, func(t *testing.T) { // the clock of a bubble begins at 2000-01-01T00:00:00Z
		b := &backend{}
		s := testServer(t, "", b, everything)
		send := "\nS: 250 2.1.0 Ok\nC: RCPT TO:<b@example.test>\nS: 250 2.1.5 Ok\nC: DATA\nS...: 354 End data with <CR><LF>.<CR><LF>\nC: .\nS...: 250*\n"
		from := "C: MAIL FROM:<a@b.example> "
		play(t, s, TLSStart, "S: 220 mx.example.test ESMTP\nC: EHLO c\nS...: 250-LIMITS RCPTMAX=3 MAILMAX=5\nS: 250-FUTURERELEASE 3600 2000-01-01T01:00:00Z\n"+
			"S: 250-DELIVERBY\nS: 250-MT-PRIORITY\nS: 250-XVERP\nS: 250 STARTTLS\n"+
			from+"REQUIRETLS\nS: 555 5.5.4 Parameter not recognized\n"+
			from+"HOLDFOR=3602\nS: 501 5.5.4 The message would be kept back for longer than this server does\n"+
			from+"HOLDFOR=60 HOLDUNTIL=2000-01-01T00:10:00Z\nS: 501 5.5.4 Invalid HOLDFOR or HOLDUNTIL parameter\n"+
			from+"BY=60;R HOLDFOR=61\nS: 501 5.5.4 The message is to be back (BY) before it is to be released (HOLDFOR, HOLDUNTIL)\n"+
			from+"BY=0;R\nS: 501 5.5.4 Invalid BY parameter\n"+
			from+"MT-PRIORITY=10\nS: 501 5.5.2 Invalid MT-PRIORITY parameter\n"+
			"C: MAIL FROM:<> XVERP\nS: 501 5.5.4 XVERP needs a sender\n"+
			from+"HOLDUNTIL=2000-01-01T00:30:00Z BY=-5;n MT-PRIORITY=-3 XVERP==+"+strings.Replace(send, "S...: 250*", "S...: 250 2.0.0 Ok: ESMTP <a@b.example> -> <b@example.test> \"\"", 1)+
			"C: QUIT\nS: 221 2.0.0 Bye\nS-close")
		if len(b.got) != 1 {
			t.Fatalf("%d messages", len(b.got))
		}
		e := b.got[0].env
		start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		if !e.HoldUntil.Equal(start.Add(30*time.Minute)) || !e.DeliverBy.Equal(start.Add(-5*time.Second)) || e.DeliverByReturn || e.Priority != -3 || e.VERP != "=+" {
			t.Errorf("%+v", e)
		}
	})
}

// What a service does not offer it does not take either: RFC 5321 §4.1.1.11.
func TestNotOffered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		text := "S: 220 mx.example.test ESMTP\nC: EHLO c\nS...: 250 STARTTLS\n"
		for _, p := range []string{"HOLDFOR=1", "HOLDUNTIL=2000-01-01T00:30:00Z", "BY=1;N", "MT-PRIORITY=1", "REQUIRETLS", "XVERP"} {
			text += "C: MAIL FROM:<a@b.example> " + p + "\nS: 555 5.5.4 Parameter not recognized\n"
		}
		play(t, testServer(t, "", &backend{}, nil), TLSStart, text+"C: QUIT\nS: 221 2.0.0 Bye\nS-close")
	})
}

func TestRequireTLSUnderTLS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &backend{}
		play(t, testServer(t, "", b, everything), TLSImplicit, "C-tls\nS: 220 mx.example.test ESMTP\nC: EHLO c\nS...: 250-REQUIRETLS\nS: 250 XVERP\n"+
			"C: MAIL FROM:<a@b.example> REQUIRETLS\nS: 250 2.1.0 Ok\nC: RCPT TO:<b@example.test>\nS: 250 2.1.5 Ok\nC: DATA\nS...: 354 End data with <CR><LF>.<CR><LF>\n"+
			"C: .\nS...: 250 2.0.0 Ok: ESMTPS <a@b.example> -> <b@example.test> \"\"\nC: MAIL FROM:<a@b.example> REQUIRETLS=1\nS: 501 5.5.4 Syntax error in parameters\nC: QUIT\nS: 221 2.0.0 Bye\nS-close")
		if len(b.got) != 1 || !b.got[0].env.RequireTLS {
			t.Errorf("%+v", b.got)
		}
	})
}

// FuzzOffers says that whatever a client asks for stays within what was offered.
func FuzzOffers(f *testing.F) {
	f.Fuzz(func(t *testing.T, args string) {
		params, err := parseParams(args)
		if err != nil {
			return
		}
		c := &Config{}
		everything(c)
		s := &session{cfg: c.complete()}
		e := &envelope.Envelope{From: address.Address{Local: "a", Domain: "b.example"}}
		began := time.Now()
		rest, err := s.offered(e, params)
		if err != nil {
			return
		}
		for _, p := range rest {
			switch p.key {
			case "HOLDFOR", "HOLDUNTIL", "BY", "MT-PRIORITY", "XVERP":
				t.Fatalf("%s was passed over", p.key)
			}
		}
		by := e.DeliverBy.Sub(began).Abs()
		switch {
		case !e.HoldUntil.IsZero() && time.Until(e.HoldUntil) > time.Hour+time.Second:
			t.Fatalf("kept until %v", e.HoldUntil)
		case e.Priority < -9 || e.Priority > 9:
			t.Fatalf("priority %d", e.Priority)
		case !e.DeliverBy.IsZero() && by > 1_000_000_000*time.Second, e.DeliverByReturn && !e.DeliverBy.After(began):
			t.Fatalf("by %v", e.DeliverBy)
		case e.VERP != "" && (len(e.VERP) != 2 || strings.Trim(e.VERP, "-=+") != ""):
			t.Fatalf("verp %q", e.VERP)
		case e.RequireTLS:
			t.Fatal("REQUIRETLS without TLS")
		}
	})
}
