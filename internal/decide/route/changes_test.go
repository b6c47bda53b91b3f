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

// Copies of the bcc settings stand behind those whom the envelope names, and go through the filter too; who is named keeps the
// notifications that the client asked for.
func TestCopiesStandBehind(t *testing.T) {
	alice, archive, far := addr("alice", "here.example"), addr("archive", "here.example"), addr("x", "far.example")
	r := Router{Directory: book{alice: {{Account: 1, Address: alice}}, archive: {{Account: 2, Address: archive}}}, Rules: Rules{AlwaysBCC: archive.String()}}
	for _, c := range []struct {
		changes flow.Changes
		want    string
	}{
		{flow.Changes{}, "alice@here.example/2 archive@here.example/2"},
		{flow.Changes{Filter: "smtp:[127.0.0.1]:10025"}, "alice@here.example/2 archive@here.example/2"},
		{flow.Changes{Redirect: far}, "x@far.example/0"},
	} {
		for _, named := range []bool{true, false} {
			p, to := &Plan{}, []address.Address{alice, archive}
			if !named {
				to = to[:1]
			}
			for _, a := range to {
				q := Query{To: envelope.Recipient{To: a, Notify: envelope.NotifySuccess}, MayRelay: true}
				copies, err := r.Copies(t.Context(), q)
				if err == nil {
					err = p.Copy(copies)
				}
				if err != nil {
					t.Fatal(err)
				}
				targets, err := r.Recipient(t.Context(), q)
				if err == nil {
					err = p.Add(targets)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if got := p.Copied(); len(got) != 1 || got[0] != archive {
				t.Errorf("copied to %v", got)
			}
			got, err := r.Changed(t.Context(), p, &c.changes)
			if err != nil {
				t.Fatal(err)
			}
			var words []string
			for _, g := range got {
				words = append(words, fmt.Sprintf("%s/%d", g.To, g.Notify))
			}
			want := c.want
			if !named {
				want = strings.Replace(want, "archive@here.example/2", fmt.Sprintf("archive@here.example/%d", envelope.NotifyNever), 1)
			}
			if text := strings.Join(words, " "); text != want {
				t.Errorf("%+v, named %v: %s, not %s", c.changes, named, text, want)
			}
		}
	}
}
