package route

import (
	"testing"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// Whatever address comes in and whatever an entry of a table says: routing ends, within its bounds, and who may not relay
// sends nothing to a domain that no rule of ours names.
func FuzzRecipient(f *testing.F) {
	for _, s := range [][2]string{{"alice@host.example", "bob"}, {"x%far.example@host.example", "@far.example"}, {"far.example!x@host.example", "x@y.example, z"},
		{`"x@far.example"@host.example`, `"a b"@c.example`}, {"a@virtual.example", "a@virtual.example"}, {"postmaster", ":include:/x"}, {"x@[192.0.2.1]", "|prog"},
		{"SRS0=a=b=c=d@srs.host.example", "/file"}, {"moved@host.example", ","}, {"x@xn--mnchen-3ya.example", "x@münchen.example"}, {"a+b+c@hosted.example", "fuzz@virtual.example"},
		{"x@192.0.2.1", "x%y"}, {"ok@relay.example", "x!y!z"}, {"user@mbox.example", "<x@y.example>"}, {"nobody@other.example", "@a,@b:c@d.example"}, {"loop@hosted.example", "(comment) x"},
		{"%@host.example", "@"}, {"!@host.example", "@@"}, {"a%b%c%d%e@host.example", "a@b@c"}, {"\u00e9@host.example", "é@host.example"}} {
		f.Add(s[0], s[1])
	}
	router := rich(f)
	f.Fuzz(func(t *testing.T, to, right string) {
		a, _, err := address.ParsePath("<"+to+">", true)
		if err != nil || a.IsZero() {
			return
		}
		for _, may := range []bool{false, true} {
			got, err := router.Recipient(t.Context(), Query{To: envelope.Recipient{To: a}, MayRelay: may})
			if err == nil && len(got) == 0 || len(got) > MaxTargets {
				t.Fatalf("%s: %d recipients, %v", to, len(got), err)
			}
			if err != nil && status.Of(err).Code/100 != 4 && status.Of(err).Code/100 != 5 {
				t.Fatalf("%s: %v", to, err)
			}
			class, cerr := router.Class(t.Context(), a)
			if !may && cerr == nil && class == Default && err == nil {
				t.Fatalf("%s is relayed for a stranger: %+v", to, got)
			}
			for _, r := range got {
				if r.Transport == flow.Mailbox && r.Account == 0 || r.To.IsZero() {
					t.Fatalf("%s: %+v", to, r)
				}
			}
		}
		if parsed, err := router.parse(right); err == nil {
			again, err := router.parse(parsed.String())
			if err == nil && again != parsed {
				t.Fatalf("%q is %v, and written so %v", right, parsed, again)
			}
		}
	})
}

// What a setting or table says of a transport is read, or refused; what was read is planned the same when it is written.
func FuzzWay(f *testing.F) {
	for _, s := range []string{"smtp:[mx.example]:25", "smtp:", ":", "", "lmtp:unix:/run/x", "lmtp:inet:127.0.0.1:24", "relay:gate.example", "error:5.1.2 no", "error:no", "retry:4.3.0 later",
		"retry:5.0.0 x", "discard:quiet", "local:", "virtual:", "uucp:x", "smtp:[::1]", "smtp:::1", "smtp:a, b", "smtp:[IPv6:2001:db8::1]:587", "smtp:a:submission", "error:\x00\r\n", "smtp:[", "smtp:a:0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		programs := Programs{"uucp": true}
		w := ParseWay(s)
		transport, hop, err := w.plan("domain.example", programs)
		if err != nil {
			return
		}
		for i := range hop {
			if hop[i] < ' ' && transport != flow.Drop && (transport != flow.Program || i != len(w.Name)) {
				t.Fatalf("%q: next hop %q", s, hop)
			}
		}
		if transport != flow.SMTP && transport != flow.LMTP {
			return
		}
		list, err := flow.ParseNextHop(transport, hop)
		if err != nil {
			t.Fatalf("%q: next hop %q is not read again: %v", s, hop, err)
		}
		again, hop2, err := (Way{w.Name, hop}).plan("domain.example", programs)
		if err != nil || again != transport || hop2 != hop || len(list) > flow.MaxNextHops {
			t.Fatalf("%q: %q, then %q: %v", s, hop, hop2, err)
		}
	})
}
