package route

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// What judges want is done with the plan.
func TestChanged(t *testing.T) {
	alice, bob, team, far := addr("alice", "here.example"), addr("bob", "here.example"), addr("team", "here.example"), addr("x", "far.example")
	r := Router{Directory: book{alice: {{Account: 1, Address: alice}}, bob: {{Account: 2, Address: bob}},
		team: {{Account: 1, Address: alice}, {Account: 2, Address: bob}}}}
	for _, c := range []struct {
		changes flow.Changes
		want    string
		code    int
	}{
		{flow.Changes{}, "alice/1 bob/2", 0},
		{flow.Changes{Discard: "x", BCC: []address.Address{far}}, "", 0},
		{flow.Changes{Redirect: far}, "x@far.example smtp", 0},
		{flow.Changes{Redirect: addr("nobody", "here.example")}, "", 550},
		{flow.Changes{Redirect: bob, Quarantine: "x"}, "bob/2 Junk", 0},
		{flow.Changes{BCC: []address.Address{far, addr("nobody", "here.example"), bob}}, "alice/1 bob/2 x@far.example smtp", 0},
		{flow.Changes{Filter: "smtp:[127.0.0.1]:10025"}, "team@here.example smtp [127.0.0.1]:10025", 0},
		{flow.Changes{Filter: "smtp:[127.0.0.1]:10025", BCC: []address.Address{far}}, "team@here.example smtp [127.0.0.1]:10025 x@far.example smtp [127.0.0.1]:10025", 0},
		{flow.Changes{Filter: "local:"}, "", 451}, {flow.Changes{Filter: "frob:x"}, "", 451},
	} {
		p := &Plan{}
		targets, err := r.Recipient(t.Context(), Query{To: envelope.Recipient{To: team}})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Add(targets); err != nil {
			t.Fatal(err)
		}
		got, err := r.Changed(t.Context(), p, &c.changes)
		if c.code != 0 {
			if err == nil || status.Of(err).Code != c.code {
				t.Errorf("%+v: %v", c.changes, err)
			}
			continue
		}
		var words []string
		for i, g := range got {
			if g.No != i {
				t.Errorf("%+v: number %d at place %d", c.changes, g.No, i)
			}
			if g.Transport == flow.Mailbox {
				words = append(words, fmt.Sprintf("%s/%d", g.To.Local, g.Account))
				words = append(words, g.Folder...)
				continue
			}
			words = append(words, g.To.String(), g.Transport.String())
			if g.NextHop != "" {
				words = append(words, g.NextHop)
			}
		}
		if text := strings.Join(words, " "); err != nil || text != c.want {
			t.Errorf("%+v: %q %v, want %q", c.changes, text, err, c.want)
		}
	}
}
