package accept

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/status"
)

func begin(text string) *gate.Message {
	rec := record(text)
	p := mime.NewParser()
	_, _ = p.Write(rec)
	p.Close()
	head, h, whole := p.Top()
	return gate.NewMessage(&rec, head, h, whole, int64(len(text)))
}

func inline(t *testing.T, text string) table.List {
	t.Helper()
	tab, err := table.Inline("{" + text + "}")
	if err != nil {
		t.Fatal(err)
	}
	return table.List{tab}
}

type down struct{}

func (down) Lookup(context.Context, string) (string, bool, error) {
	return "", false, errors.New("down")
}
func (down) Pattern() bool { return false }

func TestRewrite(t *testing.T) {
	r := &route.Router{Directory: nobody{}, Rules: route.Rules{HostDomain: "here.example", MyOrigin: "here.example", AppendAtMyOrigin: true, Delimiter: "+",
		SenderCanonicalMaps: inline(t, "web@here.example=shop@here.example"), RecipCanonicalMaps: inline(t, "typo@far.example=right@far.example"),
		CanonicalMaps:        inline(t, "j.doe@here.example=john@here.example"),
		CanonicalClasses:     route.Classes{HeaderSender: true},
		MasqueradeDomains:    []string{"corp.example"},
		MasqueradeClasses:    route.Classes{HeaderSender: true, HeaderRecipient: true},
		MasqueradeExceptions: []string{"root"}}}
	for _, c := range []struct{ was, want string }{
		{"From: web@here.example\r\n", "From: shop@here.example\r\n"},
		{"from:  =?utf-8?q?J=C3=B6rg?= <web@here.example>\r\n", "from: =?utf-8?b?SsO2cmc=?= <shop@here.example>\r\n"},
		{"From: \"Doe, John\" <J.Doe@Here.Example>\r\n", "From: \"Doe, John\" <john@here.example>\r\n"},
		{"To: j.doe@here.example\r\n", "To: j.doe@here.example\r\n"},                                         // header_recipient is not in canonical_classes
		{"To: (c) web@here.example,\r\n\tx@y.example\r\n", "To: (c) web@here.example,\r\n\tx@y.example\r\n"}, // every byte stays
		{"Cc: a@pc.corp.example, Team: typo@far.example, x@y.example;\r\n", "Cc: a@corp.example, Team: right@far.example, x@y.example;\r\n"},
		{"Reply-To: root@pc.corp.example\r\n", "Reply-To: root@pc.corp.example\r\n"},
		{"Reply-To: bare, <>, not an address, b@pc.corp.example\r\n", ""},
		{"X-To: typo@far.example\r\nSubject: typo@far.example\r\n", "X-To: typo@far.example\r\nSubject: typo@far.example\r\n"},
		{"Sender: web@here.example\r\nSender: web@here.example\r\n", "Sender: shop@here.example\r\nSender: shop@here.example\r\n"},
		{"To: " + strings.Repeat("typo@far.example, ", 1001) + "typo@far.example\r\n", "To: " + strings.Repeat("typo@far.example, ", 1001) + "typo@far.example\r\n"},
	} {
		m := begin(c.was + "\r\nFrom: web@here.example\r\n")
		if err := Rewrite(t.Context(), r, m); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(m.Open())
		if err != nil {
			t.Fatal(err)
		}
		if c.want == "" { // what is no address is still there, somehow
			if !strings.Contains(string(b), "b@corp.example") || !strings.Contains(string(b), "not an address") {
				t.Errorf("%q became %q", c.was, b)
			}
			continue
		}
		if got := string(b); got != c.want+"\r\nFrom: web@here.example\r\n" {
			t.Errorf("%.200q became %.200q, not %.200q", c.was, got, c.want)
		}
	}
	r.Rules.SenderCanonicalMaps = table.List{down{}}
	if err := Rewrite(t.Context(), r, begin("From: web@here.example\r\n\r\n")); !status.IsTemporary(err) {
		t.Errorf("a table that cannot be asked: %v", err)
	}
}
