// Package metrics checks what is shipped for Prometheus and Grafana against a running Postrider: promtool and prometheus from
// Debian read its /metrics, take the alert rules and answer every question of the dashboard, and every metric that is named
// anywhere exists, and is explained in docs/metrics.md.
//
// Files: metrics_test.go (what is shown) · traffic_test.go (mail that makes every metric appear) · prometheus_test.go (the
// server).
package metrics

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

const (
	docs      = "../../../docs"
	dashboard = docs + "/grafana/postrider.json"
	rules     = docs + "/prometheus/alerts.yml"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

// TestShippedFiles is one test, since all of it shares one running system.
func TestShippedFiles(t *testing.T) {
	promtool := needs.Program(t, "promtool")
	s := traffic(t)
	page := s.page(t)
	t.Run("promtool reads the page", func(t *testing.T) {
		c := exec.Command(promtool, "check", "metrics")
		c.Stdin = strings.NewReader(page)
		out, err := c.CombinedOutput()
		// Its taste in names (no unit, "_count" of a gauge) is not ours in everything; a form that cannot be read is an error.
		if bytes.Contains(out, []byte("error while linting")) || err != nil && c.ProcessState.ExitCode() != 3 {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("promtool takes the rules", func(t *testing.T) {
		if out, err := exec.Command(promtool, "check", "rules", rules).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("every metric that is named exists", func(t *testing.T) {
		have := exposed(page)
		for _, file := range []string{dashboard, rules, docs + "/metrics.md"} {
			for _, name := range named(t, file) {
				if !slices.Contains(have, name) && !slices.Contains(rare[:], name) {
					t.Errorf("%s names %s, which /metrics does not have", filepath.Base(file), name)
				}
			}
		}
	})
	t.Run("every metric is explained", func(t *testing.T) {
		explained := named(t, docs+"/metrics.md")
		for _, name := range exposed(page) {
			if strings.HasPrefix(name, "postrider_") && !slices.Contains(explained, name) {
				t.Errorf("docs/metrics.md does not have %s", name)
			}
		}
	})
	t.Run("Prometheus answers", func(t *testing.T) { answers(t, s) })
}

// rare are the counters that are only there once something has happened that this test does not bring about.
var rare = [...]string{"postrider_screened_total", "postrider_ban_refusals_total", "postrider_rate_refusals_total", "postrider_logins_locked_out_total"}

var typeLine = regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`)

// exposed are the names of the metrics of a page.
func exposed(page string) (names []string) {
	for _, m := range typeLine.FindAllStringSubmatch(page, -1) {
		names = append(names, m[1])
	}
	return names
}

var metricName = regexp.MustCompile(`\b(postrider|process|go)_[a-z0-9_]*[a-z0-9]\b`)

// named are the metrics that a file names; a histogram's parts stand for it.
func named(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range metricName.FindAllString(string(b), -1) {
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, part)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) < 10 {
		t.Fatalf("%s names only %q", file, names)
	}
	return names
}

// questions are the expressions of the dashboard, as Grafana asks them.
func questions(t *testing.T) (list []string) {
	t.Helper()
	b, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		UID    string
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil || d.UID != "postrider" {
		t.Fatalf("%v: %s", err, d.UID)
	}
	fill := strings.NewReplacer("$__rate_interval", "4s", "$instance", ".*", "$job", ".*")
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			list = append(list, fill.Replace(target.Expr))
		}
	}
	return list
}
