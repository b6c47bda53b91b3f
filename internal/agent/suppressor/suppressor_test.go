package suppressor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/state/queue"
)

type list struct{}

func (list) Suppressed(_ context.Context, _ *flow.Job, r *flow.Recipient) (string, bool, error) {
	switch r.To.Local {
	case "listed":
		return "it failed", true, nil
	case "unknown":
		return "", true, errors.New("database away")
	}
	return "", false, nil
}

type next struct{ got []string }

func (n *next) Deliver(_ context.Context, tasks []*queue.Task) (out [][]flow.Outcome) {
	for _, t := range tasks {
		var os []flow.Outcome
		for _, r := range t.Recipients {
			n.got = append(n.got, r.To.Local)
			os = append(os, flow.Outcome{Recipient: r.No, Result: flow.Relayed})
		}
		out = append(out, os)
	}
	return out
}

func task(locals ...string) *queue.Task {
	t := &queue.Task{Job: &flow.Job{}}
	for i, l := range locals {
		t.Recipients = append(t.Recipients, flow.Recipient{No: i, To: address.Address{Local: l, Domain: "there.example"}})
	}
	return t
}

func TestSuppressor(t *testing.T) {
	n := &next{}
	a := &Agent{Next: n, List: list{}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	out := a.Deliver(t.Context(), []*queue.Task{task("listed"), task("bob", "listed", "unknown"), task("ann")})
	var got []string
	for i, os := range out {
		for _, o := range os {
			got = append(got, fmt.Sprintf("%d/%d %s %s", i, o.Recipient, o.Result, o.Class))
		}
	}
	want := []string{"0/0 failed suppressed", "1/1 failed suppressed", "1/0 relayed ", "1/2 relayed ", "2/0 relayed "}
	if fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(n.got) != "[bob unknown ann]" {
		t.Errorf("%q, tried %q", got, n.got)
	}
	n.got = nil
	if out := a.Deliver(t.Context(), []*queue.Task{task("listed")}); len(out) != 1 || len(n.got) != 0 || out[0][0].Reply != "it failed" {
		t.Errorf("%+v, tried %q", out, n.got)
	}
}
