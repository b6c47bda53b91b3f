package node

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/decide/sites"
	"github.com/postrider/postrider/internal/obs/metrics"
	"github.com/postrider/postrider/internal/state/queue"
	"github.com/postrider/postrider/internal/state/queue/sched"
)

// What leaves, and what waits, is counted by state and by site.
func TestMetricsOfMailThatLeaves(t *testing.T) {
	there, sets := elsewhere(t)
	here, _ := start(t, testConfig(t, t.TempDir(), append(sets, `mta.retry = ["1h"]`)...))
	addUser(t, here, "alice", "pw")
	for range 2 {
		submitAlice(t, here, "bob@there.example", "Subject: x\r\n\r\nx\r\n")
	}
	submitAlice(t, here, "nobody@there.example", "Subject: x\r\n\r\nx\r\n")
	submitAlice(t, here, "carol@down.example", "Subject: x\r\n\r\nx\r\n")
	bob := login(t, there, "bob@there.example", "pw")
	arrived(t, bob, "INBOX", 2)
	var body string
	eventually(t, "all were tried", func() bool {
		_, body = get(t, here, "/metrics")
		return strings.Contains(body, `postrider_deliveries_total{status="deferred",transport="smtp"} 1`) &&
			strings.Contains(body, `postrider_bounces_total{class="unknown",transport="smtp"} 1`)
	})
	for _, want := range []string{
		`postrider_attempts_total\{phase="end",reused="(true|false)",site="other"\} [12]`,
		`postrider_attempts_total\{phase="connect",reused="false",site="other"\} 1`,
		`postrider_deferrals_total\{class="network",transport="smtp"\} 1`,
		`postrider_delivery_phase_seconds_count\{phase="c"\} \d`,
		`postrider_queue_recipients\{state="deferred"\} \d`, `postrider_queue_bytes\{state="hold"\} 0`, `postrider_queue_oldest_seconds\{state="deferred"\} `,
		`postrider_queue_age_messages\{minutes="5"\} \d`, `postrider_queue_age_messages\{minutes="more"\} 0`, `postrider_sites_resting \d`,
	} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(body) {
			t.Errorf("no %s", want)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
	for _, p := range sites.Presets() {
		if here.metrics.SiteLabel(p.Name) != p.Name {
			t.Errorf("%s has no label of its own", p.Name)
		}
	}
}

// However many sites have mail waiting, few have a label of their own: the named ones and the largest.
func TestLabelsOfSitesAreBounded(t *testing.T) {
	n := &Node{metrics: metrics.New("x")}
	n.metrics.NameSites([]string{"google"})
	groups := map[string]queue.Count{"": {Recipients: 7}, "google": {Recipients: 1}}
	for i := range 500 {
		groups[fmt.Sprintf("site%03d.example", i)] = queue.Count{Recipients: 1000 - i}
	}
	recipients := func(c queue.Count) float64 { return float64(c.Recipients) }
	got := n.largestSites(groups, recipients, func(a, b float64) float64 { return a + b })
	if len(got) != shownSites+3 || got["google"] != 1 || got[ownSite] != 7 || got["site019.example"] != 981 {
		t.Errorf("%v", got)
	}
	sum := 0.0
	for _, v := range got {
		sum += v
	}
	if want := 500*1000 - 500*499/2 + 8.0; sum != want {
		t.Errorf("%v of %v recipients", sum, want)
	}
	rest := []sched.SiteInfo{{Name: "dead.example", Rest: &sched.Rest{}, Ready: 3}, {Name: "google", Flying: 2}}
	for i := range 30 {
		rest = append(rest, sched.SiteInfo{Name: fmt.Sprintf("busy%02d.example", i), Ready: 1})
	}
	waiting := n.firstSites(rest, func(s sched.SiteInfo) float64 { return float64(s.Ready) }, func(a, b float64) float64 { return a + b })
	if len(waiting) != shownSites+2 || waiting["dead.example"] != 3 || waiting[metrics.OtherSite] != 11 {
		t.Errorf("%v", waiting)
	}
	oldest := n.largestSites(groups, recipients, func(a, b float64) float64 { return max(a, b) })
	if oldest[metrics.OtherSite] != 980 {
		t.Errorf("the oldest of the others: %v", oldest[metrics.OtherSite])
	}
}
