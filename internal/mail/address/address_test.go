package address

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	long := strings.Repeat("a", 240)
	for _, c := range []struct {
		in    string
		local string
		dom   string
		rest  string
		str   string // what String gives; "" : local@dom
	}{
		{in: "<>", rest: ""},
		{in: "<> SIZE=5", rest: " SIZE=5"},
		{in: "<a@Example.ORG> BODY=8BITMIME", local: "a", dom: "example.org", rest: " BODY=8BITMIME"},
		{in: "<Postmaster>", local: "Postmaster", str: "Postmaster"},
		{in: "<@relay.example,@b.example:Joe@c.example>", local: "Joe", dom: "c.example"},
		{in: `<"a b"@example.org>`, local: "a b", dom: "example.org", str: `"a b"@example.org`},
		{in: `<"a\"\\>@x"@example.org>x`, local: `a"\>@x`, dom: "example.org", rest: "x", str: `"a\"\\>@x"@example.org`},
		{in: `<"plain.dots"@example.org>`, local: "plain.dots", dom: "example.org"},
		{in: `<""@example.org>`, dom: "example.org", str: `""@example.org`},
		{in: "<a..b.@docomo.example>", local: "a..b.", dom: "docomo.example", str: `"a..b."@docomo.example`},
		{in: "<a@[192.0.2.1]>", local: "a", dom: "[192.0.2.1]"},
		{in: "<a@[ipv6:2001:DB8:0:0::1]>", local: "a", dom: "[IPv6:2001:db8::1]"},
		{in: "<a@b_c.example.>", local: "a", dom: "b_c.example"},
		{in: "<" + long + "@e.example>", local: long, dom: "e.example"},
		{in: "<user+tag=x!y%z@e.example>", local: "user+tag=x!y%z", dom: "e.example"},
		{in: "<Дима@Пример.рф>", local: "Дима", dom: "xn--e1afmkfd.xn--p1ai"},
		{in: "<x@faß.example>", local: "x", dom: "xn--fa-hia.example"},
		{in: "<x@例え。テスト>", local: "x", dom: "xn--r8jz45g.xn--zckzah"},
	} {
		a, rest, err := ParsePath(c.in, true)
		if err != nil || a.Local != c.local || a.Domain != c.dom || rest != c.rest {
			t.Errorf("%s: %+v %q %v", c.in, a, rest, err)
			continue
		}
		want := c.str
		if want == "" && !a.IsZero() {
			want = c.local + "@" + c.dom
		}
		if a.String() != want || a.Path() != "<"+want+">" {
			t.Errorf("%s: String %q, want %q", c.in, a.String(), want)
		}
	}
}

