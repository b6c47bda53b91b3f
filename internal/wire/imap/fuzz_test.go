package imap

import (
	"bufio"
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/wire/imap/view"
)

// FuzzCommand: whatever a line is, it either parses whole or fails with a reply that is one line; a parsed command keeps to
// the limits.
func FuzzCommand(f *testing.F) {
	tables := newTables(extensions())
	f.Fuzz(func(t *testing.T, line []byte, wide bool) {
		tag, verb, rest, err := splitTag(line)
		if err != nil {
			checkFailure(t, err)
			return
		}
		if strings.ContainsAny(tag, " \r\n+\"(){") || tag == "" {
			t.Fatalf("tag %q", tag)
		}
		table := tables.commands
		start := len(line) - len(rest)
		if verb == "UID" && len(rest) > 0 {
			p := &parser{b: line, i: start + 1}
			verb, table = p.word(), tables.uid
			start = p.i
		}
		cmd, ok := table[verb]
		if !ok {
			return
		}
		p := &parser{b: line, i: start, utf8: wide, tables: tables}
		run := cmd.parse(p)
		p.end()
		if p.err != nil {
			checkFailure(t, p.err)
			return
		}
		if p.i != len(line) {
			t.Fatalf("%d of %d bytes read without an error", p.i, len(line))
		}
		checkCommand(t, run)
	})
}

func checkFailure(t *testing.T, err error) {
	t.Helper()
	fail, ok := err.(*failure)
	if !ok || fail.status != "BAD" && fail.status != "NO" || fail.text == "" {
		t.Fatalf("not a reply: %#v", err)
	}
}

func checkCommand(t *testing.T, run runner) {
	switch cmd := run.(type) {
	case nil:
		t.Fatal("parsed to nothing")
	case *fetchCommand:
		if len(cmd.items) == 0 || len(cmd.items) > maxFetchItems+1 || len(cmd.set.set) == 0 && !cmd.set.saved || cmd.uid && !cmd.has("UID") ||
			cmd.changed != (cmd.since != 0) && cmd.since != 0 || cmd.changed && !cmd.has("MODSEQ") || cmd.vanished && !(cmd.uid && cmd.changed) {
			t.Fatalf("%+v", cmd)
		}
	case *storeCommand:
		if k := cmd.change.Flags.Keywords; k != view.Keywords(strings.Fields(k)...) {
			t.Fatalf("keywords not canonical: %q", k)
		}
		if int64(cmd.change.UnchangedSince) < 0 || !cmd.change.Conditional && cmd.change.UnchangedSince != 0 {
			t.Fatalf("%+v", cmd.change)
		}
	case *createCommand:
		if !utf8.ValidString(cmd.name) {
			t.Fatalf("name %q", cmd.name)
		}
		ns := Namespaces{Separator: "/"}
		if n, err := ns.name(cmd.name); err == nil {
			// A name that we show is the same name when it comes back.
			again, err := ns.name(ns.show(n))
			if err != nil || !equalNames(n, again) {
				t.Fatalf("%q comes back as %q: %v", n, again, err)
			}
		}
	}
}

// FuzzSequenceSet: what parses is written back by a plain writer and parses to the same; resolving it gives ordered spans
// inside the mailbox that agree with a plain reading of the set.
func FuzzSequenceSet(f *testing.F) {
	m := view.NewMailbox(0)
	for _, uid := range []uint32{1, 2, 3, 7, 8, 100, 4294967295} {
		m.Add(view.Message{UID: uid, ModSeq: 1})
	}
	session := view.NewSession(m)
	f.Fuzz(func(t *testing.T, text string) {
		p := &parser{b: []byte(text)}
		set := p.set()
		p.end()
		if p.err != nil {
			return
		}
		again := &parser{b: []byte(showSet(set))}
		if got := again.set(); again.err != nil || !slices.Equal(got, set) {
			t.Fatalf("%q: %v, again %v (%v)", text, set, got, again.err)
		}
		spans := session.ByUID(set)
		for i, sp := range spans {
			if sp.From >= sp.To || sp.To > session.Exists() || i > 0 && sp.From <= spans[i-1].To-1 {
				t.Fatalf("%q: spans %v", text, spans)
			}
		}
		for i := range session.Exists() {
			if spans.Has(i) != plainlyIn(set, session.UID(uint32(i)+1), session.MaxUID()) {
				t.Fatalf("%q: UID %d: %v", text, session.UID(uint32(i)+1), spans)
			}
		}
	})
}

func showSet(set view.Set) string {
	number := func(n uint32) string {
		if n == 0 {
			return "*"
		}
		return decimal(n)
	}
	var parts []string
	for _, r := range set {
		parts = append(parts, number(r.First)+":"+number(r.Last))
	}
	return strings.Join(parts, ",")
}

