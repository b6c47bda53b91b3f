package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/decide/srs"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// site is a directory: host.example is the host's domain, other.example another tenant's.
type site struct{ down error }

var people = map[string]string{"alice@host.example": "", "bob@host.example": "", "user@host.example": "", "info@hosted.example": "", "root@host.example": "",
	"team@hosted.example": "info@hosted.example,x@far.example", "across@hosted.example": "carol@other.example", "carol@other.example": "",
	"loop@hosted.example": "loopback@virtual.example", "postmaster@host.example": "", "q\"uote@host.example": ""}

func (s site) Domain(_ context.Context, domain string) (int64, bool, error) {
	switch domain {
	case "host.example", "hosted.example":
		return 1, true, s.down
	case "other.example":
		return 2, true, s.down
	}
	return 0, false, s.down
}

func (s site) Lookup(ctx context.Context, a address.Address) ([]Target, bool, error) {
	if _, ours, err := s.Domain(ctx, a.Domain); err != nil || !ours {
		return nil, false, err
	}
	base, ext, _ := address.SplitDelimiter(a.Local, "+")
	for _, local := range []string{a.Local, base} {
		members, ok := people[address.Address{Local: local, Domain: a.Domain}.Key()]
		if !ok {
			continue
		}
		if members == "" {
			if local == a.Local {
				ext = ""
			}
			return []Target{{Account: int64(len(local)), Address: address.Address{Local: address.FoldLocal(local), Domain: a.Domain}, Extension: ext}}, true, nil
		}
		var out []Target
		for _, m := range strings.Split(members, ",") {
			to := addr(strings.Cut(m, "@"))
			targets, ours, err := s.Lookup(ctx, to)
			if err != nil {
				return nil, true, err
			}
			if !ours {
				targets = []Target{{Address: to}}
			}
			out = append(out, targets...)
		}
		return out, true, nil
	}
	return nil, true, status.Perm(550, 1, 1, "No such user here")
}

func addr(local, domain string, _ ...bool) address.Address {
	return address.Address{Local: local, Domain: domain}
}

func inline(t testing.TB, text string) table.List {
	t.Helper()
	tab, err := table.Inline("{" + text + "}")
	if err != nil {
		t.Fatal(err)
	}
	return table.List{tab}
}

type broken struct{}

func (broken) Lookup(context.Context, string) (string, bool, error) {
	return "", false, errors.New("down")
}
func (broken) Pattern() bool { return false }

func names(s ...string) Domains {
	var d Domains
	for _, n := range s {
		n, not := strings.CutPrefix(n, "!")
		d = append(d, Pattern{Name: n, Not: not})
	}
	return d
}

