package imap

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/mime"
)

// readBody counts what is read of a message.
type readBody struct {
	*strings.Reader
	n int64
}

func (b *readBody) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.Reader.ReadAt(p, off)
	b.n += int64(n)
	return n, err
}

// Each BODY and TEXT of a SEARCH read and decoded the whole message again.
func TestManyTextKeysReadAMessageOnce(t *testing.T) {
	text := "Subject: x\r\n\r\n" + strings.Repeat("line\r\n", 10_000)
	body := &readBody{Reader: strings.NewReader(text)}
	p := &parser{b: []byte("TEXT line" + strings.Repeat(" NOT TEXT nosuch NOT BODY nosuch", 24)), tables: newTables(extensions())}
	program := p.searchProgram()
	if p.end(); p.err != nil {
		t.Fatal(p.err)
	}
	m := &candidate{msg: &Message{UID: 1, MIME: mime.Parse([]byte(text)), Body: body}, mem: &searchMemory{}}
	if ok, err := program.eval(m); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if body.n > int64(len(text)) {
		t.Errorf("%d bytes read of %d", body.n, len(text))
	}
	for _, key := range []string{" BODY x", " TEXT x", " THREADID T1-1"} {
		p = &parser{b: []byte("ALL" + strings.Repeat(key, maxTextKeys+1)), tables: newTables(extensions())}
		if p.searchProgram(); p.err == nil || !strings.Contains(p.err.Error(), "Too many BODY, TEXT") {
			t.Errorf("%s: %v", key, p.err)
		}
	}
}
