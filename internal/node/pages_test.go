package node

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// get fetches a page for operators.
func get(t *testing.T, n *Node, path string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + n.Addresses()["http"].String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

// What happens is counted, service by service, and the state of the whole can be asked.
func TestPagesOfARunningNode(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir()))
	addUser(t, n, "alice", "secret word")
	text := "Subject: x\r\n\r\nx\r\n"
	if err := send(t, n, "alice@here.example", text); err != nil {
		t.Fatal(err)
	}
	if err := send(t, n, "x@elsewhere.example", text); err == nil {
		t.Fatal("relayed")
	}
	if err := submit(t, n, submission{service: "submissions", user: "alice@here.example", password: "wrong"}, "a@b.example", "a@b.example", text); err == nil {
		t.Fatal("wrong password taken")
	}
	c := login(t, n, "alice@here.example", "secret word")
	arrived(t, c, "INBOX", 1)
	c.Close()
	code, body := get(t, n, "/metrics")
	for _, want := range []string{
		`postrider_build_info{version="test"} 1`,
		`postrider_connections_total{service="smtp"} 2`,
		`postrider_connections_total{service="submissions"} 1`,
		`postrider_connections_total{service="imaps"} 1`,
		`postrider_messages_accepted_total{service="smtp"} 1`,
		`postrider_deliveries_total{status="sent",transport="mailbox"} 1`,
		`postrider_rejections_total{code="554",reason="relay",service="smtp"} 1`,
		`postrider_logins_total{mech="PLAIN",result="ok",service="imaps"} 1`,
		`postrider_logins_total{mech="SCRAM-SHA-256",result="failed",service="submissions"} 1`,
		`postrider_queue_deferred 0`, `postrider_pack_syncs`, `postrider_db_commits`, `postrider_disk_free_bytes`, `go_goroutines`,
	} {
		if !strings.Contains(body, "\n"+want+"\n") && !strings.Contains(body, "\n"+want+" ") {
			t.Errorf("no %s", want)
		}
	}
	if t.Failed() {
		t.Logf("%s", body)
	}
	if code != 200 {
		t.Error(code)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/": 404} {
		if code, body := get(t, n, path); code != want || want == 200 && body != "ok\n" {
			t.Errorf("%s: %d %q", path, code, body)
		}
	}
}

// A node whose disk has failed still answers, and says that it is not to be sent mail.
func TestReadinessEndsWithTheDisk(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir()))
	broken := errors.New("sync failed")
	n.fail(broken)
	if err := <-n.Fatal(); err != broken {
		t.Error(err)
	}
	if code, body := get(t, n, "/readyz"); code != 503 || !strings.HasPrefix(body, "not ready: ") {
		t.Errorf("%d %q", code, body)
	}
	if code, _ := get(t, n, "/healthz"); code != 200 {
		t.Error("the process lives, and says it does not")
	}
}