// rich is a site with every kind of rule.
func rich(t testing.TB) *Router {
	r := Rules{HostDomain: "host.example", MyOrigin: "host.example", MyDomain: "example", Delimiter: "+", AppendAtMyOrigin: true,
		AllowPercentHack: true, SwapBangPath: true, ResolveDequoted: true, ResolveNumericDomain: true,
		Own:                   func(a netip.Addr) bool { return a.String() == "192.0.2.1" || a.String() == "2001:db8::1" },
		MyDestination:         names("localhost", "local.example"),
		VirtualMailboxDomains: names("mbox.example"), RelayDomains: Domains{{Name: "no.relay.example", Not: true}, {Name: "relay.example", Below: true}},
		VirtualAliasMaps: inline(t, `virtual.example=anything, {info@virtual.example=bob, alice@host.example}, {self@virtual.example=self@virtual.example, alice},
			a@virtual.example=b@virtual.example, b@virtual.example=c@virtual.example, c@virtual.example=a@virtual.example, @mirror.example=@host.example,
			chain1@virtual.example=chain2@virtual.example, chain2@virtual.example=alice, ext@virtual.example=alice@host.example, out@virtual.example=someone@far.example,
			localname=bob, loopback@virtual.example=loop@hosted.example, bad@virtual.example=|program, dead@virtual.example=nobody@host.example,
			{half@virtual.example=nobody@host.example, bob}, mirror.example=x, anyone@far.example=redirected@elsewhere.example, user@mbox.example=user@mbox.example,
			bang@virtual.example=far.example!user, noat@virtual.example=justuser%far.example, xn@münchen.example=bob, münchen.example=x, {wide@virtual.example=x1@far.example, x2@far.example, x3@far.example, x4@far.example}`),
		RelayRecipientMaps: inline(t, "ok@relay.example=x, @all.relay.example=x"),
		VirtualMailboxMaps: inline(t, "user@mbox.example=mbox/, lists@mbox.example=x"),
		VirtualTransport:   "", LocalTransport: "",
		TransportMaps: inline(t, `far.example=smtp:[relay.far.example]:2525, .far.example=lmtp:unix:/run/lmtp, mbox.example=lmtp:inet:127.0.0.1:24, {gone.example=error:5.1.2 no more},
			{later.example=retry:closed today}, sink.example=discard:quietly, special@far.example=smtp:, hopless.example=:[hop.example], unchanged.example=:, weird.example=uucp:x, bob@host.example=smtp:[exchange.example]`),
		RelocatedMaps: inline(t, "moved@host.example=new@far.example"),
		CanonicalMaps: inline(t, "j.doe@host.example=bob@host.example, @old.example=@host.example"), CanonicalClasses: Classes{EnvelopeSender: true, EnvelopeRecipient: true},
		SenderCanonicalMaps: inline(t, "webuser@host.example=web@far.example"), RecipCanonicalMaps: inline(t, "typo@far.example=right@far.example"),
		MasqueradeDomains: []string{"!deep.corp.example", "corp.example"}, MasqueradeExceptions: []string{"root"}, MasqueradeClasses: Classes{EnvelopeSender: true},
		SenderRelayhostMaps: inline(t, "carol@other.example=[relay.other.example]:587, dunno@other.example=DUNNO"), SenderTransportMaps: inline(t, "slow@other.example=smtp:[slow.example]"),
		Propagate: Propagate{Canonical: true, Virtual: true}, DoubleBounce: "double-bounce", ExpansionLimit: 10, RecursionLimit: 20,
		SRS: &srs.Rewriter{Domain: "srs.host.example", Secrets: [][]byte{[]byte("secret")}, Now: func() time.Time { return time.Unix(1700000000, 0) }}}
	return &Router{Directory: site{}, Rules: r}
}

// show writes recipients: "mailbox alice@host.example", "smtp x@far.example [hop]:25", with the sender where it has one.
func show(rs []flow.Recipient, err error) string {
	if err != nil {
		e := status.Of(err)
		return fmt.Sprintf("%d %s", e.Code, e.Enhanced)
	}
	var words []string
	for _, r := range rs {
		s := r.Transport.String() + " " + r.To.String()
		if r.NextHop != "" {
			s += " " + r.NextHop
		}
		if r.Sender != nil {
			s += " from " + strings.SplitN(r.Sender.String(), "=", 2)[0]
		}
		words = append(words, s)
	}
	return strings.Join(words, "; ")
}

