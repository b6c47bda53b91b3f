package metrics

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/test/needs"
)

const patience = 20 * time.Second

// answers starts a Prometheus with our rules, has it read the system's page, and asks it what the dashboard asks.
func answers(t *testing.T, s running) {
	base := prometheus(t, s.Listeners["http"])
	result := func(expr string) []any {
		var a struct {
			Status, Error string
			Data          struct{ Result []any }
		}
		fetch(t, base+"/api/v1/query?query="+url.QueryEscape(expr), &a)
		if a.Status != "success" {
			t.Fatalf("%s: %s", expr, a.Error)
		}
		return a.Data.Result
	}
	for end := time.Now().Add(patience); len(result("count_over_time(postrider_build_info[1m]) >= 3")) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("Prometheus has not read the page")
		}
	}
	silent := 0
	list := questions(t)
	for _, q := range list {
		if len(result(q)) == 0 {
			silent++
			t.Logf("no answer at present: %s", q)
		}
	}
	if len(list) < 20 || silent > len(list)/4 { // sites that rest or are busy have no figures in a quiet system
		t.Errorf("%d of %d questions have no answer", silent, len(list))
	}
	var r struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError, State string }
			}
		}
	}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		fetch(t, base+"/api/v1/rules", &r)
		if len(r.Data.Groups) == 1 && len(r.Data.Groups[0].Rules) > 5 && r.Data.Groups[0].Rules[0].Health != "unknown" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the rules were not looked at: %+v", r)
		}
	}
	for _, rule := range r.Data.Groups[0].Rules {
		if rule.Health != "ok" || rule.State == "firing" {
			t.Errorf("%s: %s, %s: %s", rule.Name, rule.Health, rule.State, rule.LastError)
		}
	}
}

// prometheus returns where it listens.
func prometheus(t *testing.T, target string) string {
	program := needs.Program(t, "prometheus")
	dir := t.TempDir()
	alerts, err := filepath.Abs(rules)
	if err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf("global: {scrape_interval: 300ms, scrape_timeout: 300ms, evaluation_interval: 500ms}\nrule_files: [%q]\n"+
		"scrape_configs:\n- job_name: postrider\n  static_configs: [{targets: [%q]}]\n", alerts, target)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // it cannot tell which port it was given
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		log.Close()
		if text, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("%s", strings.TrimSpace(string(text)))
		}
	})
	base := "http://" + addr
	for end := time.Now().Add(patience); ; time.Sleep(30 * time.Millisecond) {
		if r, err := http.Get(base + "/-/ready"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return base
			}
		}
		if time.Now().After(end) {
			t.Fatal("Prometheus is not ready")
		}
	}
}

func fetch(t *testing.T, url string, into any) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}
