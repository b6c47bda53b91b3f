package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
)

// jobsOnly is an API that has a queue.
type jobsOnly struct {
	admin.API
	jobs []admin.Job
}

func (a jobsOnly) Queue(_ context.Context, _ admin.JobFilter, each func(admin.Job) error) error {
	for _, j := range a.jobs {
		if err := each(j); err != nil {
			return err
		}
	}
	return nil
}

// A reply of several lines is one in a table, and who answered is told only where somebody did.
func TestReason(t *testing.T) {
	for want, r := range map[string]admin.Recipient{
		"-": {},
		"mx.example[192.0.2.1]:25: 450 4.2.0 Slow down see https://example.com": {Relay: "mx.example[192.0.2.1]:25", Reason: "450 4.2.0 Slow down\nsee\thttps://example.com"},
		"no answer": {Relay: "none", Reason: "no answer"},
	} {
		if got := reason(r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// written returns what fn writes to standard output.
func written(t *testing.T, fn func(a *app) error) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	if err := fn(&app{stdout: f, stderr: os.Stderr}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPostqueueLists(t *testing.T) {
	at := time.Date(2026, 11, 2, 4, 5, 6, 0, time.Local)
	const refused, said = "connection to mx.far.example[192.0.2.1]:25: connection refused", "451 4.7.1 come\nlater"
	jobs := []admin.Job{
		{ID: "4jXHCg4Rgpz24qPr", State: "deferred", Arrival: at, Size: 1234, Sender: "alice@here.example", Recipients: []admin.Recipient{
			{Address: "x@far.example", Reason: refused, Relay: "none"}, {Address: "y@far.example", Reason: refused, Relay: "none"}}},
		{ID: "4jXHCg4Rgpz24qPs", State: "active", Arrival: at, Size: 5000, Recipients: []admin.Recipient{{Address: "\"z\x1b\"@far.example"}}},
		{ID: "4jXHCg4Rgpz24qPt", State: "hold", Arrival: at, Size: 1, Sender: "\"a b\"@far.example", Recipients: []admin.Recipient{
			{Address: "z@far.example", Reason: said, Relay: "mx.far.example[192.0.2.1]:25"}}},
	}
	const want = `Mail queue is empty
----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------
4jXHCg4Rgpz24qPr      1234 Mon Nov  2 04:05:06 alice@here.example
                 (connect to mx.far.example[192.0.2.1]:25: Connection refused)
                                               x@far.example
                                               y@far.example

4jXHCg4Rgpz24qPs*     5000 Mon Nov  2 04:05:06 MAILER-DAEMON
                                               "z?"@far.example

4jXHCg4Rgpz24qPt!        1 Mon Nov  2 04:05:06 "a b"@far.example
         (host mx.far.example[192.0.2.1] said: 451-4.7.1 come 451 4.7.1 later)
                                               z@far.example

-- 6 Kbytes in 3 Requests.
----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------
4jXHCg4Rgpz24qPr      1234 Mon Nov  2 04:05:06 alice@here.example
                 (connect to mx.far.example[192.0.2.1]:25: Connection refused)
                                               x@far.example
                                               y@far.example

-- 1 Kbytes in 1 Request.
`
	var got string
	for _, list := range [][]admin.Job{nil, jobs, jobs[:1]} {
		got += written(t, func(a *app) error { return a.listQueue(t.Context(), jobsOnly{jobs: list}) })
	}
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