func TestRules(t *testing.T) {
	r := rich(t)
	const relay, nobody = "554 5.7.1", "550 5.1.1"
	for _, c := range []struct{ to, from, want string }{
		{"alice@host.example", "", "mailbox alice@host.example"},
		{"ALICE@host.example", "", "mailbox alice@host.example"},
		{"alice+tag@host.example", "", "mailbox alice@host.example"},
		{"nobody@host.example", "", nobody},
		{"alice@local.example", "", "mailbox alice@host.example"}, // mydestination
		{"alice@localhost", "", "mailbox alice@host.example"},
		{"postmaster", "", "mailbox postmaster@host.example"},
		{"alice@[192.0.2.1]", "", "mailbox alice@host.example"},
		{"postmaster@[IPv6:2001:db8::1]", "", "mailbox postmaster@host.example"},
		{"alice@192.0.2.1", "", "mailbox alice@host.example"},
		{"alice@[192.0.2.2]", "", relay},
		{"localname@host.example", "", "smtp bob@host.example [exchange.example]"}, // a key without domain; transport_maps
		{"info@hosted.example", "", "mailbox info@hosted.example"},
		// routes within the local part
		{"x%far.example@host.example", "", relay}, {"x%alice%host.example@host.example", "", relay}, {"alice%local.example@host.example", "", "mailbox alice@host.example"},
		{"far.example!x@host.example", "", relay}, {`"x@far.example"@host.example`, "", relay}, {"host.example!alice@localhost", "", "mailbox alice@host.example"},
		{"x%far.example@hosted.example", "", nobody}, {"ok%far.example@relay.example", "", relay}, {"user%far.example@mbox.example", "", relay},
		{"%@host.example", "", nobody}, {"!@host.example", "", nobody}, {"a%@host.example", "", nobody},
		// virtual_alias_maps
		{"info@virtual.example", "s@x.example", "smtp bob@host.example [exchange.example]; mailbox alice@host.example"},
		{"self@virtual.example", "", "mailbox alice@host.example"},
		{"nobody@virtual.example", "", nobody}, {"a@virtual.example", "", "451 4.6.0"}, {"chain1@virtual.example", "", "mailbox alice@host.example"},
		{"ext+tag@virtual.example", "", "mailbox alice@host.example"}, {"alice@mirror.example", "", "mailbox alice@host.example"}, {"x@mirror.example", "", nobody},
		{"bad@virtual.example", "", "451 4.6.0"}, {"dead@virtual.example", "", nobody}, {"half@virtual.example", "", "smtp bob@host.example [exchange.example]"},
		{"anyone@far.example", "", relay}, // the table says where to, not who may
		{"xn@xn--mnchen-3ya.example", "", "smtp bob@host.example [exchange.example]"},
		{"bang@virtual.example", "", "smtp user@far.example [relay.far.example]:2525"}, {"noat@virtual.example", "", "smtp justuser@far.example [relay.far.example]:2525"},
		{"wide@virtual.example", "", "smtp x1@far.example [relay.far.example]:2525; smtp x2@far.example [relay.far.example]:2525; smtp x3@far.example [relay.far.example]:2525; smtp x4@far.example [relay.far.example]:2525"},
		// forwarded
		{"out@virtual.example", "s@x.example", "smtp someone@far.example [relay.far.example]:2525 from SRS0"},
		{"out@virtual.example", "alice@host.example", "smtp someone@far.example [relay.far.example]:2525"},
		{"out@virtual.example", "<>", "smtp someone@far.example [relay.far.example]:2525"},
		{"team@hosted.example", "s@x.example", "mailbox info@hosted.example; smtp x@far.example [relay.far.example]:2525 from SRS0"},
		{"across@hosted.example", "s@x.example", "mailbox carol@other.example from SRS0"},
		{"carol@other.example", "s@x.example", "mailbox carol@other.example"},
		{"loop@hosted.example", "", "451 4.6.0"},
		// relay, virtual mailbox
		{"ok@relay.example", "", "smtp ok@relay.example"}, {"no@relay.example", "", nobody}, {"x@all.relay.example", "", "smtp x@all.relay.example"}, {"x@no.relay.example", "", relay},
		{"user@mbox.example", "", "lmtp user@mbox.example [127.0.0.1]:24"}, {"none@mbox.example", "", nobody},
		// canonical
		{"j.doe@host.example", "", "smtp bob@host.example [exchange.example]"}, {"double-bounce@host.example", "", "discard double-bounce@host.example undeliverable notification"},
		{"moved@host.example", "", nobody},
	} {
		from := parseFrom(t, c.from)
		got := show(r.Recipient(t.Context(), Query{From: from, To: envelope.Recipient{To: rcpt(t, c.to)}}))
		if got != c.want {
			t.Errorf("%s from %q:\ngot  %s\nwant %s", c.to, c.from, got, c.want)
		}
	}
}

func parseFrom(t testing.TB, s string) address.Address {
	if s == "" || s == "<>" {
		return address.Address{}
	}
	return rcpt(t, s)
}

func rcpt(t testing.TB, s string) address.Address {
	t.Helper()
	a, _, err := address.ParsePath("<"+s+">", true)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return a
}

// What goes out, for who may relay.
func TestTransports(t *testing.T) {
	r := rich(t)
	for _, c := range []struct{ to, from, want string }{
		{"x@plain.example", "", "smtp x@plain.example"},
		{"x@far.example", "", "smtp x@far.example [relay.far.example]:2525"},
		{"special@far.example", "", "smtp special@far.example far.example"},
		{"special+x@far.example", "", "smtp special+x@far.example far.example"},
		{"x@sub.far.example", "", "lmtp x@sub.far.example unix:/run/lmtp"},
		{"x@gone.example", "", "550 5.1.2"}, {"x@later.example", "", "error x@later.example 4.3.0 closed today"},
		{"x@sink.example", "", "discard x@sink.example quietly"},
		{"x@hopless.example", "", "smtp x@hopless.example [hop.example]"}, {"x@unchanged.example", "", "smtp x@unchanged.example"},
		{"x@weird.example", "", "451 4.3.5"},
		{"x@plain.example", "carol@other.example", "smtp x@plain.example [relay.other.example]:587"},
		{"x@plain.example", "carol+x@other.example", "smtp x@plain.example [relay.other.example]:587"},
		{"x@plain.example", "dunno@other.example", "smtp x@plain.example"}, {"x@plain.example", "slow@other.example", "smtp x@plain.example [slow.example]"},
		{"x@far.example", "carol@other.example", "smtp x@far.example [relay.far.example]:2525"},
		{"typo@far.example", "", "smtp right@far.example [relay.far.example]:2525"}, {"alice@old.example", "", "mailbox alice@host.example"},
		{"anyone@far.example", "s@x.example", "smtp redirected@elsewhere.example"}, // never ours: no SRS
		{"x%plain.example@host.example", "", "smtp x@plain.example"},
		{"CaSe@plain.example", "", "smtp CaSe@plain.example"},
	} {
		got := show(r.Recipient(t.Context(), Query{From: parseFrom(t, c.from), To: envelope.Recipient{To: rcpt(t, c.to)}, MayRelay: true}))
		if got != c.want {
			t.Errorf("%s from %q:\ngot  %s\nwant %s", c.to, c.from, got, c.want)
		}
	}
}

