package work

import (
	"bytes"
	"net/mail"
	"strings"
	"testing"
)

func TestCorpusIsMailOfTheAskedSize(t *testing.T) {
	for _, size := range []int{600, 2048, 10_240, 70_001} {
		c := NewCorpus(1, size)
		subjects, texts, unseen := int64(0), int64(0), 0
		for n := int64(0); n < 250; n++ {
			m := c.Message(n)
			parsed, err := mail.ReadMessage(bytes.NewReader(m.Bytes))
			if err != nil {
				t.Fatalf("message %d: %v", n, err)
			}
			if got := len(m.Bytes); size > 1000 && (got < size-4 || got > size+4) {
				t.Fatalf("size %d, message %d: %d bytes", size, n, got)
			}
			for line := range bytes.Lines(m.Bytes) {
				if line[0] == '.' || len(line) > 200 || !bytes.HasSuffix(line, []byte("\r\n")) || bytes.Count(line, []byte("\r")) != 1 {
					t.Fatalf("size %d, message %d: line %q", size, n, line)
				}
			}
			if strings.Contains(parsed.Header.Get("Subject"), SubjectWord) {
				subjects++
			}
			if bytes.Contains(m.Bytes, []byte(TextWord)) {
				texts++
			}
			if m.Flags == "" {
				unseen++
			}
		}
		if subjects != InSubject(250) || texts != InText(250) || subjects != 3 || texts != 2 || unseen != 25 {
			t.Errorf("size %d: %d subjects, %d texts, %d unseen", size, subjects, texts, unseen)
		}
	}
}

func TestCorpusIsTheSameAgain(t *testing.T) {
	cut := func(m []byte) string { _, rest, _ := bytes.Cut(m, []byte("\r\n")); return string(rest) } // without Date
	a, b := NewCorpus(7, 2000), NewCorpus(7, 2000)
	for _, n := range []int64{0, 4, 50} {
		if cut(a.Message(n).Bytes) != cut(b.Message(n).Bytes) {
			t.Errorf("message %d differs", n)
		}
	}
	if cut(a.Message(1).Bytes) == cut(NewCorpus(8, 2000).Message(1).Bytes) {
		t.Error("another seed makes the same message")
	}
}
