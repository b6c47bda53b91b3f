package pop3

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

// FuzzCommand: what one line is does not depend on how it is cut into pieces; a line that parses has a verb of letters and
// digits, and arguments without spaces or controls; written anew it parses to the same.
func FuzzCommand(f *testing.F) {
	table := commands()
	f.Fuzz(func(t *testing.T, input []byte) {
		small := bufio.NewReaderSize(bytes.NewReader(input), 16)
		large := bufio.NewReaderSize(bytes.NewReader(input), 1<<16)
		for range 20 {
			line, err := readLine(small, nil)
			again, err2 := readLine(large, nil)
			if !bytes.Equal(line, again) || (err == nil) != (err2 == nil) {
				t.Fatalf("%q %v, or %q %v", line, err, again, err2)
			}
			if err == errTooLong {
				continue
			}
			if err != nil {
				return
			}
			if len(line) > maxLine || bytes.IndexByte(line, '\n') >= 0 {
				t.Fatalf("line %q", line)
			}
			checkLine(t, table, line)
		}
	})
}

func checkLine(t *testing.T, table map[string]command, line []byte) {
	r, err := parse(line)
	if err != nil {
		if r := asRefusal(err); !r.misuse || r.text == "" {
			t.Fatalf("not a refusal: %v", err)
		}
		return
	}
	if r.verb == "" || len(r.verb) > maxVerb || strings.Trim(r.verb, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		t.Fatalf("verb %q", r.verb)
	}
	if strings.ContainsAny(r.rest, "\x00\r\n\x7f") {
		t.Fatalf("rest %q", r.rest)
	}
	text := r.verb
	if r.more {
		text += " " + r.rest
	}
	if again, err := parse([]byte(text)); err != nil || again != r || !strings.EqualFold(text, string(line)) {
		t.Fatalf("%q became %q", line, text)
	}
	cmd, ok := table[r.verb]
	if !ok || cmd.verbatim {
		return
	}
	args, err := r.arguments(cmd.least, cmd.most)
	if err == nil && (len(args) < cmd.least || len(args) > cmd.most) {
		t.Fatalf("%d arguments", len(args))
	}
	for _, a := range args {
		if n, ok := number(a); ok && (n < 0 || n > 999_999_999) {
			t.Fatalf("number %d", n)
		}
	}
}

// FuzzStuffer: what is written is lines that end in CR LF, none of them a dot alone but the last; without the dots it is
// the message, or its first lines; and it does not depend on the pieces in which the message came.
func FuzzStuffer(f *testing.F) {
	f.Fuzz(func(t *testing.T, message []byte, cut uint8, lines int8) {
		limit := max(int(lines), everything)
		whole := stuffed(t, limit, message)
		var pieces [][]byte
		for rest := message; len(rest) > 0; {
			n := min(int(cut)%7+1, len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		if other := stuffed(t, limit, pieces...); !bytes.Equal(whole, other) {
			t.Fatalf("%q in pieces is %q, else %q", message, other, whole)
		}
		body, ok := bytes.CutSuffix(whole, []byte(".\r\n"))
		if !ok || len(body) > 0 && !bytes.HasSuffix(body, []byte("\r\n")) {
			t.Fatalf("it ends in %q", whole)
		}
		var got []byte
		for line := range bytes.Lines(body) {
			switch {
			case !bytes.HasSuffix(line, []byte("\r\n")) || string(line) == ".\r\n":
				t.Fatalf("line %q", line)
			case line[0] == '.' && line[1] != '.':
				t.Fatalf("line %q", line)
			case line[0] == '.':
				line = line[1:]
			}
			got = append(got, line...)
		}
		if want := slowly(message, limit); !bytes.Equal(got, want) {
			t.Fatalf("%q with %d lines became %q, want %q", message, limit, got, want)
		}
	})
}

func stuffed(t *testing.T, lines int, pieces ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	s := stuffer{w: bufio.NewWriterSize(&b, 16), lines: lines}
	for _, p := range pieces {
		if s.done {
			break
		}
		if err := s.write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	_ = s.w.Flush()
	return b.Bytes()
}

// slowly is a message with CR LF at each line's end, and of its body no more than some lines.
func slowly(message []byte, lines int) []byte {
	var out []byte
	body := false
	for line := range bytes.Lines(message) {
		if body && lines == 0 {
			break
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		out = append(append(out, line...), "\r\n"...)
		switch {
		case body:
			lines--
		case len(line) == 0:
			body = true
		}
	}
	return out
}
