package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
)

// script answers each command by its verb; TAG stands for the command's tag. A literal of a command is read away.
func script(t *testing.T, greeting string, answers map[string]string) (Target, *[]string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var heard []string
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprint(c, greeting)
		r := bufio.NewReader(c)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			line = strings.TrimRight(line, "\r\n")
			heard = append(heard, line)
			f := strings.SplitN(line, " ", 3)
			key := f[0]
			if len(f) > 1 && answers[key] == "" {
				key = f[1]
			}
			fmt.Fprint(c, strings.ReplaceAll(answers[strings.ToUpper(key)], "TAG", f[0]))
		}
	}()
	return Target{Addr: l.Addr().String()}, &heard
}

func imapTo(t *testing.T, answers map[string]string) (*IMAP, *[]string) {
	t.Helper()
	target, heard := script(t, "* OK ready\r\n", answers)
	m, err := DialIMAP(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m, heard
}

func TestLiteralsAreCountedAndLeftOut(t *testing.T) {
	m, _ := imapTo(t, map[string]string{"FETCH": "* 3 EXISTS\r\n* 1 FETCH (RFC822.SIZE 5 BODY[] {5}\r\nab\r\nc BODY[TEXT] {0}\r\n)\r\n" +
		"* 2 FETCH (BODY[] {3}\r\n*)\n)\r\n* LIST () \"/\" {5}\r\nhello\r\nTAG OK done\r\n"})
	var got []string
	text, err := m.Do("FETCH 1:2 (RFC822.SIZE BODY.PEEK[])", func(a Answer) error {
		got = append(got, fmt.Sprintf("%s|%d", a.Text, a.Octets))
		return nil
	})
	want := "3 EXISTS|0 1 FETCH (RFC822.SIZE 5 BODY[] {5} BODY[TEXT] {0})|5 2 FETCH (BODY[] {3})|3 LIST () \"/\" {5}|5"
	if err != nil || text != "done" || strings.Join(got, " ") != want {
		t.Errorf("%v %q\n%s\n%s", err, text, strings.Join(got, " "), want)
	}
}

func TestRefusalsHaveTheServersWordsAndNoPassword(t *testing.T) {
	m, _ := imapTo(t, map[string]string{"LOGIN": "TAG NO [AUTHENTICATIONFAILED] no such user\r\n", "NOOP": "TAG OK\r\n"})
	err := m.Login("alice", "secret")
	var refused *Refused
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "no such user") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	if _, err := m.Do("NOOP", nil); err != nil {
		t.Errorf("the connection is no longer good: %v", err)
	}
}

func TestWhatNoServerMaySayIsAnError(t *testing.T) {
	for name, answer := range map[string]string{
		"a foreign tag": "b9 OK done\r\n", "goodbye": "* BYE too many connections\r\n", "more is wanted": "+ go on\r\n",
		"a vast literal": "* 1 FETCH (BODY[] {99999999999}\r\n", "an empty line": "\r\n", "silence": "* OK half",
	} {
		target, _ := script(t, "* OK ready\r\n"+answer, nil)
		ctx, cancel := context.WithCancel(t.Context())
		m, err := DialIMAP(ctx, target)
		if err != nil {
			t.Fatal(err)
		}
		if name == "silence" {
			cancel() // it would wait for the command's time otherwise
		}
		if _, err := m.Do("NOOP", nil); err == nil {
			t.Errorf("%s: no error", name)
		}
		cancel()
		m.Close()
	}
}