func TestSender(t *testing.T) {
	r := rich(t)
	for in, want := range map[string]string{"": "", "webuser@host.example": "web@far.example", "j.doe+x@host.example": "bob+x@host.example",
		"a@ws1.corp.example": "a@corp.example", "root@ws1.corp.example": "root@ws1.corp.example", "a@x.deep.corp.example": "a@x.deep.corp.example",
		"a@corp.example": "a@corp.example", "CaSe@far.example": "CaSe@far.example"} {
		got, err := r.Sender(t.Context(), parseFrom(t, in), nil)
		if err != nil || got != parseFrom(t, want) {
			t.Errorf("%s: %v %v, want %s", in, got, err, want)
		}
	}
	r.Rules.CanonicalMaps = inline(t, "a@x.example=b@x.example, b@x.example=a@x.example")
	_, err := r.Sender(t.Context(), rcpt(t, "a@x.example"), nil)
	if e := status.Of(err); e == nil || e.Code != 451 || !strings.Contains(e.Error()+fmt.Sprint(e.Err), "a@x.example → b@x.example → a@x.example") {
		t.Errorf("a loop: %v", err)
	}
}

func TestBouncesComeBackBySRS(t *testing.T) {
	r := rich(t)
	out, err := r.Recipient(t.Context(), Query{From: rcpt(t, "s@x.example"), To: envelope.Recipient{To: rcpt(t, "out@virtual.example")}})
	if err != nil || out[0].Sender == nil {
		t.Fatal(out, err)
	}
	back := envelope.Recipient{To: *out[0].Sender}
	if got := show(r.Recipient(t.Context(), Query{To: back})); got != "smtp s@x.example" {
		t.Error(got)
	}
	back.To.Local = "SRS0=xxxx" + back.To.Local[9:]
	if got := show(r.Recipient(t.Context(), Query{To: back})); got != "550 5.7.1" {
		t.Error(got)
	}
}

func TestClassAndListed(t *testing.T) {
	r := rich(t)
	for to, want := range map[string]string{"alice@host.example": "local true", "nobody@host.example": "local false", "localname@host.example": "local true",
		"x@far.example": "default true", "x%far.example@host.example": "default true", "ok%far.example@relay.example": "default false",
		"info@virtual.example": "virtual alias true", "nobody@virtual.example": "virtual alias false", "info@hosted.example": "virtual mailbox true", "team@hosted.example": "virtual mailbox true",
		"no@hosted.example": "virtual mailbox false", "user@mbox.example": "virtual mailbox true", "none@mbox.example": "virtual mailbox false",
		"ok@relay.example": "relay true", "none@relay.example": "relay false", "alice@[192.0.2.1]": "local true", "x@[192.0.2.9]": "default true",
		"j.doe@host.example": "local true", "postmaster": "local true"} {
		class, err := r.Class(t.Context(), rcpt(t, to))
		if err != nil {
			t.Error(err)
		}
		listed, _, err := r.Listed(t.Context(), rcpt(t, to))
		if got := fmt.Sprint(class, " ", listed); err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", to, got, err, want)
		}
	}
}