func TestParsePathRefuses(t *testing.T) {
	for in, want := range map[string]Reason{
		"":                                       Syntax,
		"a@b":                                    Syntax,
		"<a@b":                                   Syntax,
		"<a>":                                    Syntax,
		"<@b>":                                   Syntax,
		"<@b,c:d@e>":                             Syntax,
		"<@b c@d>":                               Syntax,
		"<a b@c>":                                Syntax,
		"<a@b c>":                                Syntax,
		"< a@b>":                                 Syntax,
		`<"a@b>`:                                 Syntax,
		`<"a"b@c>`:                               Syntax,
		`<"a\`:                                   Syntax,
		"<postmaster@>":                          BadDomain,
		"<a@b@c>":                                BadDomain,
		"<a@-b.c>":                               BadDomain,
		"<a@b..c>":                               BadDomain,
		"<a@.>":                                  BadDomain,
		"<a@b,c>":                                BadDomain,
		"<a@[1.2.3]>":                            BadLiteral,
		"<a@[1.2.3.4>":                           BadLiteral,
		"<a@[01.2.3.4]>":                         BadLiteral,
		"<a@[IPv6:1.2.3.4]>":                     BadLiteral,
		"<a@[2001:db8::1]>":                      BadLiteral,
		"<a@[IPv6:fe80::1%eth0]>":                BadLiteral,
		"<a@[x400:foo]>":                         BadLiteral,
		"<a\x00b@c>":                             Control,
		"<a\rb@c>":                               Control,
		"<\"a\x7fb\"@c>":                         Control,
		"<\"a\\\nb\"@c>":                         Control,
		"<a@b\x00>":                              Control,
		"<ü@b>":                                  NeedsUTF8,
		"<a@ü.example>":                          NeedsUTF8,
		"<\xff@b>":                               Control,
		"<a@" + strings.Repeat("b", 64) + ".c>":  DomainTooLong,
		"<a@" + strings.Repeat("b.", 130) + "c>": DomainTooLong,
		"<" + strings.Repeat("a", 250) + "@b.org>":                                PathTooLong,
		"<@" + strings.Repeat("a.", 100) + "b:" + strings.Repeat("c", 60) + "@d>": PathTooLong,
	} {
		a, _, err := ParsePath(in, false)
		var e *Error
		if !errors.As(err, &e) || e.Reason != want {
			t.Errorf("%q: %+v, %v; want %v", in, a, err, want)
		}
	}
	for _, in := range []string{"<a\u0085b@c>", "<a\u2028@b>", "<a\xc3@b>", "<a@b\u0080c>", "<a@\xc3.b>"} {
		var e *Error
		if _, _, err := ParsePath(in, true); !errors.As(err, &e) || e.Reason != Control {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestErrorStatus(t *testing.T) {
	for _, c := range []struct {
		r      Reason
		sender bool
		code   int
		enh    string
	}{
		{Syntax, true, 501, "5.1.7"}, {Syntax, false, 501, "5.1.3"}, {PathTooLong, false, 553, "5.1.3"},
		{NeedsUTF8, true, 553, "5.6.7"}, {BadLiteral, false, 501, "5.1.3"},
	} {
		if s := wrong(c.r, "x").Status(c.sender); s.Code != c.code || s.Enhanced.String() != c.enh || s.Public == "" {
			t.Errorf("%v: %v", c.r, s)
		}
	}
}

func TestNew(t *testing.T) {
	if a, err := New("Anna", "EXAMPLE.org."); err != nil || a != (Address{"Anna", "example.org"}) {
		t.Errorf("%v %v", a, err)
	}
	for _, local := range []string{"", strings.Repeat("x", 65), "a\tb"} {
		if a, err := New(local, "example.org"); err == nil {
			t.Errorf("%q became %v", local, a)
		}
	}
}

func TestParse(t *testing.T) {
	if a, err := Parse("a@b.example", false); err != nil || a != (Address{"a", "b.example"}) {
		t.Errorf("%v %v", a, err)
	}
	for _, s := range []string{"", "a", "a@b x", "a@b>", "<a@b>", "postmaster", "@b", "a@"} {
		if a, err := Parse(s, true); err == nil {
			t.Errorf("%q became %v", s, a)
		}
	}
}

func TestDomains(t *testing.T) {
	for in, want := range map[string]string{
		"MÜNCHEN.example":    "xn--mnchen-3ya.example",
		"xn--mnchen-3YA.com": "xn--mnchen-3ya.com",
		"ＥＸＡＭＰＬＥ.org":        "example.org",
		"r3---sn-x.example":  "r3---sn-x.example",
		"_dmarc.example.":    "_dmarc.example",
	} {
		if got, err := CanonicalDomain(in); err != nil || got != want {
			t.Errorf("%s: %q %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		"xn--mnchen-3ya.example": "münchen.example",
		"xn--e1afmkfd.xn--p1ai":  "пример.рф",
		"example.org":            "example.org",
		"xn--a.example":          "xn--a.example",
		"[192.0.2.1]":            "[192.0.2.1]",
	} {
		if got := DisplayDomain(in); got != want {
			t.Errorf("display %s: %q", in, got)
		}
	}
	ip, ok := LiteralIP("[IPv6:2001:db8::1]")
	if !ok || ip != netip.MustParseAddr("2001:db8::1") || Literal(ip) != "[IPv6:2001:db8::1]" {
		t.Errorf("literal %v %v", ip, ok)
	}
	if _, ok := LiteralIP("example.org"); ok {
		t.Error("a name is no literal")
	}
}

func TestEqual(t *testing.T) {
	nfd, nfc := Address{"Cafe\u0301", "x.example"}, Address{"caf\u00e9", "x.example"}
	if !nfd.Equal(nfc) || nfd.Key() != nfc.Key() {
		t.Error("NFC and case must not matter in our own domains")
	}
	if nfd.Equal(Address{"cafe", "x.example"}) || nfd.Equal(Address{"caf\u00e9", "y.example"}) {
		t.Error("different mailboxes are equal")
	}
	if (Address{"É", "x"}).Equal(Address{"é", "x"}) {
		t.Error("only ASCII letters fold")
	}
}

func TestSplitDelimiter(t *testing.T) {
	for _, c := range []struct {
		local, delims, base, ext string
		ok                       bool
	}{
		{"a+b", "+", "a", "b", true}, {"a+b+c", "+", "a", "b+c", true}, {"a-b+c", "+-", "a", "b+c", true},
		{"+a", "+", "+a", "", false}, {"a", "+", "a", "", false}, {"a+", "+", "a", "", true}, {"a+b", "", "a+b", "", false},
	} {
		if b, e, ok := SplitDelimiter(c.local, c.delims); b != c.base || e != c.ext || ok != c.ok {
			t.Errorf("%v: %q %q %v", c, b, e, ok)
		}
	}
}

// What was parsed and written is parsed to the same address again, and what is written is never dangerous on the wire.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"<>", "<a@b.example> SIZE=1", "<@a,@b:c@d.example>", `<"x y"@[IPv6:::1]>`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, rest, err := ParsePath(s, true)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Status(true).Class != 5 {
				t.Fatalf("%q: error %v", s, err)
			}
			return
		}
		if !strings.HasSuffix(s, rest) || len(s)-len(rest) > MaxPath {
			t.Fatalf("%q: rest %q", s, rest)
		}
		p := a.Path()
		for i := 0; i < len(p); i++ {
			if p[i] < ' ' || p[i] == 0x7f {
				t.Fatalf("%q: written as %q", s, p)
			}
		}
		if len(p) > MaxPath { // A-labels and quotes are longer than what they came from
			return
		}
		b, rest, err := ParsePath(p, true)
		if err != nil || b != a || rest != "" {
			t.Fatalf("%q: %+v written as %q, read as %+v %q %v", s, a, p, b, rest, err)
		}
		if d, err := CanonicalDomain(DisplayDomain(a.Domain)); a.Domain != "" && (err != nil || d != a.Domain) {
			t.Fatalf("%q: shown as %q, read as %q %v", a.Domain, DisplayDomain(a.Domain), d, err)
		}
		// SMTPUTF8 decides nothing but what is above ASCII.
		if c, _, err := ParsePath(s, false); err == nil && c != a {
			t.Fatalf("%q: %+v without SMTPUTF8, %+v with", s, c, a)
		}
	})
}
