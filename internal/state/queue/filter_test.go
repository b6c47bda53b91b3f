package queue

import (
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
)

func TestMatchAddress(t *testing.T) {
	for _, c := range []struct {
		pattern, address string
		want             bool
	}{
		{"<>", "", true}, {"<>", "a@b.example", false},
		{"A@b.Example", "a@B.example", true}, {"a@b.example", "aa@b.example", false},
		{"@b.example", "x@b.example", true}, {"@b.example", "x@sub.b.example", false}, {"@b.example", "", false},
		{"*@*.b.example", "x@sub.b.example", true}, {"*@*.b.example", "x@b.example", false},
		{"u?@*", "u1@b.example", true}, {"u?@*", "u@b.example", false}, {"u?@*", "u12@b.example", false},
		{"*", "", true}, {"*a*b*", "xxaxxbxx", true}, {"*a*b*", "bbbaaa", false}, {"**", "x", true}, {"?", "", false},
		{"*aaaaaaaaaaaaaaaaaaaab", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	} {
		if got := matchAddress(c.pattern, c.address); got != c.want {
			t.Errorf("%q means %q: %v", c.pattern, c.address, got)
		}
	}
}

// All criteria of recipients are asked of the same one.
func TestFilterMatches(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	job := &Info{State: "deferred", Sender: "s@x.example", Received: at, Recipients: []RecipientInfo{
		{Address: "a@one.example", Site: "provider", Route: "one.example", Transport: "smtp", Class: "greylisted", Reply: "450 4.2.0 Greylisted"},
		{Address: "b@two.example", Site: "two.example", Route: "two.example", Transport: "smtp", Class: "network"}}}
	for _, c := range []struct {
		name string
		f    Filter
		want bool
	}{
		{"all", Filter{}, true},
		{"state", Filter{States: []string{"hold", "deferred"}}, true}, {"another state", Filter{States: []string{"hold"}}, false},
		{"sender", Filter{Sender: "@x.example"}, true}, {"null sender", Filter{Sender: "<>"}, false},
		{"site", Filter{Site: "Provider"}, true}, {"route", Filter{Site: "one.example"}, true},
		{"class", Filter{Class: []flow.Class{flow.ClassNetwork}}, true},
		{"reason", Filter{Reason: "greyLISTED"}, true},
		{"of two recipients", Filter{Recipient: "b@*", Reason: "greylisted"}, false},
		{"before", Filter{Before: at}, false}, {"after", Filter{After: at}, true},
		{"transport", Filter{Transport: "lmtp"}, false},
	} {
		if got := c.f.matches(job); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
