package access

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
)

// An action that is read can be obeyed: codes are those of refusals, what goes into a reply or a header is one line.
func FuzzAction(f *testing.F) {
	f.Add("REJECT go away")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAction(s)
		if err != nil {
			return
		}
		if a.Verb == Reply && (a.Code < 400 || a.Code > 599) {
			t.Fatalf("%q: code %d", s, a.Code)
		}
		if !a.Enhanced.IsZero() && a.Enhanced.Class != 4 && a.Enhanced.Class != 5 {
			t.Fatalf("%q: %v", s, a.Enhanced)
		}
		if a.Verb != Restrictions && strings.ContainsAny(a.Text, "\r\n\x00") {
			t.Fatalf("%q: text %q", s, a.Text)
		}
		if (a.Verb == Redirect || a.Verb == BCC) == a.Address.IsZero() {
			t.Fatalf("%q: address %v", s, a.Address)
		}
		if again, err := ParseAction(strings.ToLower(s)); a.Verb == OK && (err != nil || again.Verb != OK) {
			t.Fatalf("%q: case matters: %v", s, err)
		}
	})
}

// A list that is read can be judged, whatever it is; and what was read and written is read again to the same.
func FuzzList(f *testing.F) {
	f.Add("permit_mynetworks, reject_unauth_destination")
	w := &world{files: map[string]string{}}
	o := w.options(f, "class: strict = reject_non_fqdn_sender, permit")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		rules, err := p.Parse(Recipient, []string{s})
		if err != nil {
			return
		}
		var texts []string
		for _, r := range rules {
			if r.run == nil {
				t.Fatalf("%q: %q cannot be judged", s, r.text)
			}
			if r.warn {
				texts = append(texts, "warn_if_reject")
			}
			texts = append(texts, r.text)
		}
		again, err := p.Parse(Recipient, []string{strings.Join(texts, " ")})
		if err != nil || len(again) != len(rules) {
			t.Fatalf("%q: written as %q: %d rules, then %d, %v", s, texts, len(rules), len(again), err)
		}
		p.lists[Recipient] = rules
		p.opt.Sleep = nil
		conn := &gate.Conn{}
		session, err := p.Connect(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		tx := &gate.Transaction{Transaction: &flow.Transaction{}, Conn: conn, Envelope: &envelope.Envelope{}}
		_ = session.Mail(t.Context(), tx)
		_ = session.Rcpt(t.Context(), tx, &envelope.Recipient{To: parse(t, "x@elsewhere.example")}) // either is right; it must end
		p.Open()
	})
}

// No lists without an explicit permission let a stranger relay, whatever they are; and what Open passes lets no stranger relay
// either.
func TestNoStrangerRelays(t *testing.T) {
	w := &world{dns: map[string]string{"7.100.51.198.wl.example A": "127.0.9.1", "7.100.51.198.bl.example A": "127.0.0.2",
		"elsewhere.example MX": "mx.elsewhere.example", "mx.elsewhere.example A": "203.0.113.1"}, action: "DUNNO"}
	var neutral []string
	for name, s := range restrictions() {
		if s.gone != "" || name == "permit" {
			continue
		}
		switch s.want {
		case aTable:
			for _, v := range []string{"static:DUNNO", "static:REJECT", "inline:{friend.example=OK}", "static:{DEFER_IF_REJECT x}", "static:{HOLD x}", "fail:x"} {
				neutral = append(neutral, name+" "+v)
			}
		case aList:
			neutral = append(neutral, name+" wl.example", name+" bl.example", name+" none.example")
		case aService:
			neutral = append(neutral, name+" inet:127.0.0.1:1")
		case someSeconds:
			neutral = append(neutral, name+" 1")
		default:
			neutral = append(neutral, name)
		}
	}
	neutral = append(neutral, "warn_if_reject reject", "warn_if_reject reject_unauth_destination")
	rapid.Check(t, func(rt *rapid.T) {
		list := rapid.SliceOfN(rapid.SampledFrom(neutral), 0, 8)
		var text strings.Builder
		for _, k := range []string{"client", "helo", "sender", "relay", "recipient"} {
			if l := list.Draw(rt, k); len(l) > 0 {
				text.WriteString(k + ": " + strings.Join(l, ", ") + "\n")
			}
		}
		p := build(t, w, text.String())
		for _, to := range []string{"x@elsewhere.example", "x%far.example@elsewhere.example"} {
			if got := talk(t, p, "to="+to); strings.HasPrefix(got, "ok relay") {
				rt.Fatalf("%s\nlets a stranger relay to %s: %s", text.String(), to, got)
			}
		}
		permits := rapid.SampledFrom([]string{"permit", "check_client_access static:OK", "permit_mynetworks", "check_recipient_access static:permit"})
		mixed := append(list.Draw(rt, "before"), append([]string{permits.Draw(rt, "permit")}, list.Draw(rt, "behind")...)...)
		p = build(t, w, "recipient: "+strings.Join(mixed, ", "))
		if wrong, _ := p.Open(); len(wrong) > 0 {
			return
		}
		if got := talk(t, p, "to=x@elsewhere.example"); strings.HasPrefix(got, "ok relay") {
			rt.Fatalf("%v\nis no open relay, says Open, but: %s", mixed, got)
		}
	})
}

