package milter

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// answers are what filters send, right and wrong.
func answers() [][]byte {
	frame := func(code byte, data string) []byte {
		var b bytes.Buffer
		w := bufio.NewWriter(&b)
		if err := writePacket(w, code, []byte(data)); err != nil {
			panic(err)
		}
		_ = w.Flush()
		return b.Bytes()
	}
	join := func(list ...[]byte) []byte { return bytes.Join(list, nil) }
	ok := frame('c', "")
	return [][]byte{
		ok, frame('a', ""), frame('r', ""), frame('t', ""), frame('d', ""), frame('s', ""), frame('4', ""), frame('f', ""), frame('p', ""),
		frame('y', "550 5.7.1 not you\x00"), frame('y', "451-4.7.1 one\r\n451 4.7.1 two\x00"), frame('y', "250 ok\x00"), frame('y', "550-5.7.1 a\r\n451 b\x00"),
		join(frame('h', "X-Spam\x00Yes\x00"), ok),
		join(frame('i', "\x00\x00\x00\x01DKIM-Signature\x00v=1;\n\ta=rsa\x00"), frame('a', "")),
		join(frame('m', "\x00\x00\x00\x02Subject\x00\x00"), frame('p', ""), ok),
		join(frame('b', "new body\r\n"), frame('b', "more\r\n"), ok),
		join(frame('+', "<a@b.example>\x00"), frame('2', "<a@b.example>\x00NOTIFY=NEVER\x00"), frame('-', "<c@b.example>\x00"), ok),
		join(frame('e', "<>\x00"), frame('q', "looks odd\x00"), ok),
		frame('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\x7f\xff"),
		frame('O', "\x00\x00\x00\x06\x00\x00\x01\x3f\x00\x00\x00\x00\x00\x00\x00\x00j {client_addr}\x00\x00\x00\x00\x05i\x00"),
		frame('O', "\x00\x00\x00\x02\x00\x00\x00\x3f\x00\x00\x00\x7f"), frame('O', "\x00\x00\x00\x09"), {0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff, 'c'}, {0, 0, 0, 9, 'y', '5'},
		frame('h', "no end"), frame('i', "\x00\x01"), frame('?', "what"),
	}
}

func FuzzPackets(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		for {
			p, err := readPacket(r)
			if err != nil {
				return
			}
			var again bytes.Buffer
			w := bufio.NewWriter(&again)
			if err := writePacket(w, p.code, p.data); err != nil || w.Flush() != nil {
				t.Fatal(err)
			}
			q, err := readPacket(bufio.NewReader(&again))
			if err != nil || q.code != p.code || !bytes.Equal(q.data, p.data) || len(p.data) >= maxPacket {
				t.Fatalf("not stable: %v %q %q", err, p, q)
			}
			checkResponse(t, p)
			if n, err := parseOptions(p.data, Version); err == nil {
				actions, steps := offered(Version)
				if n.version < 2 || n.version > Version || n.actions&^actions != 0 || n.steps&^steps != 0 {
					t.Fatalf("more than was offered: %+v", n)
				}
			}
		}
	})
}

func checkResponse(t *testing.T, p packet) {
	response, ok, err := parseResponse(p)
	if e := response.Err; ok && e != nil {
		if e.Code/100 != int(e.Class) || e.Enhanced.Class != e.Class || e.Code < 400 || len(e.Public) > maxReply ||
			bytes.ContainsAny([]byte(e.Public), "\r\x00") {
			t.Fatalf("a reply that contradicts itself: %+v", e)
		}
	}
	if ok || err != nil {
		return
	}
	m, err := parseModification(p, 1<<9-1)
	if err != nil {
		return
	}
	if bytes.ContainsAny([]byte(m.Name+m.Value), "\x00") {
		t.Fatalf("NUL in %+v", m)
	}
	if _, err := parseModification(p, 0); err == nil {
		t.Fatalf("done without being allowed: %+v", m)
	}
}

// The corpus is made of answers: go test -run TestCorpus with WRITE_CORPUS=1.
func TestCorpus(t *testing.T) {
	dir := filepath.Join("testdata", "fuzz", "FuzzPackets")
	for i, b := range answers() {
		file, want := filepath.Join(dir, fmt.Sprintf("answer%02d", i)), "go test fuzz v1\n[]byte("+strconv.Quote(string(b))+")\n"
		if os.Getenv("WRITE_CORPUS") != "" {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s is not what this version writes: %v", file, err)
		}
	}
}
