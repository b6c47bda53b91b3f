package table

import (
	"net/netip"
	"testing"

	"github.com/postrider/postrider/internal/mail/address"
)

func TestSearches(t *testing.T) {
	virtual := WithoutExtension | LocalPart | AtDomain
	access := WithoutExtension | Domain | Parents | UserAt
	transport := WithoutExtension | Domain | Parents
	for _, c := range []struct {
		address string
		parts   Parts
		dotted  bool
		want    string
	}{
		{"user@sub.example.org", virtual, false, "user@sub.example.org user @sub.example.org"},
		{"user+ab@example.org", virtual, false, "user+ab@example.org user@example.org*** user+ab user*** @example.org"},
		{"user+ab@a.example.org", access, false, "user+ab@a.example.org user@a.example.org*** a.example.org example.org org user+ab@ user@***"},
		{"user@a.example.org", transport, true, "user@a.example.org a.example.org .example.org .org"},
		{`"a b"@example.org`, access, false, `"a b"@example.org example.org org "a b"@`},
		{"user@[192.0.2.1]", access, false, "user@[192.0.2.1] [192.0.2.1] user@"},
		{"+ab@example.org", virtual, false, "+ab@example.org +ab @example.org"},
		{"", access, false, "<>"},
	} {
		var a address.Address
		if c.address != "" {
			var err error
			if a, err = address.Parse(c.address, true); err != nil {
				t.Fatal(err)
			}
		}
		if got := keys(Address(a, c.parts, "+", c.dotted)); got != c.want {
			t.Errorf("%s: got  %s\nwant %s", c.address, got, c.want)
		}
	}
	for in, want := range map[string]string{"192.0.2.1": "192.0.2.1 192.0.2 192.0 192", "::ffff:192.0.2.1": "192.0.2.1 192.0.2 192.0 192",
		"2001:db8:1::1": "2001:db8:1::1 2001:db8:1 2001:db8 2001", "2001:db8::1:2": "2001:db8::1:2 2001:db8::1 2001:db8 2001"} {
		if got := keys(Client(netip.MustParseAddr(in))); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	if got := keys(Host("a.b.example", true, true)); got != "a.b.example .b.example .example" {
		t.Error(got)
	}
	if got := keys(Host("a.b.example", false, true)); got != "a.b.example" {
		t.Error(got)
	}
}
