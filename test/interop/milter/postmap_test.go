package milter

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/decide/content"
	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// record is a record in memory that does not grow: nothing is changed here.
type record []byte

func (r record) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > int64(len(r)) {
		return 0, io.ErrUnexpectedEOF
	}
	return copy(p, r[off:]), nil
}

func (r record) Append([]byte) (int64, error) { return 0, recipe.ErrInvalid }

func (r record) Self() recipe.BlobRef {
	return recipe.BlobRef{Pack: flow.Self.Pack, Length: int64(len(r))}
}

// asked is a table that writes down what it is asked, as postmap prints what matches.
type asked struct{ strings.Builder }

func (a *asked) Lookup(_ context.Context, key string) (string, bool, error) {
	if key != "" {
		a.WriteString(key + "\tx\n")
	}
	return "", false, nil
}

func (*asked) Pattern() bool { return true }

// Which lines of a message are looked up as header and which as body: Postfix's own parser (postmap -h, -b, -m) says the same.
func TestLinesAsPostfixHasThem(t *testing.T) {
	postmap := needs.Program(t, "postmap")
	conf := t.TempDir()
	write(t, filepath.Join(conf, "main.cf"), "compatibility_level = 3.6\n")
	all := "regexp:" + write(t, filepath.Join(t.TempDir(), "all"), "/./ x\n")
	rnd := rand.New(rand.NewPCG(5, 7))
	pick := func(words ...string) string { return words[rnd.IntN(len(words))] }
	var part func(depth int) string
	part = func(depth int) string {
		text := pick("", "Subject: a\n fold\n", "X-Long: "+strings.Repeat("y", 3000)+"\n") + pick("", "From: a@b.example\n", "Content-Description: d\n\tmore\n")
		kind := rnd.IntN(4)
		if depth > 3 {
			kind = 3
		}
		switch kind {
		case 0:
			b := pick("B1", "C2", "other boundary") // also one inside the same; none that begins as another: Postfix wants the whole line
			text += "Content-Type: multipart/" + pick("mixed", "digest") + "; boundary=\"" + b + "\"\n\npreamble\n"
			for range rnd.IntN(3) {
				text += "--" + b + "\n" + part(depth+1)
			}
			return text + pick("--"+b+"--\nepilogue\n", "")
		case 1:
			return text + "Content-Type: message/rfc822\n\n" + part(depth+1)
		case 2:
			text += "Content-Type: text/plain;\n\tname=x\nContent-Transfer-Encoding: base64\n"
		}
		return text + "\nline\n\n" + pick("-- no boundary\n", "", strings.Repeat("z", 1500)+"\n") + "last\n"
	}
	for range 60 {
		text := "Received: x\n" + part(0)
		header, body := &asked{}, &asked{}
		rec := record(strings.ReplaceAll(text, "\n", "\r\n"))
		p := mime.NewParser()
		_, _ = p.Write(rec)
		p.Close()
		head, h, whole := p.Top()
		tables := table.List{header}
		c := &content.Checks{Header: tables, MIME: tables, Nested: tables, Body: table.List{body}, BodyLimit: 1 << 20, Log: slog.New(slog.DiscardHandler)}
		s, err := c.Connect(t.Context(), &gate.Conn{})
		if err != nil {
			t.Fatal(err)
		}
		tx := &gate.Transaction{Transaction: &flow.Transaction{}, Conn: &gate.Conn{}}
		if err := s.Message(t.Context(), tx, gate.NewMessage(rec, head, h, whole, int64(len(rec)))); err != nil {
			t.Fatal(err)
		}
		for flags, ours := range map[string]string{"-hmq": header.String(), "-bmq": body.String()} {
			got := system.Run(t, system.Command{Name: postmap, Args: []string{"-c", conf, flags, "-", all}, Stdin: strings.NewReader(text), AnyCode: true})
			if got.Stdout != ours {
				t.Fatalf("postmap %s says\n%s\nwe ask\n%s\nof\n%s%s", flags, got.Stdout, ours, text, got.Stderr)
			}
		}
	}
}
