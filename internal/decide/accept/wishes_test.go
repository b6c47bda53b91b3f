package accept

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/header"
)

func TestWishesReachTheJob(t *testing.T) {
	later := time.Unix(1_900_000_000, 0).UTC()
	job, _, _, err := accept(t, "List-Id: <x.example>\r\n"+letter, func(tx *gate.Transaction, _ *gate.Message) error {
		e := tx.Envelope
		e.HoldUntil, e.Priority, e.RequireTLS, e.DeliverBy, e.DeliverByReturn, e.VERP = later, 3, true, later.Add(time.Hour), true, "+="
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !job.NotBefore.Equal(later) || job.Priority != 3 || !job.RequireTLS || !job.DeliverBy.Equal(later.Add(time.Hour)) || !job.DeliverByReturn || !job.Bulk {
		t.Errorf("%+v", job)
	}
	if got := job.Sender(&job.Recipients[1]).String(); got != "sender+b=far.example@far.example" {
		t.Error(got)
	}
}

func TestVERP(t *testing.T) {
	owner, long := at("owner-list"), address.Address{Local: strings.Repeat("x", 150), Domain: "very.long.domain.far.example"}
	job := &flow.Job{From: at("list"), Recipients: []flow.Recipient{{To: at("member"), Original: address.Address{Local: "alias", Domain: "here.example"}},
		{To: at("b"), Sender: &owner}, {To: long}, {To: address.Address{Local: "a b", Domain: "[192.0.2.1]"}}}}
	Wish(job, &envelope.Envelope{VERP: "-="})
	want := []string{"list-alias=here.example@far.example", "owner-list@far.example", "list@far.example", `"list-a b=[192.0.2.1]"@far.example`}
	for i := range want {
		if got := job.Sender(&job.Recipients[i]).String(); got != want[i] {
			t.Errorf("%d: %s, want %s", i, got, want[i])
		}
	}
	wide := address.Address{Local: "list", Domain: strings.Repeat("d", 60) + "." + strings.Repeat("d", 60) + "." + strings.Repeat("d", 60) + ".example"}
	job = &flow.Job{From: wide, Recipients: []flow.Recipient{{To: at("member")}, {To: address.Address{Local: strings.Repeat("x", 60), Domain: "far.example"}}}}
	if Wish(job, &envelope.Envelope{VERP: "+="}); job.Recipients[0].Sender == nil || job.Recipients[1].Sender != nil {
		t.Errorf("%+v: paths have 256 characters", job.Recipients)
	}
	job = &flow.Job{Recipients: []flow.Recipient{{To: at("member")}}}
	if Wish(job, &envelope.Envelope{VERP: "+="}); job.Recipients[0].Sender != nil {
		t.Error("a notification has got a sender")
	}
}

// The sender of a report of success is told of the list, not of its members.
func TestExpanded(t *testing.T) {
	const success, failure = envelope.NotifySuccess, envelope.NotifyFailure
	job := &flow.Job{}
	add := func(original, to string, notify envelope.Notify) {
		job.Recipients = append(job.Recipients, flow.Recipient{No: len(job.Recipients), To: at(to), Original: at(original), Notify: notify, Transport: flow.SMTP})
	}
	add("team", "a", success|failure)
	add("one", "b", success)
	add("team", "c", success|failure)
	add("crew", "d", success)
	add("crew", "e", success)
	add("club", "f", failure)
	add("club", "g", failure)
	expand(job)
	never := envelope.NotifyNever
	for i, want := range []envelope.Notify{failure, success, failure, never, never, failure, failure, success, success} {
		if got := job.Recipients[i]; got.Notify != want || got.No != i {
			t.Errorf("%d: %+v", i, got)
		}
	}
	if len(job.Recipients) != 9 || job.Recipients[7].To != at("team") || job.Recipients[8].To != at("crew") || job.Recipients[8].NextHop != flow.Expanded {
		t.Errorf("%+v", job.Recipients)
	}
}

func TestBulk(t *testing.T) {
	for field, want := range map[string]bool{"List-Unsubscribe: <mailto:x@y.example>": true, "Precedence: first-class": false, "PRECEDENCE:\r\n bulk": true,
		"Precedence: list": true, "X-Precedence: bulk": false, "Subject: Precedence: bulk": false} {
		h, err := header.Parse([]byte(field+"\r\n\r\n"), 1000)
		if err != nil {
			t.Fatal(err)
		}
		if got := bulk(h, 3); got != want {
			t.Errorf("%q: %v", field, got)
		}
	}
	if !bulk(&header.Header{}, manyRecipients) || bulk(&header.Header{}, manyRecipients-1) {
		t.Error("number of recipients")
	}
}
