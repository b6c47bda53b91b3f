package trace

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/vfs"
	"github.com/postrider/postrider/test/needs"
)

const folder = "data/trace"

var generous = Limits{Keep: 1000 * time.Hour, MaxSize: 1 << 40}

func open(fsys vfs.FS, run uint64, l Limits) *Trace {
	return New(Options{FS: fsys, Dir: folder, Run: run, Now: time.Now, Log: slog.New(slog.DiscardHandler), Limits: l})
}

func peer(session, client string) obs.Peer {
	return obs.Peer{Service: "smtp", Session: session, Addr: netip.AddrPortFrom(netip.MustParseAddr(client), 4711), TLS: "TLSv1.3 TLS_AES_128_GCM_SHA256"}
}

func rcpt(local, domain string) address.Address { return address.Address{Local: local, Domain: domain} }

func search(t testing.TB, fsys vfs.FS, q Query) *Result {
	t.Helper()
	r, err := Search(t.Context(), fsys, folder, q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// told is a story in one line: its events.
func told(s Story) string {
	words := []string{}
	for _, r := range s.Records {
		words = append(words, r.Event)
	}
	return strings.Join(words, " ")
}

func all(r *Result) (lines []string) {
	for _, s := range r.Stories {
		lines = append(lines, told(s))
	}
	return lines
}

// life is what happens to one message: a connection, one recipient that is refused, one that is sent to, deferred, bounced.
func life(t *Trace, id queueid.ID, session string) {
	p := peer(session, "192.0.2.7")
	t.Emit(obs.Connect{Peer: p})
	t.Emit(obs.Login{Peer: p, Account: "alice@here.example"})
	t.Emit(obs.Judged{Peer: p, Rules: []obs.Rule{{Stage: "connect", Rule: "screen", Result: "pass"}}})
	t.Emit(obs.Rejected{Peer: p, ID: id, Command: "RCPT", From: "alice@here.example", To: "nobody@here.example", Reason: obs.ReasonRecipient,
		Error: status.Perm(550, 1, 1, "no such user")})
	t.Emit(obs.Judged{Peer: p, ID: id, To: []string{"Bob@far.example"}, Routes: []obs.Rule{{Rule: "transport", Key: "bob@far.example", Result: "smtp"}}})
	t.Emit(obs.Accepted{Peer: p, ID: id, From: rcpt("alice", "here.example"), MessageID: "Hello.1@here.example", Size: 100, Nrcpt: 1})
	t.Emit(obs.Disconnect{Peer: p})
	t.Emit(obs.Attempt{ID: id, Recipients: []address.Address{rcpt("bob", "far.example")}, Relay: "mx.far.example[192.0.2.9]:25",
		Replies: []string{"250 2.1.0 Ok", "550-5.1.1 No \"such\" user\n550 5.1.1 here \xff\u2028"}})
	t.Emit(obs.Delivery{ID: id, To: rcpt("bob", "far.example"), Outcome: obs.Bounced, Text: "no such user"})
	t.Emit(obs.Queued{ID: id.Derive(0, 0), Cause: id, Kind: "bounce"})
	t.Emit(obs.Removed{ID: id})
	t.Emit(obs.Delivery{ID: id.Derive(0, 0), To: rcpt("alice", "here.example"), Outcome: obs.Sent})
}

const (
	wholeLife = "connect login judged rejected judged accepted disconnect attempt delivery removed"
	itsBounce = "queued bounce delivery"
)

func TestStoryOfAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := vfs.NewMem()
		tr := open(fsys, 1, generous)
		var ids []queueid.ID
		for i := range 200 {
			id := queueid.New(time.Now().UnixMicro(), 1)
			ids = append(ids, id)
			if i == 77 {
				life(tr, id, "smtp-77")
			} else { // another that has nothing to do with it
				tr.Emit(obs.Accepted{Peer: peer(fmt.Sprint("smtp-", i), "192.0.2.8"), ID: id, From: rcpt(fmt.Sprint("user", i), "other.example"), MessageID: fmt.Sprint(i, "@other.example")})
			}
			time.Sleep(time.Second)
		}
		tr.Flush()
		for _, what := range []string{ids[77].String(), "Hello.1@here.example", "<hello.1@HERE.example>", "bob@far.example", "BOB@far.example", "@far.example", "nobody@here.example",
			"192.0.2.7", "::ffff:192.0.2.7", "smtp-77"} {
			got := all(search(t, fsys, Query{What: what}))
			if len(got) != 2 || got[0] != wholeLife || got[1] != itsBounce {
				t.Errorf("%s: %q", what, got)
			}
		}
		if got := all(search(t, fsys, Query{What: ids[77].Derive(0, 0).String()})); len(got) != 1 || got[0] != itsBounce {
			t.Errorf("the bounce: %q", got)
		}
		for _, what := range []string{"nobody@elsewhere.example", "smtp-7777", "192.0.2.77", queueid.New(5, 5).String(), "@"} {
			if got := all(search(t, fsys, Query{What: what})); len(got) != 0 {
				t.Errorf("%s: %q", what, got)
			}
		}
		r := search(t, fsys, Query{Limit: 10})
		if len(r.Stories) != 10 || !r.More || r.Stories[9].ID != ids[199].String() || r.Stories[0].ID != ids[190].String() {
			t.Errorf("the latest: %d stories, %v", len(r.Stories), r.More)
		}
		r = search(t, fsys, Query{What: "@other.example", Since: ids[100].Time(), Until: ids[102].Time()})
		if len(r.Stories) != 3 || r.Stories[0].ID != ids[100].String() || r.More {
			t.Errorf("a span of time: %v", all(r))
		}
		tr.Close()
		tr.Emit(obs.Removed{ID: ids[0]}) // nothing, and no harm
		tr.Flush()
		tr.Close()
	})
}

