package mda

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/queue"
)

type store struct {
	got  []mailstore.Delivery
	each map[int64]error // by account
	all  error
}

func (s *store) Deliver(_ context.Context, ds []mailstore.Delivery) ([]error, error) {
	s.got = append(s.got, ds...)
	each := make([]error, len(ds))
	for i, d := range ds {
		each[i] = s.each[d.Account]
	}
	return each, s.all
}

func task(id int64, accounts ...int64) *queue.Task {
	self := flow.Self
	self.Length = 10
	j := &flow.Job{ID: queueid.New(id, 1), Received: time.Unix(100, 0), From: address.Address{Local: "s", Domain: "x.example"},
		Message: recipe.Whole(self)}
	for i, a := range accounts {
		j.Recipients = append(j.Recipients, flow.Recipient{No: i, Transport: flow.Mailbox, Account: a, To: address.Address{Local: "u", Domain: "h.example"}})
	}
	j.Bind(recipe.BlobRef{Pack: 3, Offset: 64, Length: 10})
	return &queue.Task{Job: j, Recipients: j.Recipients, Due: time.Unix(101, 0)}
}

func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		name string
		s    store
		want [2][]flow.Result // of two tasks with two recipients each, accounts 1 2 and 3 4
	}{
		{"all well", store{}, [2][]flow.Result{{flow.Delivered, flow.Delivered}, {flow.Delivered, flow.Delivered}}},
		{"disk full", store{all: status.ErrNoSpace}, [2][]flow.Result{{flow.Deferred, flow.Deferred}, {flow.Deferred, flow.Deferred}}},
		{"an account is gone", store{each: map[int64]error{2: mailstore.ErrNoAccount}}, [2][]flow.Result{{flow.Delivered, flow.Failed}, {flow.Delivered, flow.Delivered}}},
		// 250 was said: what is permanent for a client is not for a delivery.
		{"no UIDs left", store{each: map[int64]error{3: mailstore.ErrUIDs}}, [2][]flow.Result{{flow.Delivered, flow.Delivered}, {flow.Deferred, flow.Delivered}}},
		{"a permanent error of all", store{all: status.Perm(554, 3, 0, "x")}, [2][]flow.Result{{flow.Deferred, flow.Deferred}, {flow.Deferred, flow.Deferred}}},
		{"an unknown error", store{all: errors.New("x")}, [2][]flow.Result{{flow.Deferred, flow.Deferred}, {flow.Deferred, flow.Deferred}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &Agent{Store: &c.s, Now: func() time.Time { return time.Unix(102, 0) }}
			out := a.Deliver(t.Context(), []*queue.Task{task(1, 1, 2), task(2, 3, 4)})
			for i, os := range out {
				for n, o := range os {
					if o.Recipient != n || o.Result != c.want[i][n] || o.Result == flow.Deferred && o.Status.Class != status.Temporary ||
						o.Result == flow.Failed && o.Status.Class != status.Permanent || o.At.IsZero() {
						t.Errorf("task %d recipient %d: %+v", i, n, o)
					}
				}
			}
			d := c.s.got[3]
			want := "Return-Path: <s@x.example>\r\nDelivered-To: u@h.example\r\n"
			if len(c.s.got) != 4 || d.Account != 4 || d.Recipient != 1 || string(d.Email.Literals) != want || d.Email.Size != int64(len(want))+10 ||
				d.Email.Ref.Pack != 3 {
				t.Errorf("delivery %+v", d)
			}
		})
	}
}

// A delivery that the stop cut off is no attempt, so nothing is said of it.
func TestCutOffSaysNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := &Agent{Store: &store{all: ctx.Err()}, Now: time.Now}
	if out := a.Deliver(ctx, []*queue.Task{task(1, 1)}); len(out) != 0 {
		t.Fatalf("%+v", out)
	}
	a.Store = &store{each: map[int64]error{2: ctx.Err()}} // in the middle
	if out := a.Deliver(ctx, []*queue.Task{task(1, 1, 2), task(2, 2)}); len(out) != 2 || len(out[0]) != 1 || out[0][0].Result != flow.Delivered || len(out[1]) != 0 {
		t.Fatalf("%+v", out)
	}
}

// A message that is all literals (an empty one from a client, completed) had no record, and could not be read.
func TestRecordOfAMessageOfLiterals(t *testing.T) {
	tk := task(1, 1)
	tk.Job.Message = recipe.Recipe{recipe.Literal([]byte("Date: x\r\n"))}
	s := &store{}
	a := &Agent{Store: s, Now: time.Now}
	a.Deliver(t.Context(), []*queue.Task{tk})
	if s.got[0].Email.Ref != (recipe.BlobRef{Pack: 3, Offset: 64, Length: 10}) {
		t.Fatalf("record %+v", s.got[0].Email.Ref)
	}
}

// The Return-Path is that of the recipient's own copy.
func TestReturnPathOfTheCopy(t *testing.T) {
	tk := task(1, 1, 2)
	tk.Recipients[1].Sender = &address.Address{Local: "owner-list", Domain: "h.example"}
	s := &store{}
	(&Agent{Store: s, Now: time.Now}).Deliver(t.Context(), []*queue.Task{tk})
	for i, want := range []string{"Return-Path: <s@x.example>\r\n", "Return-Path: <owner-list@h.example>\r\n"} {
		if got := string(s.got[i].Email.Literals); !strings.HasPrefix(got, want) {
			t.Errorf("%d: %q", i, got)
		}
	}
}