func plainlyIn(set view.Set, uid, star uint32) bool {
	for _, r := range set {
		a, b := r.First, r.Last
		if a == 0 {
			a = star
		}
		if b == 0 {
			b = star
		}
		if uid >= min(a, b) && uid <= max(a, b) {
			return true
		}
	}
	return false
}

// FuzzUTF7: every valid name comes back from its encoding, and every text that decodes is exactly the encoding of its
// result: no name has two spellings.
func FuzzUTF7(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		if utf8.ValidString(s) {
			enc := encodeUTF7(s)
			for i := range len(enc) {
				if enc[i] < 0x20 || enc[i] >= 0x7f {
					t.Fatalf("%q encodes to %q", s, enc)
				}
			}
			if dec, err := decodeUTF7(enc); err != nil || dec != s {
				t.Fatalf("%q → %q → %q, %v", s, enc, dec, err)
			}
		}
		if dec, err := decodeUTF7(s); err == nil && encodeUTF7(dec) != s {
			t.Fatalf("%q decodes to %q, whose encoding is %q", s, dec, encodeUTF7(dec))
		}
	})
}

// FuzzSearch: a program that parses keeps to the limits, and its evaluation over the flags agrees with its negation.
func FuzzSearch(f *testing.F) {
	tables := newTables(extensions())
	f.Fuzz(func(t *testing.T, text string) {
		p := &parser{b: []byte(text), tables: tables}
		n := p.searchProgram()
		p.end()
		if p.err != nil {
			return
		}
		if p.keys > maxSearchKeys || depthOf(n) > maxDepth+3 {
			t.Fatalf("%d keys, depth %d", p.keys, depthOf(n))
		}
		if want, _ := n.needs(); want != 0 {
			return
		}
		for _, sys := range []view.System{0, view.Seen, view.AllSystem} {
			m := &candidate{row: view.Row{Seq: 1, UID: 1, Flags: view.Flags{System: sys, Keywords: "a"}}}
			yes, err1 := n.eval(m)
			no, err2 := (&searchNode{op: opNot, kids: []*searchNode{n}}).eval(m)
			if err1 != nil || err2 != nil || yes == no {
				t.Fatalf("%q: %v, negated %v (%v %v)", text, yes, no, err1, err2)
			}
		}
	})
}

func depthOf(n *searchNode) int {
	d := 0
	for _, k := range n.kids {
		d = max(d, depthOf(k))
	}
	return d + 1
}

// FuzzFetchItems: the name that a BODY item has in the response parses to the same item.
func FuzzFetchItems(f *testing.F) {
	tables := newTables(extensions())
	parse := func(text string) (*fetchCommand, error) {
		p := &parser{b: []byte(" 1 " + text), tables: tables}
		cmd := parseFetch(p, false).(*fetchCommand)
		p.end()
		return cmd, p.err
	}
	f.Fuzz(func(t *testing.T, text string) {
		cmd, err := parse(text)
		if err != nil {
			checkFailure(t, err)
			return
		}
		for _, item := range cmd.items {
			name := item.name
			if strings.ContainsAny(name, "\r\n\x00") {
				t.Fatalf("%q: response item %q", text, name)
			}
			if strings.HasSuffix(name, ">") { // the response gives the offset only
				name = name[:len(name)-1] + ".1>"
			}
			again, err := parse(name)
			if strings.Contains(text, "{") || strings.Contains(name, "?") {
				continue // names of fields that cannot be written back as they were
			}
			if err != nil || again.items[0].name != item.name || again.items[0].want != item.want {
				t.Fatalf("%q: %q does not come back: %v", text, item.name, err)
			}
		}
	})
}

// FuzzLine: the line reader agrees with a plain split, however the input is cut into pieces.
func FuzzLine(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte, limit uint8) {
		in := bufio.NewReaderSize(bytes.NewReader(text), 16)
		rest := text
		for {
			line, err := appendLine(in, nil, int(limit))
			nl := bytes.IndexByte(rest, '\n')
			if nl < 0 {
				if err == nil {
					t.Fatalf("line %q out of %q", line, rest)
				}
				return
			}
			want := rest[:nl]
			rest = rest[nl+1:]
			switch {
			case len(want)+1 > int(limit)+2:
				if err != errTooLong {
					t.Fatalf("%q with limit %d: %v", want, limit, err)
				}
			case !bytes.HasSuffix(want, []byte("\r")):
				if err != errBareLF {
					t.Fatalf("%q: %v", want, err)
				}
			case err != nil || !bytes.Equal(line, want[:len(want)-1]):
				t.Fatalf("%q: %q, %v", want, line, err)
			}
			if h, ok := parseLiteralHead(line); ok && (h.size < 0 || !bytes.HasSuffix(line, []byte("}"))) {
				t.Fatalf("%q: %+v", line, h)
			}
		}
	})
}
