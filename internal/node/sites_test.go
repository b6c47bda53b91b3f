package node

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/state/queue/sched"
)

// loadText reads a configuration file's text.
func loadText(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("postrider.toml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSitePolicy(t *testing.T) {
	c := loadText(t, `
[mta]
concurrency_per_destination = 8
[sites.google]
destination_concurrency_limit = 50
connection_rate_limit = -1
[sites.gmx]
message_rate_limit = 100
rate_time_unit = "1h"
[sites.branch]
exchangers = ["mx.branch.example"]
initial_destination_concurrency = 1
`)
	p := newSitePolicy(c)
	for name, want := range map[string]sched.Site{
		"google":    {Concurrency: 50, Initial: 5},
		"microsoft": {Concurrency: 8, Initial: 3, Connections: sched.Rate{N: 300, Per: time.Minute}},
		"gmx":       {Concurrency: 5, Initial: 2, Connections: sched.Rate{N: 60, Per: time.Minute}, Messages: sched.Rate{N: 100, Per: time.Hour}},
		"branch":    {Initial: 1},
	} {
		got := p.policy.Sites[name]
		if got.Messages.N == 0 {
			got.Messages = sched.Rate{} // a time without a number is none
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	for hop, want := range map[string]string{"[mx.branch.example]:587": "branch", "[192.0.2.1]": "[192.0.2.1]", "smtp.google.com:25": "google", "\x00": "\x00"} {
		if got := p.policy.SiteOf(flow.SMTP, hop); got != want {
			t.Errorf("%s: %s, want %s", hop, got, want)
		}
	}
	if got := p.names.Of(strings.Fields("a.mx.branch.example b.mx.branch.example")); got != "branch" {
		t.Errorf("exchangers: %s", got)
	}
}

// Whoever sets mta.retry gets these times for everything, but for classes that he names.
func TestRetryByClass(t *testing.T) {
	r := retry(loadText(t, ""))
	if r.ByClass[flow.ClassGreylisted][0] != 6*time.Minute || r.ByClass[flow.ClassContent][0] != 15*time.Minute || r.ByClass[flow.ClassNetwork] != nil {
		t.Errorf("%v", r.ByClass)
	}
	r = retry(loadText(t, "[mta]\nretry = [\"1s\"]\n[queue]\nretry_full = [\"2h\"]\n"))
	if len(r.ByClass) != 1 || r.ByClass[flow.ClassFull][0] != 2*time.Hour {
		t.Errorf("%v", r.ByClass)
	}
	if p := newSitePolicy(loadText(t, "[mta]\nretry = [\"1s\"]\n")); p.policy.RestMin != time.Second {
		t.Errorf("rests for %s", p.policy.RestMin)
	}
}
