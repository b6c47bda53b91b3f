package queue

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// unreached is an attempt that reaches no host of a site.
func unreached(_ *Task, r *flow.Recipient) flow.Outcome {
	return flow.Outcome{Recipient: r.No, Status: status.Enhanced{Class: 4, Subject: 4, Detail: 1}, Relay: "mx." + r.To.Domain, RemoteMTA: "mx." + r.To.Domain,
		Reply: "connect to mx." + r.To.Domain + ": no route to host", Class: flow.ClassNetwork, Signal: flow.Unreachable, At: time.Now()}
}

// New mail to a site that rests is shown as deferred, with the reason of the rest: young, in memory, and in rows only.
func TestNewMailToARestingSiteIsExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.window = 40 // one site's part is 2
		var heard []string
		w.event = func(j *flow.Job, r *flow.Recipient, o *flow.Outcome) {
			if o.Relay == "none" && o.Result == flow.Deferred {
				w.change(func() { heard = append(heard, j.ID.String()+" "+o.Status.String()+" "+o.Reply) })
			}
		}
		w.reply = unreached
		q := w.start()
		for range 3 {
			w.submit(q, remoteTo("dead.example"))
			pass(time.Second)
		}
		q.mu.Lock()
		rest := q.sched.RestOf(flow.SMTP, "dead.example")
		q.mu.Unlock()
		if rest == nil {
			t.Fatal("the site does not rest")
		}
		explained := func(j *flow.Job, when string) {
			t.Helper()
			info, err := q.Info(t.Context(), j.ID)
			if err != nil || info.State != "deferred" {
				t.Fatalf("%s: %+v %v", when, info, err)
			}
			r := info.Recipients[0]
			if r.Next == nil || !r.Next.Equal(rest.Until) || r.Status != "4.4.1" || r.Relay != "mx.dead.example" || r.Class != "network" || r.Attempts != 0 ||
				!strings.Contains(r.Reply, "the site dead.example rests until "+rest.Until.UTC().Format(time.RFC3339)) ||
				!strings.Contains(r.Reply, "no route to host") {
				t.Errorf("%s: %+v, until %v", when, r, rest.Until)
			}
		}
		var jobs []*flow.Job
		for range 5 {
			jobs = append(jobs, w.submit(q, remoteTo("dead.example")))
		}
		explained(jobs[0], "young")
		if q.Counts()["incoming"] != 0 {
			t.Errorf("%v", q.Counts())
		}
		pass(20 * time.Second)
		inMemory := 0
		for _, j := range jobs {
			explained(j, "in rows")
			q.mu.Lock()
			if q.jobs[j.ID] != nil {
				inMemory++
			}
			q.mu.Unlock()
		}
		for _, j := range jobs {
			if n := strings.Count(strings.Join(heard, "\n"), j.ID.String()+" 4.4.1 delivery temporarily suspended: the site dead.example rests until "); n != 1 {
				t.Errorf("%v was told %d times: %q", j.ID, n, heard)
			}
		}
		if inMemory == 0 || inMemory == len(jobs) {
			t.Errorf("%d in memory: both are to be seen", inMemory)
		}
		if c := q.Counts(); c["deferred"] != 8 || c["active"] != 0 {
			t.Errorf("%v", c)
		}
		found := 0
		if err := q.Select(t.Context(), Filter{Reason: "suspended"}, func(Info) error { found++; return nil }); found != 5 || err != nil {
			t.Errorf("%d found by their reason, %v", found, err)
		}
		w.stop(q)
	})
}
