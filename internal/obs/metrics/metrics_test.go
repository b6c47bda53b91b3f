package metrics

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
)

func get(t *testing.T, m *Metrics, path string, ready error) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(m, func() error { return ready }).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

func TestOutcomesAreCounted(t *testing.T) {
	m := New("1.2.3")
	imap := obs.Peer{Service: "imap"}
	for _, e := range []obs.Event{
		obs.Connect{Peer: imap}, obs.Accepted{Peer: obs.Peer{Service: "smtp"}, Size: 10}, obs.Accepted{Peer: obs.Peer{Service: "smtp"}, Size: 5},
		obs.Delivery{Transport: "smtp", Outcome: obs.Sent, Delay: 2 * time.Second}, obs.Delivery{Transport: "smtp", Outcome: obs.Deferred},
		obs.Rejected{Peer: imap, Reason: obs.ReasonRelay, Error: status.Perm(550, 7, 1, "no")},
		obs.AuthFailed{Peer: imap, Mech: "stranger's choice"}, obs.Login{Peer: imap, Mech: "PLAIN"}, obs.Queued{Kind: "bounce"},
	} {
		m.Emit(e)
	}
	code, body := get(t, m, "/metrics", nil)
	if code != 200 || m.Err() != nil {
		t.Fatal(code, m.Err())
	}
	for _, want := range []string{
		`postrider_build_info{version="1.2.3"} 1`, `postrider_connections_total{service="imap"} 1`,
		`postrider_messages_accepted_total{service="smtp"} 2`, `postrider_message_bytes_accepted_total 15`,
		`postrider_deliveries_total{status="sent",transport="smtp"} 1`, `postrider_delivery_delay_seconds_count 1`,
		`postrider_rejections_total{code="550",reason="relay",service="imap"} 1`,
		`postrider_logins_total{mech="other",result="failed",service="imap"} 1`,
		`postrider_messages_made_total{kind="bounce"} 1`, "go_goroutines",
	} {
		if !strings.Contains(body, want+"\n") && !strings.Contains(body, want+" ") {
			t.Errorf("no %s", want)
		}
	}
}

func TestAttemptsAreCounted(t *testing.T) {
	m := New("x")
	m.NameSites([]string{"google"})
	for _, e := range []obs.Event{
		obs.Delivery{Transport: "smtp", Outcome: obs.Deferred, Class: "greylisted"}, obs.Delivery{Transport: "smtp", Outcome: obs.Deferred},
		obs.Delivery{Transport: "smtp", Outcome: obs.Bounced, Class: "unknown"}, obs.Delivery{Transport: "lmtp", Outcome: obs.Expired, Class: "full"},
		obs.Delivery{Transport: "smtp", Outcome: obs.Sent, Delay: 3 * time.Second, Delays: [4]time.Duration{0, time.Second, 2 * time.Second, 5 * time.Millisecond}},
		obs.Attempt{Site: "google", Phase: "quit", Reused: true, TLS: "TLSv1.3", Trust: "verified"},
		obs.Attempt{Site: "google", Phase: "rcpt", TLS: "TLSv1.3", Trust: "unverified", Connect: 50 * time.Millisecond},
		obs.Attempt{Site: "stranger.example", Phase: "connect"}, obs.Attempt{Site: "another.example", Phase: "connect"},
		obs.Attempt{Site: "another.example", Phase: "mail"},
	} {
		m.Emit(e)
	}
	_, body := get(t, m, "/metrics", nil)
	for _, want := range []string{
		`postrider_deferrals_total{class="greylisted",transport="smtp"} 1`, `postrider_deferrals_total{class="other",transport="smtp"} 1`,
		`postrider_bounces_total{class="unknown",transport="smtp"} 1`, `postrider_bounces_total{class="full",transport="lmtp"} 1`,
		`postrider_delivery_phase_seconds_bucket{phase="b",le="0.3"} 0`, `postrider_delivery_phase_seconds_bucket{phase="b",le="1"} 1`,
		`postrider_delivery_phase_seconds_sum{phase="c"} 2`, `postrider_delivery_phase_seconds_bucket{phase="d",le="0.01"} 1`,
		`postrider_attempts_total{phase="quit",reused="true",site="google"} 1`, `postrider_attempts_total{phase="connect",reused="false",site="other"} 2`,
		`postrider_attempt_tls_total{trust="verified"} 1`, `postrider_attempt_tls_total{trust="unverified"} 1`, `postrider_attempt_tls_total{trust="none"} 1`,
		`postrider_attempt_connect_seconds_count 2`, `postrider_attempt_duration_seconds_count 5`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(body, "stranger") {
		t.Error("a stranger chose the value of a label")
	}
}

// Two nodes in one process count apart.
func TestNodesDoNotMix(t *testing.T) {
	a, b := New("a"), New("b")
	a.Emit(obs.Connect{Peer: obs.Peer{Service: "only-a"}})
	if _, body := get(t, b, "/metrics", nil); strings.Contains(body, "only-a") {
		t.Error("shared")
	}
}

func TestMakingAMetric(t *testing.T) {
	m := New("x")
	m.Counter("twice_total", "Same.").Inc()
	m.Counter("twice_total", "Same.").Inc()
	m.Gauge("depth", "Depth.").Set(3)
	m.GaugeFunc("asked", "Asked.", func() float64 { return 4 })
	m.Histogram("size", "Size.", []float64{1, 2}).Observe(1.5)
	if _, body := get(t, m, "/metrics", nil); !strings.Contains(body, "postrider_twice_total 2\n") ||
		!strings.Contains(body, "postrider_depth 3\n") || !strings.Contains(body, "postrider_asked 4\n") {
		t.Error("not as set")
	}
	if m.Err() != nil {
		t.Error(m.Err())
	}
	m.Gauge("twice_total", "Another thing.")
	if m.Err() == nil {
		t.Error("two metrics of one name go unnoticed")
	}
}

func TestHealth(t *testing.T) {
	m := New("x")
	notYet := errors.New("queue is being replayed")
	for _, c := range []struct {
		path  string
		ready error
		code  int
		body  string
	}{{"/healthz", notYet, 200, "ok\n"}, {"/readyz", nil, 200, "ok\n"}, {"/readyz", notYet, 503, "not ready: queue is being replayed\n"}, {"/other", nil, 404, ""}} {
		code, body := get(t, m, c.path, c.ready)
		if code != c.code || (c.body != "" && body != c.body) {
			t.Errorf("%s: %d %q", c.path, code, body)
		}
	}
}