// What the remote said is there in full, and every line is JSON.
func TestLinesAreWholeJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := vfs.NewMem()
		tr := open(fsys, 1, generous)
		id := queueid.New(time.Now().UnixMicro(), 1)
		life(tr, id, "smtp-1")
		tr.Close()
		for _, s := range search(t, fsys, Query{What: id.String()}).Stories {
			for _, r := range s.Records {
				var v map[string]any
				if err := json.Unmarshal(r.Raw, &v); err != nil {
					t.Errorf("%s: %v", r.Raw, err)
				}
				if r.Event == "attempt" {
					if got := v["replies"].([]any)[1]; got != "550-5.1.1 No \"such\" user\n550 5.1.1 here \ufffd\u2028" {
						t.Errorf("reply %q", got)
					}
				}
			}
		}
	})
}

// A connection that brings no message is found by its address; one of the same name in another run is another.
func TestRejectedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := vfs.NewMem()
		for run, client := range []string{"192.0.2.1", "2001:db8::2"} {
			tr := open(fsys, uint64(run), generous)
			p := peer("smtp-1", client)
			tr.Emit(obs.Connect{Peer: p})
			tr.Emit(obs.Rejected{Peer: p, Command: "CONNECT", Error: status.Perm(554, 7, 1, "listed")})
			tr.Emit(obs.Disconnect{Peer: p})
			tr.Emit(obs.Connect{Peer: obs.Peer{Service: "imap", Session: "imap-1", Addr: p.Addr}}) // readers have no part in it
			tr.Close()
			time.Sleep(time.Minute)
		}
		r := search(t, fsys, Query{What: "2001:DB8:0::2"})
		if got := all(r); len(got) != 1 || got[0] != "connect rejected disconnect" || r.Stories[0].Records[0].Run != 1 {
			t.Errorf("%q", got)
		}
		if got := all(search(t, fsys, Query{What: "smtp-1"})); len(got) != 2 {
			t.Errorf("both: %q", got)
		}
	})
}

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := vfs.NewMem()
		tr := open(fsys, 1, Limits{Keep: 24 * time.Hour, MaxSize: 1 << 40})
		var ids []queueid.ID
		for range 100 { // hours, half of them without mail
			id := queueid.New(time.Now().UnixMicro(), 1)
			ids = append(ids, id)
			tr.Emit(obs.Removed{ID: id})
			time.Sleep(2 * time.Hour)
		}
		tr.Flush()
		list, err := segments(fsys, folder)
		if err != nil || len(list) < 12 || len(list) > 14 {
			t.Errorf("%d segments, %v", len(list), err)
		}
		if got := search(t, fsys, Query{What: ids[99].String()}); len(got.Stories) != 1 {
			t.Error("the last is gone")
		}
		if got := search(t, fsys, Query{What: ids[80].String()}); len(got.Stories) != 0 {
			t.Error("an old one is there")
		}
		tr.Configure(Limits{Keep: 24 * time.Hour, MaxSize: 2 * list[0].size})
		time.Sleep(2 * time.Minute)
		if list, err = segments(fsys, folder); err != nil || len(list) > 2 || len(list) == 0 {
			t.Errorf("%d segments, %v", len(list), err)
		}
		tr.Close()
	})
}

