package sieve

import (
	"context"
	"testing"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// script refuses for odd accounts, files a second copy for account 4, and keeps for the rest.
type script struct{}

func (script) Run(_ context.Context, _ *flow.Transaction, _ *flow.Facts, r flow.Recipient) ([]flow.Recipient, flow.Verdict, error) {
	if r.Account%2 == 1 {
		return nil, flow.Verdict{Action: flow.Reject, Err: status.Perm(550, 7, 1, "no thanks")}, nil
	}
	if r.Account == 4 {
		second := r
		second.Folder = []string{"Work"}
		return []flow.Recipient{r, second}, flow.Verdict{}, nil
	}
	return []flow.Recipient{r}, flow.Verdict{}, nil
}

func TestExpand(t *testing.T) {
	box := func(account int64) flow.Recipient { return flow.Recipient{Transport: flow.Mailbox, Account: account} }
	got, err := Expand(t.Context(), script{}, nil, nil, []flow.Recipient{box(1), {Transport: flow.SMTP}, box(4), box(2)})
	if err != nil || len(got) != 5 || got[3].Folder == nil || got[1].Transport != flow.SMTP {
		t.Fatalf("%+v %v", got, err)
	}
	// The recipient who refuses what others take was dropped, and his copy lost.
	if got[0].Account != 1 || len(got[0].Folder) != 1 || got[0].Folder[0] != "Junk" {
		t.Fatalf("refused by one: %+v", got[0])
	}
	for i, r := range got {
		if r.No != i {
			t.Fatalf("number %d at %d", r.No, i)
		}
	}
	if _, err := Expand(t.Context(), script{}, nil, nil, []flow.Recipient{box(1), box(3)}); !status.IsPermanent(err) {
		t.Fatalf("all refuse, yet %v", err)
	}
	if got, err := Expand(t.Context(), Keep{}, nil, nil, []flow.Recipient{box(1)}); err != nil || len(got) != 1 {
		t.Fatalf("keep: %+v %v", got, err)
	}
}
