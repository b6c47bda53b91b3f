package node

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
)

// tracing collects the stories that answer a question.
func tracing(t *testing.T, read func(admin.TraceQuery, func(admin.TraceItem) error) error, q admin.TraceQuery) (stories []admin.TraceStory) {
	t.Helper()
	end := false
	if err := read(q, func(i admin.TraceItem) error {
		if i.Story != nil {
			stories = append(stories, *i.Story)
		}
		end = end || i.End != nil
		return nil
	}); err != nil || !end {
		t.Fatalf("end %v, %v", end, err)
	}
	return stories
}

func live(t *testing.T, n *Node) func(admin.TraceQuery, func(admin.TraceItem) error) error {
	return func(q admin.TraceQuery, each func(admin.TraceItem) error) error {
		return n.API().Trace(t.Context(), q, each)
	}
}

func unserved(t *testing.T, c *config.Config) func(admin.TraceQuery, func(admin.TraceItem) error) error {
	return func(q admin.TraceQuery, each func(admin.TraceItem) error) error {
		return ReadTrace(t.Context(), c, q, func() {}, each)
	}
}

// events are the names of a story's records, and its whole text.
func events(t *testing.T, s admin.TraceStory) (names []string, text string) {
	t.Helper()
	for _, raw := range s.Records {
		var r struct{ Event string }
		if err := json.Unmarshal(raw, &r); err != nil {
			t.Fatal(err)
		}
		names = append(names, r.Event)
		text += string(raw) + "\n"
	}
	return names, text
}

// subsequence tells whether the words of want are in names, in this order.
func subsequence(names []string, want string) bool {
	words := strings.Fields(want)
	for _, n := range names {
		if len(words) > 0 && strings.ReplaceAll(n, " ", "-") == words[0] {
			words = words[1:]
		}
	}
	return len(words) == 0
}

// A message that another server refuses is told from the connection that brought it to the mailbox that its bounce went to, also
// when nothing runs any more.
func TestTraceOfABounce(t *testing.T) {
	_, sets := elsewhere(t)
	c := testConfig(t, t.TempDir(), sets...)
	here, stop := start(t, c)
	addUser(t, here, "alice", "pw")
	submitAlice(t, here, "nobody@there.example", "Subject: x\r\nMessage-ID: <traced.1@here.example>\r\n\r\nx\r\n")
	alice := login(t, here, "alice@here.example", "pw")
	arrived(t, alice, "INBOX", 1)
	if err := alice.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
	var stories []admin.TraceStory
	eventually(t, "the trace has it all", func() bool {
		stories = tracing(t, live(t, here), admin.TraceQuery{What: "traced.1@here.example"})
		if len(stories) != 2 {
			return false
		}
		names, _ := events(t, stories[1])
		return slices.Contains(names, "removed")
	})
	names, text := events(t, stories[0])
	if !subsequence(names, "connect login judged accepted attempt delivery removed") {
		t.Errorf("%q", names)
	}
	for _, want := range []string{`"account":"alice@here.example"`, `"tls":"TLSv1.3 `, `permit_sasl_authenticated`, `{"rule":"transport","key":"nobody@there.example","result":"smtp"}`,
		`mx.there.example[127.0.0.1]`, `550 5.1.1 `, `"status":"bounced"`, `"message_id":"traced.1@here.example"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if names, _ = events(t, stories[1]); !subsequence(names, "queued-bounce delivery removed") || stories[1].Cause != stories[0].ID {
		t.Errorf("the bounce: %q, caused by %q", names, stories[1].Cause)
	}
	stop()
	for _, what := range []string{"traced.1@here.example", "nobody@there.example", stories[0].ID} {
		after := tracing(t, unserved(t, c), admin.TraceQuery{What: what})
		if len(after) != 2 || after[0].ID != stories[0].ID || len(after[0].Records) < len(stories[0].Records) {
			t.Errorf("without a server, %s: %d stories", what, len(after))
		}
	}
	if after := tracing(t, unserved(t, c), admin.TraceQuery{What: "nobody@there.example", Until: time.Now().Add(-time.Hour)}); len(after) != 0 {
		t.Errorf("an hour ago: %v", after)
	}
}

// Who is turned away is found by address, with the rule that did it; sessions that are only thought of leave nothing.
func TestTraceOfARefusal(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir(),
		`access.smtp.smtpd_sender_restrictions = ["check_sender_access inline:{{far.example = 554 5.7.1 not you}}"]`))
	if _, err := n.API().Explain(t.Context(), admin.ExplainQuery{Client: "192.0.2.9", From: "sender@far.example", To: []string{"x@here.example"}}); err != nil {
		t.Fatal(err)
	}
	if err := send(t, n, "postmaster@here.example", "Subject: x\r\n\r\nx\r\n"); err == nil {
		t.Fatal("it is taken")
	}
	for _, what := range []string{"sender@far.example", "127.0.0.1"} {
		stories := tracing(t, live(t, n), admin.TraceQuery{What: what})
		if len(stories) != 1 {
			t.Fatalf("%s: %d stories", what, len(stories))
		}
		names, text := events(t, stories[0])
		if !subsequence(names, "connect judged rejected") || !strings.Contains(text, "check_sender_access") || !strings.Contains(text, "not you") {
			t.Errorf("%s: %q\n%s", what, names, text)
		}
	}
	if stories := tracing(t, live(t, n), admin.TraceQuery{What: "192.0.2.9"}); len(stories) != 0 {
		t.Errorf("an explanation is traced: %v", stories)
	}
}

// Who follows hears of what happens; without a trace there is none.
func TestTraceFollowsAndEnds(t *testing.T) {
	dir := t.TempDir()
	n, _ := start(t, testConfig(t, dir))
	addSilentUser(t, n, "alice")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := n.API().Trace(ctx, admin.TraceQuery{What: "alice@here.example", Follow: true}, func(i admin.TraceItem) error {
		if i.End != nil {
			return send(t, n, "alice@here.example", "Subject: x\r\n\r\nx\r\n")
		}
		if i.Record != nil && strings.Contains(string(i.Record), `"event":"delivery"`) {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := n.Reload(testConfig(t, dir, "trace.enabled = false")); err != nil {
		t.Fatal(err)
	}
	before := tracing(t, live(t, n), admin.TraceQuery{})
	if err := send(t, n, "alice@here.example", "Subject: y\r\n\r\nx\r\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is delivered", func() bool { return n.blobs.Unsettled() == 0 })
	if after := tracing(t, live(t, n), admin.TraceQuery{}); len(after) != len(before) {
		t.Errorf("%d stories, %d before the trace ended", len(after), len(before))
	}
	files, err := os.ReadDir(filepath.Join(dir, traceFolder))
	if err != nil || len(files) == 0 {
		t.Errorf("%v, %v", files, err)
	}
}