func TestCopies(t *testing.T) {
	r := rich(t)
	r.Rules.AlwaysBCC, r.Rules.SenderBCCMaps, r.Rules.RecipientBCCMaps = "archive@far.example", inline(t, "carol@other.example=alice"), inline(t, "@plain.example=nobody@host.example, x@plain.example=bob@plain.example")
	q := Query{From: rcpt(t, "carol@other.example"), To: envelope.Recipient{To: rcpt(t, "x@plain.example")}}
	got, err := r.Copies(t.Context(), q)
	if s := show(got, err); s != "smtp archive@far.example [relay.far.example]:2525; mailbox alice@host.example; smtp bob@plain.example [relay.other.example]:587" {
		t.Error(s)
	}
	for _, c := range got {
		if c.Notify != envelope.NotifyNever {
			t.Errorf("%+v", c)
		}
	}
	q.To.To, q.From = rcpt(t, "y@plain.example"), address.Address{} // a copy that goes nowhere
	if s := show(r.Copies(t.Context(), q)); s != "smtp archive@far.example [relay.far.example]:2525" {
		t.Error(s)
	}
}

// A table or directory that cannot be asked is a temporary failure, wherever it stands, and never "not found".
func TestOutages(t *testing.T) {
	down := table.List{broken{}}
	for name, spoil := range map[string]func(*Rules){
		"virtual_alias_maps":   func(r *Rules) { r.VirtualAliasMaps = down },
		"transport_maps":       func(r *Rules) { r.TransportMaps = down },
		"relocated_maps":       func(r *Rules) { r.RelocatedMaps = down },
		"canonical_maps":       func(r *Rules) { r.CanonicalMaps = down },
		"relay_recipient_maps": func(r *Rules) { r.RelayRecipientMaps = down },
		"relay_domains":        func(r *Rules) { r.RelayDomains = Domains{{Table: down}} },
		"mydestination":        func(r *Rules) { r.MyDestination = Domains{{Table: down}} },
	} {
		r := rich(t)
		spoil(&r.Rules)
		got := show(r.Recipient(t.Context(), Query{To: envelope.Recipient{To: rcpt(t, "ok@relay.example")}}))
		if got != "451 4.3.0" {
			t.Errorf("%s: %s", name, got)
		}
	}
	r := rich(t)
	r.Directory = site{status.Temp(451, 3, 0, "down")}
	if got := show(r.Recipient(t.Context(), Query{To: envelope.Recipient{To: rcpt(t, "ok@relay.example")}, MayRelay: true})); got != "451 4.3.0" {
		t.Error(got)
	}
}

func TestLuserRelayAndNotes(t *testing.T) {
	r := rich(t)
	r.Rules.LuserRelay = "$user+$extension@far.example"
	var notes []string
	q := Query{To: envelope.Recipient{To: rcpt(t, "nobody+x@host.example")}, Note: func(n Note) { notes = append(notes, n.Rule+" "+n.Key+": "+n.Result) }}
	if got := show(r.Recipient(t.Context(), q)); got != "smtp nobody+x@far.example [relay.far.example]:2525" {
		t.Error(got)
	}
	if got := strings.Join(notes, "\n"); got != "class nobody+x@host.example: local\ntransport nobody+x@host.example: mailbox\nluser_relay nobody+x@host.example: nobody+x@far.example\n"+
		"transport_maps far.example: smtp:[relay.far.example]:2525\ntransport nobody+x@far.example: smtp [relay.far.example]:2525" {
		t.Error(got)
	}
	r.Rules.LuserRelay = "nobody2@host.example"
	if got := show(r.Recipient(t.Context(), q)); got != "550 5.1.1" {
		t.Error(got)
	}
}

// A sender that its canonical maps make another address of exists; a recipient does by those of recipients.
func TestListedSender(t *testing.T) {
	r := rich(t)
	r.Rules.SenderCanonicalMaps, r.Rules.RecipCanonicalMaps = inline(t, "was@mbox.example=user@mbox.example"), inline(t, "to@mbox.example=user@mbox.example")
	for to, want := range map[string][2]bool{"was@mbox.example": {true, false}, "to@mbox.example": {false, true}, "user@mbox.example": {true, true}, "none@mbox.example": {false, false}} {
		sender, _, err1 := r.ListedSender(t.Context(), rcpt(t, to))
		recipient, _, err2 := r.Listed(t.Context(), rcpt(t, to))
		if err1 != nil || err2 != nil || [2]bool{sender, recipient} != want {
			t.Errorf("%s: as a sender %v, as a recipient %v; %v %v", to, sender, recipient, err1, err2)
		}
	}
}

