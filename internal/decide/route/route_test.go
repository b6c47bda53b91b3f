package route

import (
	"context"
	"testing"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

type book map[address.Address][]Target

func (t book) Domain(_ context.Context, domain string) (int64, bool, error) {
	return 1, domain == "here.example", nil
}

func (t book) Lookup(_ context.Context, a address.Address) ([]Target, bool, error) {
	if a.Domain != "here.example" {
		return nil, false, nil
	}
	if a.Local == "broken" {
		return nil, false, status.Temp(451, 3, 0, "directory is down")
	}
	targets, ok := t[a]
	if !ok {
		return nil, true, status.Perm(550, 1, 1, "no such user")
	}
	return targets, true, nil
}

func TestRecipient(t *testing.T) {
	alice, bob, far := addr("alice", "here.example"), addr("bob", "here.example"), addr("x", "far.example")
	r := Router{Directory: book{
		alice:                        {{Account: 1, Address: alice}},
		addr("team", "here.example"): {{Account: 1, Address: alice}, {Account: 2, Address: bob}, {Address: far}},
	}}
	for _, c := range []struct {
		to    address.Address
		relay bool
		code  int // 0: taken
		n     int
	}{
		{alice, false, 0, 1},
		{addr("team", "here.example"), false, 0, 3},
		{addr("nobody", "here.example"), true, 550, 0},
		{addr("broken", "here.example"), false, 451, 0},
		{far, false, 554, 0},
		{far, true, 0, 1},
	} {
		got, err := r.Recipient(t.Context(), Query{To: envelope.Recipient{To: c.to, Notify: envelope.NotifyNever}, MayRelay: c.relay})
		if c.code == 0 && err != nil || c.code != 0 && (err == nil || status.Of(err).Code != c.code) || len(got) != c.n {
			t.Errorf("%v relay=%v: %v %v", c.to, c.relay, got, err)
		}
		for _, g := range got {
			if g.Notify != envelope.NotifyNever || g.Original != c.to {
				t.Errorf("%v: DSN parameters or original lost: %+v", c.to, g)
			}
			if g.To == far && (g.Transport != flow.SMTP || g.NextHop != "") {
				t.Errorf("%v: way out %+v", c.to, g)
			}
		}
	}
}

func TestPlanMergesDuplicates(t *testing.T) {
	var p Plan
	box := flow.Recipient{To: addr("alice", "here.example"), Transport: flow.Mailbox, Account: 1}
	other := box
	other.To = addr("postmaster", "here.example") // another address of the same account
	junk := box
	junk.Folder = []string{"Junk"}
	far := flow.Recipient{To: addr("x", "far.example"), Transport: flow.SMTP}
	if err := p.Add([]flow.Recipient{box, far, other, junk}); err != nil {
		t.Fatal(err)
	}
	if err := p.Add([]flow.Recipient{far, box}); err != nil {
		t.Fatal(err)
	}
	got := p.Recipients()
	if len(got) != 3 || got[0].To != box.To || got[2].Folder == nil {
		t.Fatalf("plan %+v", got)
	}
	for i, r := range got {
		if r.No != i {
			t.Fatalf("number %d at place %d", r.No, i)
		}
	}
	if err := p.Add(make([]flow.Recipient, MaxTargets)); !status.IsTemporary(err) {
		t.Fatalf("no bound: %v", err)
	}
}

type rooms map[int64]bool

func (r rooms) Room(_ context.Context, account, _ int64) error {
	if r[account] {
		return nil
	}
	return status.ErrQuota
}

// A message is refused for quota only when nobody can have it.
func TestRoom(t *testing.T) {
	full, free, far := flow.Recipient{Transport: flow.Mailbox, Account: 1}, flow.Recipient{Transport: flow.Mailbox, Account: 2}, flow.Recipient{Transport: flow.SMTP}
	for _, c := range []struct {
		to   []flow.Recipient
		want error
	}{
		{[]flow.Recipient{free}, nil}, {[]flow.Recipient{full}, status.ErrQuota}, {[]flow.Recipient{full, full}, status.ErrQuota},
		{[]flow.Recipient{full, free}, nil}, {[]flow.Recipient{full, far}, nil}, {nil, nil},
	} {
		if err := Room(t.Context(), rooms{2: true}, c.to, 10); err != c.want {
			t.Errorf("%v: %v", c.to, err)
		}
	}
}
