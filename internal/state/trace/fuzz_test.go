package trace

import (
	"bytes"
	"encoding/json"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/vfs"
)

// FuzzSegment reads any bytes as a segment: what is not damaged is found, blocks come in order, nothing is read outside the
// file, and a block that is appended to any bytes is found behind them.
func FuzzSegment(f *testing.F) {
	z, err := newEncoder()
	if err != nil {
		f.Fatal(err)
	}
	unzip, err := newDecoder()
	if err != nil {
		f.Fatal(err)
	}
	defer unzip.Close()
	f.Fuzz(func(t *testing.T, data []byte) {
		fsys := vfs.NewMem()
		name := "20260102T030405-000" + suffix
		own := &draft{}
		l := &line{}
		id := queueid.New(4711, 42)
		l.describe(time.Unix(1_700_000_000, 0), obs.Removed{ID: id})
		own.add(l)
		all := own.pack(bytes.Clone(data), z, 77)
		if err := fsys.MkdirAll(folder); err != nil {
			t.Fatal(err)
		}
		file, err := fsys.Create(path.Join(folder, name))
		if err == nil {
			_, err = file.WriteAt(all, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		var before int64 = -1
		next, err := (&scanner{file: file, size: int64(len(all))}).blocks(0, func(at int64, h *head) error {
			if at <= before || at+int64(h.packed) > int64(len(all)) {
				t.Fatalf("a block at %d behind %d", at, before)
			}
			before = at
			return nil
		})
		if err != nil || next < 0 || next > int64(len(all)) {
			t.Fatalf("next %d of %d, %v", next, len(all), err)
		}
		found := false
		s := &searching{fs: fsys, dir: folder, damaged: map[string]int64{}, zstd: unzip, segments: []segment{{name: name, size: int64(len(all))}}}
		if err := s.forward(t.Context(), func(*head) bool { return true }, func(r *Record) error {
			found = found || r.ID == id.String() && r.Run == 77
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		// Unless data ends in a head that claims what follows it as its own.
		if !found && !bytes.Contains(data, []byte(mark)) {
			t.Error("a whole block behind garbage is not found")
		}
	})
}

// FuzzLine writes outcomes with any texts: each is one line of JSON that says the same, and the block's filter knows it.
func FuzzLine(f *testing.F) {
	f.Fuzz(func(t *testing.T, from, to, id, reply, rule string) {
		l := &line{}
		now := time.Unix(1_700_000_000, 123456000)
		events := []obs.Event{
			obs.Rejected{Command: "RCPT", From: from, To: to, Helo: rule, Error: &status.Error{Code: 550, Public: reply}},
			obs.Accepted{MessageID: id, From: address.Address{Local: from, Domain: "example.org"}},
			obs.Attempt{Replies: []string{reply, id, to}, Error: reply},
			obs.Judged{To: []string{to, from}, Rules: []obs.Rule{{Stage: "rcpt", Rule: rule, Result: reply}}, Routes: []obs.Rule{{Rule: rule, Key: to, Result: id}}},
		}
		d := &draft{}
		for _, e := range events {
			if !l.describe(now, e) {
				t.Fatalf("%T has no words", e)
			}
			if len(l.text) == 0 || bytes.IndexByte(l.text, '\n') != len(l.text)-1 {
				t.Fatalf("not one line: %q", l.text)
			}
			if !json.Valid(l.text) || len(l.text) > maxLine+8*maxText {
				t.Fatalf("no JSON, or %d bytes of it: %q", len(l.text), l.text)
			}
			d.add(l)
		}
		list := parseLines(d.text, 1, place{}, nil)
		if len(list) != len(events) {
			t.Fatalf("%d of %d lines can be read", len(list), len(events))
		}
		same := func(what, got, want string) {
			if want = strings.ToValidUTF8(cut(want), "\ufffd"); len([]rune(got)) == 0 && want != "" {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		for i := range list {
			if !list[i].Time.Equal(now) {
				t.Errorf("time %v, want %v", list[i].Time, now)
			}
		}
		same("from", list[0].From, from)
		same("Message-ID", list[1].MessageID, id)
		filter := newBloom(d.keys)
		for i := range list {
			for _, v := range append([]string{list[i].From, list[i].MessageID}, list[i].To...) {
				if v == "" || len(v) >= maxText {
					continue
				}
				m := newMatcher(v)
				if strings.TrimSpace(v) == v && !strings.HasPrefix(v, "<") && m.id == "" && m.matches(&list[i]) && !filter.has(m.key) {
					t.Errorf("%q is in the block, and its filter does not know", v)
				}
			}
		}
	})
}