// error(8) is told for addresses of every class.
func TestFails(t *testing.T) {
	r := rich(t)
	r.Rules.TransportMaps = inline(t, "{gone.example=error:5.1.2 this domain is gone}, alice@host.example=error:closed, far.example=smtp:")
	for to, want := range map[string]string{"x@gone.example": "550 5.1.2 this domain is gone", "alice@host.example": "550 5.0.0 closed", "bob@host.example": "", "x@far.example": ""} {
		e, err := r.Fails(t.Context(), rcpt(t, to))
		got := ""
		if e != nil {
			got = fmt.Sprintf("%d %s %s", e.Code, e.Enhanced, e.Public)
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", to, got, err, want)
		}
	}
}

// A stranger's way in the local part is not passed on to a host that may follow it because it trusts us.
func TestWaysAreNotPassedOn(t *testing.T) {
	everybody, _ := table.PCRE("/^(.*)@host\\.example$/ $1@relay.example\n")
	for _, local := range []string{"victim@evil.example", "victim%evil.example", "evil.example!victim"} {
		for name, rules := range map[string]Rules{
			"local_transport":    {LocalTransport: "smtp:[inner.example]", LocalRecipientMaps: inline(t, "@host.example=x")},
			"transport_maps":     {TransportMaps: inline(t, "host.example=smtp:[inner.example]"), LocalRecipientMaps: inline(t, "@host.example=x")},
			"virtual_alias_maps": {VirtualAliasMaps: table.List{everybody}, RelayDomains: names("relay.example")},
		} {
			rules.HostDomain, rules.MyOrigin = "host.example", "host.example"
			r := &Router{Directory: site{}, Rules: rules}
			to := envelope.Recipient{To: addr(local, "host.example")}
			if got, err := r.Recipient(t.Context(), Query{To: to}); err != ErrRelay {
				t.Errorf("%s, %s: %s", name, local, show(got, err))
			}
			if _, err := r.Recipient(t.Context(), Query{To: to, MayRelay: true}); err != nil {
				t.Errorf("%s, %s, with permission: %v", name, local, err)
			}
		}
	}
}

// A milter that changes the sender changes that of forwarded copies; a list's owner stays.
func TestResend(t *testing.T) {
	r := rich(t)
	rs, err := r.Recipient(t.Context(), Query{From: addr("old", "far.example"), To: envelope.Recipient{To: addr("team", "hosted.example")}})
	if err != nil {
		t.Fatal(err)
	}
	owner := addr("owner-list", "host.example")
	rs = append(rs, flow.Recipient{To: addr("member", "far.example"), Transport: flow.SMTP, Sender: &owner})
	forwarded := func() *address.Address {
		for i := range rs {
			if rs[i].To == addr("x", "far.example") {
				return rs[i].Sender
			}
		}
		return nil
	}
	if s := forwarded(); s == nil || !strings.HasSuffix(s.Local, "=far.example=old") {
		t.Fatalf("%v", s)
	}
	if r.Resend(rs, addr("new", "far.example")); forwarded() == nil || !strings.HasSuffix(forwarded().Local, "=far.example=new") {
		t.Errorf("%v", forwarded())
	}
	if *rs[len(rs)-1].Sender != owner {
		t.Error("the owner was changed")
	}
	if r.Resend(rs, address.Address{}); forwarded() != nil { // the null one stays as it is
		t.Errorf("%v", forwarded())
	}
}

// A quoted local part does not choose where luser_relay leads.
func TestLuserRelayIsNotLed(t *testing.T) {
	for _, c := range []struct{ setting, local, want string }{
		{"$local", "victim@evil.example", "550 5.1.1"},
		{"$user", "victim@evil.example", "550 5.1.1"},
		{"catchall+$local@far.example", "x, victim@evil.example", "smtp catchall+x__victim_evil.example@far.example"},
		{"$local@far.example", `x"@evil.example> y`, "smtp x__evil.example__y@far.example"},
		{"$local@far.example", "nobody", "smtp nobody@far.example"},
		{"alice+$local", "no body", "mailbox alice@host.example"},
	} {
		r := &Router{Directory: site{}, Rules: Rules{HostDomain: "host.example", MyOrigin: "host.example", AppendAtMyOrigin: true, Delimiter: "+", LuserRelay: c.setting}}
		got := show(r.Recipient(t.Context(), Query{From: addr("s", "x.example"), To: envelope.Recipient{To: addr(c.local, "host.example")}}))
		if got != c.want {
			t.Errorf("%s for %q: %s, not %s", c.setting, c.local, got, c.want)
		}
	}
}