// A block that a crash has torn hides nothing but itself; the next process writes elsewhere.
func TestTornAndDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := vfs.NewMem()
		var ids []queueid.ID
		tr := open(fsys, 1, generous)
		emit := func() {
			ids = append(ids, queueid.New(time.Now().UnixMicro(), 1))
			tr.Emit(obs.Removed{ID: ids[len(ids)-1]})
			time.Sleep(2 * time.Second)
		}
		for range 5 {
			emit()
		}
		tr.Close()
		list, _ := segments(fsys, folder)
		f, err := fsys.OpenWrite(path.Join(folder, list[0].name))
		if err != nil {
			t.Fatal(err)
		}
		whole := make([]byte, list[0].size)
		if _, err := f.ReadAt(whole, 0); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		block := len(whole) / 5
		for at := range block { // every torn length of the last block
			if err := f.Truncate(list[0].size - int64(at) - 1); err != nil {
				t.Fatal(err)
			}
			if r := search(t, fsys, Query{}); len(r.Stories) != 4 || r.Damaged != 0 {
				t.Fatalf("torn by %d: %d stories, %d bytes damaged", at+1, len(r.Stories), r.Damaged)
			}
		}
		for at := range block { // every byte of the second
			p := append([]byte(nil), whole...)
			p[block+at] ^= 0x55
			if _, err := f.WriteAt(p, 0); err != nil {
				t.Fatal(err)
			}
			if r := search(t, fsys, Query{}); len(r.Stories) != 4 && !(len(r.Stories) == 5 && at < 8) || len(r.Stories) == 4 && r.Damaged == 0 {
				t.Fatalf("byte %d: %d stories, %d bytes damaged", at, len(r.Stories), r.Damaged)
			}
		}
		if err := f.Truncate(list[0].size - 3); err != nil {
			t.Fatal(err)
		}
		tr = open(fsys, 2, generous)
		emit()
		tr.Close()
		if r := search(t, fsys, Query{What: ids[5].String()}); len(r.Stories) != 1 {
			t.Error("what was written after the crash is not found")
		}
	})
}

// Mail does not wait for a disk that is slow or full: lines are lost, counted, and told of.
func TestLossIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := vfs.NewMem()
		tr := open(fsys, 1, generous)
		id := queueid.New(time.Now().UnixMicro(), 1)
		tr.lost.Store(7)
		tr.Emit(obs.Removed{ID: id})
		tr.Flush()
		found := false
		r := search(t, fsys, Query{What: id.String()})
		if len(r.Stories) != 1 {
			t.Errorf("%q", all(r))
		}
		s := newScan(t, fsys)
		for _, rec := range s {
			found = found || rec.Event == "lost" && strings.Contains(string(rec.Raw), `"lines":7`)
		}
		if !found {
			t.Errorf("no word of the loss: %v", s)
		}
		tr.Close()
	})
}

// newScan reads every record there is.
func newScan(t *testing.T, fsys vfs.FS) (list []Record) {
	t.Helper()
	s := reader(t, fsys)
	if err := s.forward(t.Context(), func(*head) bool { return true }, func(r *Record) error {
		list = append(list, *r)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

func reader(t testing.TB, fsys vfs.FS) *searching {
	t.Helper()
	s := &searching{fs: fsys, dir: folder, damaged: map[string]int64{}}
	var err error
	if s.segments, err = segments(fsys, folder); err != nil {
		t.Fatal(err)
	}
	if s.zstd, err = newDecoder(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.zstd.Close)
	return s
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := vfs.NewMem()
		tr := open(fsys, 1, generous)
		id, other := queueid.New(time.Now().UnixMicro(), 1), queueid.New(time.Now().UnixMicro(), 2)
		life(tr, id, "smtp-1")
		tr.Flush()
		f, err := Follow(fsys, folder, "bob@far.example")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var got []string
		poll := func() {
			tr.Flush()
			if err := f.Poll(t.Context(), func(r Record) error {
				got = append(got, r.Event)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		poll()
		if len(got) != 0 {
			t.Errorf("of before: %q", got)
		}
		life(tr, queueid.New(time.Now().UnixMicro(), 3), "smtp-2")
		tr.Emit(obs.Removed{ID: other})
		poll()
		if strings.Join(got, " ") != "connect login judged rejected judged accepted disconnect attempt delivery queued bounce removed delivery" {
			t.Errorf("%q", got)
		}
		time.Sleep(2 * time.Hour) // another segment
		got = nil
		tr.Emit(obs.Delivery{ID: id, To: rcpt("bob", "far.example"), Outcome: obs.Sent})
		poll()
		if len(got) != 1 {
			t.Errorf("in the next segment: %q", got)
		}
		tr.Close()
	})
}

// The segments are files that zstd prints.
func TestZstdReadsASegment(t *testing.T) {
	program := needs.Program(t, "zstd")
	dir := t.TempDir()
	tr := New(Options{FS: vfs.OS{}, Dir: filepath.Join(dir, "trace"), Run: 1, Now: time.Now, Log: slog.New(slog.DiscardHandler), Limits: generous})
	for i := range 2000 {
		life(tr, queueid.New(int64(i), 1), "smtp-1")
	}
	tr.Close()
	files, _ := filepath.Glob(filepath.Join(dir, "trace", "*"))
	out, err := exec.Command(program, append([]string{"-dc"}, files...)...).Output()
	if err != nil || strings.Count(string(out), "\n") != 2000*12 {
		t.Errorf("%d lines, %v", strings.Count(string(out), "\n"), err)
	}
}