func TestAppendWaitsWhereTheServerDoesNotOfferOtherwise(t *testing.T) {
	for _, caps := range []string{"IMAP4rev1", "IMAP4rev1 LITERAL+"} {
		m, heard := imapTo(t, map[string]string{"LOGIN": "TAG OK [CAPABILITY " + caps + "] in\r\n", "APPEND": "+ go on\r\n", "BODY": "b2 OK done\r\n"})
		plus := strings.Contains(caps, "+")
		if plus {
			m, heard = imapTo(t, map[string]string{"LOGIN": "TAG OK [CAPABILITY " + caps + "] in\r\n", "BODY": "b2 OK done\r\n"})
		}
		if err := m.Login("a", `p"w\`); err != nil {
			t.Fatal(err)
		}
		if err := m.Append("Ent würfe", Message{Flags: `\Seen`, Bytes: []byte("BODY")}); err != nil {
			t.Fatal(err)
		}
		suffix := "{4}"
		if plus {
			suffix = "{4+}"
		}
		want := []string{`b1 LOGIN "a" "p\"w\\"`, `b2 APPEND "Ent würfe" (\Seen) ` + suffix, "BODY"}
		if strings.Join(*heard, "|") != strings.Join(want, "|") {
			t.Errorf("%q", *heard)
		}
	}
}

func TestCountsOfMailboxes(t *testing.T) {
	m, _ := imapTo(t, map[string]string{
		"STATUS": "* STATUS \"a (UNSEEN 9) b\" (UNSEEN 12)\r\nTAG OK\r\n",
		"SELECT": "* FLAGS ()\r\n* 17 EXISTS\r\n* 0 RECENT\r\nTAG OK [READ-WRITE] x\r\n", "EXAMINE": "TAG OK\r\n",
	})
	if n, err := m.Status("a (UNSEEN 9) b", "UNSEEN"); n != 12 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if n, err := m.Select("INBOX", false); n != 17 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if _, err := m.Select("INBOX", true); err == nil {
		t.Error("no EXISTS: no error")
	}
}

func TestAnswersAreTakenApart(t *testing.T) {
	a := Answer{Text: []byte("12 FETCH (FLAGS (\\Seen \\Flagged) UID 7)")}
	n, word, rest, ok := a.Numbered()
	if !ok || n != 12 || !Is(word, "fetch") || !Has(rest, `\Flagged`) || Has(rest, `\Flag`) || Has(rest, "ID") {
		t.Errorf("%d %s %s", n, word, rest)
	}
	if v, ok := Value(rest, "UID"); !ok || v != 7 {
		t.Errorf("UID %d", v)
	}
	if _, ok := Value([]byte("(RFC822.SIZES 3)"), "RFC822.SIZE"); ok {
		t.Error("another name was taken")
	}
	var sum uint32
	if err := Numbers([]byte("1 2 30 (MODSEQ 9)"), func(n uint32) error { sum += n; return nil }); err != nil || sum != 33 {
		t.Errorf("%d %v", sum, err)
	}
	if err := Numbers([]byte("1 x"), func(uint32) error { return nil }); err == nil {
		t.Error("no error")
	}
}

func TestPOP3(t *testing.T) {
	target, heard := script(t, "+OK ready\r\n", map[string]string{
		"USER": "+OK\r\n", "PASS": "+OK in\r\n", "STAT": "+OK 2 30\r\n", "LIST": "+OK\r\n1 10\r\n2 20\r\n.\r\n",
		"RETR": "+OK 10 octets\r\nA: b\r\n\r\n..\r\n.x\r\n.\r\n", "DELE": "-ERR [IN-USE] no\r\n", "QUIT": "+OK\r\n",
	})
	p, err := DialPOP3(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Login("alice", "secret word"); err != nil {
		t.Fatal(err)
	}
	n, octets, err := p.Stat()
	if n != 2 || octets != 30 || err != nil {
		t.Errorf("%d %d %v", n, octets, err)
	}
	var list string
	if err := p.List("LIST", func(n int64, v []byte) error { list += fmt.Sprintf("%d=%s ", n, v); return nil }); err != nil || list != "1=10 2=20 " {
		t.Errorf("%q %v", list, err)
	}
	if got, err := p.Retrieve(1); got != int64(len("A: b\r\n\r\n.\r\nx\r\n")) || err != nil {
		t.Errorf("%d %v", got, err)
	}
	if _, err := p.Do("DELE 1"); err == nil || !strings.Contains(err.Error(), "IN-USE") {
		t.Errorf("%v", err)
	}
	if err := p.Quit(); err != nil {
		t.Error(err)
	}
	if (*heard)[1] != "PASS secret word" {
		t.Errorf("%q", *heard)
	}
}
