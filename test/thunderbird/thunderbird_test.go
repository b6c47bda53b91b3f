package thunderbird

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/smtp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/postrider/postrider/test/interop/system"
)

// TestThunderbird is one person's first day.
func TestThunderbird(t *testing.T) {
	if !inside(t) {
		return
	}
	s := startSystem(t)
	dns := serveDNS(t, s)
	tb := startThunderbird(t, s)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *system.System, *marionette)
	}{{"set-up", setsItselfUp}, {"send", sends}, {"receive", receives}, {"file", files}, {"search", searches}, {"offline", goesOffline}} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, s, tb) }) {
			return // what follows needs it
		}
	}
	t.Logf("asked of the DNS: %v", slices.Sorted(maps.Keys(dns.Queries())))
}

// Name, address and password are all that a person gives.
func setsItselfUp(t *testing.T, s *system.System, tb *marionette) {
	tb.screenshot(t, "01-start")
	var seen, settings string
	tb.run(t, &seen, setUp, "Alice Example", s.Alice.Address, s.Alice.Password)
	for _, want := range []string{"mail.here.example Port: 20993 Security: SSL/TLS", "Port: 20465"} {
		if !strings.Contains(seen, want) {
			t.Errorf("no %q in what was found: %s", want, seen)
		}
	}
	tb.screenshot(t, "02-set-up")
	tb.run(t, nil, finish)
	tb.run(t, &settings, settingsNow)
	// 3: TLS from the first byte; 3: normal password.
	want := "imap mail.here.example 20993 3 3 alice@here.example mail.here.example 20465 3 3 alice@here.example"
	if settings != want {
		t.Errorf("settings %s\nwant     %s", settings, want)
	}
}

// A message goes out, and a copy into Sent.
func sends(t *testing.T, s *system.System, tb *marionette) {
	tb.run(t, nil, write, s.Bob.Address, "Grüße from Thunderbird", "It works: ¡olé!\n.\nlast line", "cmd_sendNow")
	s.Await(t, s.Bob, "INBOX", 1)
	s.Await(t, s.Alice, "Sent", 1)
	bob, alice := s.IMAP(t, s.Bob), s.IMAP(t, s.Alice)
	got, kept := system.Bodies(t, bob, "INBOX")[0], system.Bodies(t, alice, "Sent")[0]
	for _, want := range []string{"olé!", "last line", "User-Agent: Mozilla Thunderbird", "From: Alice Example <alice@here.example>"} {
		if !bytes.Contains(got, []byte(want)) || !bytes.Contains(kept, []byte(want)) {
			t.Errorf("no %q in\n%s\nor in\n%s", want, got, kept)
		}
	}
}

// stranger sends a message from outside.
func stranger(t *testing.T, s *system.System, subject, body string) {
	t.Helper()
	text := fmt.Sprintf("From: Bob <bob@far.example>\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%d@far.example>\r\nDate: %s\r\n\r\n%s\r\n",
		s.Alice.Address, subject, time.Now().UnixNano(), time.Now().Format(time.RFC1123Z), body)
	c, err := smtp.Dial(s.Listeners["smtp"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w, err := func() (io.WriteCloser, error) {
		if err := errors.Join(c.Mail("bob@far.example"), c.Rcpt(s.Alice.Address)); err != nil {
			return nil, err
		}
		return c.Data()
	}()
	if err == nil {
		_, err = io.WriteString(w, text)
		err = errors.Join(err, w.Close(), c.Quit())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A message comes in by itself, is read, and is then read for every other client.
func receives(t *testing.T, s *system.System, tb *marionette) {
	for _, m := range []struct{ subject, body string }{{"first", "the quick brown fox"}, {"second", "jumps over the lazy dog"}, {"third", "a needle in a haystack"}} {
		stranger(t, s, m.subject, m.body)
	}
	tb.run(t, nil, arrive, "INBOX", 3)
	var text string
	tb.run(t, &text, read, "second")
	if !strings.Contains(text, "jumps over the lazy dog") {
		t.Errorf("shown: %q", text)
	}
	tb.screenshot(t, "03-read")
	awaitFlag(t, s, "INBOX", "second", imap.FlagSeen)
}

// A new folder, and a message in it.
func files(t *testing.T, s *system.System, tb *marionette) {
	tb.run(t, nil, file, "first", "Projects")
	s.Await(t, s.Alice, "Projects", 1)
	s.Await(t, s.Alice, "INBOX", 2)
	tb.run(t, nil, arrive, "Projects", 1)
	tb.screenshot(t, "04-filed")
}

// The server searches bodies.
func searches(t *testing.T, _ *system.System, tb *marionette) {
	for word, want := range map[string][]string{"needle": {"third"}, "LAZY DOG": {"second"}, "nowhere": {}} {
		var got []string
		tb.run(t, &got, search, "INBOX", word)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

// What is done offline happens when the line is back, and what happened meanwhile is seen.
func goesOffline(t *testing.T, s *system.System, tb *marionette) {
	tb.run(t, nil, offline)
	tb.run(t, nil, mark, "INBOX", "third")
	tb.run(t, nil, file, "second", "Projects")
	tb.run(t, nil, write, s.Bob.Address, "written offline", "sent later", "cmd_sendLater")
	tb.screenshot(t, "05-offline")
	stranger(t, s, "meanwhile", "came while the line was cut")
	s.Await(t, s.Alice, "INBOX", 3)
	s.Await(t, s.Alice, "Projects", 1)
	s.Await(t, s.Bob, "INBOX", 1)
	if has(t, s, "INBOX", "third", imap.FlagFlagged) {
		t.Error("marked while offline")
	}

	tb.run(t, nil, online)
	s.Await(t, s.Alice, "Projects", 2)
	s.Await(t, s.Alice, "INBOX", 2)
	s.Await(t, s.Bob, "INBOX", 2)
	s.Await(t, s.Alice, "Sent", 2)
	awaitFlag(t, s, "INBOX", "third", imap.FlagFlagged)
	// The session that replays goes on to IDLE: it has seen that a message came, and fetches its header when somebody asks.
	tb.run(t, nil, fetch)
	tb.run(t, nil, arrive, "INBOX", 2)
	var got []string
	if tb.run(t, &got, stars, "INBOX"); !slices.Equal(got, []string{"third"}) {
		t.Errorf("stars: %q", got)
	}
	tb.screenshot(t, "06-online")
}

// has tells whether the message with a subject has a flag.
func has(t *testing.T, s *system.System, mailbox, subject string, flag imap.Flag) bool {
	t.Helper()
	c := s.IMAP(t, s.Alice)
	defer c.Close()
	if _, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		t.Fatal(err)
	}
	found, err := c.Search(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: subject}}, Flag: []imap.Flag{flag}}, nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	return len(found.AllSeqNums()) == 1
}

func awaitFlag(t *testing.T, s *system.System, mailbox, subject string, flag imap.Flag) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !has(t, s, mailbox, subject, flag); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s in %s has no %s", subject, mailbox, flag)
		}
	}
}