func TestOpenRelay(t *testing.T) {
	w := &world{files: map[string]string{"all": "0.0.0.0/0 OK\n", "ours": "10.0.0.0/8 OK\n", "any": "/./ OK\n", "class": "/./ permit\n"}}
	for lists, want := range map[string]string{
		"relay: permit_mynetworks, reject_unauth_destination": "",
		"relay: permit": "lets every client relay",
		"relay: permit\nrecipient: reject_unauth_destination":                                 "",
		"relay: permit_mynetworks, defer_unauth_destination\nrecipient: permit":               "",
		"recipient: permit_mynetworks, permit, reject_unauth_destination":                     "lets every client relay",
		"recipient: warn_if_reject reject_unauth_destination, permit":                         "lets every client relay",
		"recipient: check_client_access static:OK, reject_unauth_destination":                 "lets every client relay",
		"recipient: check_client_access cidr:all, reject_unauth_destination":                  "lets every client relay",
		"recipient: check_client_access cidr:ours, reject_unauth_destination":                 "",
		"recipient: check_recipient_access static:permit, reject_unauth_destination":          "lets every client relay",
		"class: c = permit\nrelay: c, reject_unauth_destination":                              "lets every client relay",
		"class: c = reject_unauth_destination\nrelay: c, permit":                              "",
		"recipient: permit_sasl_authenticated, reject_unlisted_recipient, reject":             "",
		"recipient: check_sender_access inline:{x@far.example=OK}, reject_unauth_destination": "doubtful: anybody can say a name",
		"class: c = reject_unauth_destination, permit\nrelay: warn_if_reject c":               "lets every client relay",
		"class: d = reject\nclass: c = d, permit\nrelay: warn_if_reject c":                    "lets every client relay",
		"class: c = check_client_access static:c\nrelay: c, reject":                           "",
		"recipient: check_recipient_access cidr:all, reject_unauth_destination":               "",
		"recipient: check_recipient_access regexp:any, reject_unauth_destination":             "lets every client relay",
		"recipient: check_recipient_access regexp:class, reject_unauth_destination":           "lets every client relay",
		"recipient: check_helo_access regexp:any, reject_unauth_destination":                  "lets every client relay",
		"recipient: check_sender_access regexp:any, reject_unauth_destination":                "lets every client relay",
		"relay: permit_tls_clientcerts, reject_unauth_destination":                            "doubtful: no client is asked for a certificate",
		"recipient: permit_mx_backup, reject_unauth_destination":                              "doubtful: permit_mx_backup_networks",
		"": "doubtful: no list says",
	} {
		wrong, doubtful := build(t, w, lists).Open()
		text := strings.Join(wrong, "; ")
		if len(doubtful) > 0 {
			text += "doubtful: " + doubtful[0]
		}
		key, after, _ := strings.Cut(want, ": ")
		if want == "" && text != "" || !contains(text, key) || !contains(text, after) {
			t.Errorf("%s: %q, want %q", lists, text, want)
		}
	}
	o := w.options(t, "relay: permit_mynetworks, reject_unauth_destination")
	for _, c := range []struct {
		net  string
		open bool
	}{{"0.0.0.0/0", true}, {"::/0", true}, {"0.0.0.0/1", true}, {"2000::/3", true}, {"10.0.0.0/8", false}, {"fd00::/8", false}, {"192.0.2.0/24", false}} {
		if err := o.Mynetworks[0].UnmarshalText([]byte(c.net)); err != nil {
			t.Fatal(err)
		}
		p, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		if wrong, _ := p.Open(); (len(wrong) > 0) != c.open {
			t.Errorf("%s: %v", c.net, wrong)
		}
	}
}
