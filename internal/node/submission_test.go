package node

import (
	"bytes"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// What the submission agent adds and leaves out shows in the delivered bytes, and the stored structure agrees with them.
func TestSubmissionCompletesTheMessage(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir()))
	addUser(t, n, "alice", "pw")
	addUser(t, n, "bob", "pw")
	for _, c := range []struct {
		name, message string
		has, hasNot   []string
		text          string // body of the delivered message
	}{
		{"nothing but a subject", "Subject: x\r\n\r\nhello\r\n", []string{"\r\nDate: ", "\r\nMessage-ID: <", "\r\nFrom: alice@here.example\r\n", "\r\nSubject: x\r\n"}, nil, "hello\r\n"},
		{"complete", "From: Alice <alice@here.example>\r\nDate: Sun, 22 Nov 2026 01:02:03 +0000\r\nMessage-ID: <1@x>\r\nTo: bob@here.example\r\n\r\nhello\r\n",
			[]string{"\r\nMessage-ID: <1@x>\r\n"}, []string{"\r\nMessage-ID: <4"}, "hello\r\n"},
		{"Bcc, folded, twice", "Bcc: secret@here.example,\r\n other@here.example\r\nSubject: y\r\nbcc: third@x\r\nTo: bob@here.example\r\n\r\nhello\r\n",
			[]string{"\r\nSubject: y\r\n", "\r\nTo: bob@here.example\r\n"}, []string{"secret", "third"}, "hello\r\n"},
		{"no header at all", "Dear Bob,\r\n\r\nhello\r\n", []string{"\r\nFrom: alice@here.example\r\n", "\r\nDate: "}, nil, "Dear Bob,\r\n\r\nhello\r\n"},
		{"an empty header", "\r\nhello\r\n", []string{"\r\nFrom: alice@here.example\r\n"}, nil, "hello\r\n"},
		{"only a header", "Subject: z\r\nBcc: x@y\r\n", []string{"\r\nSubject: z\r\n", "\r\nDate: "}, []string{"Bcc"}, ""},
		{"nothing left of the header", "Bcc: x@y\r\n", []string{"\r\nFrom: alice@here.example\r\n", "\r\nDate: "}, []string{"Bcc"}, ""},
		{"nothing at all", "", []string{"\r\nFrom: alice@here.example\r\n", "\r\nDate: "}, nil, ""},
		{"text that looks like fields", "Dear Bob,\r\nDate: tomorrow\r\nFrom: noon\r\n\r\nhello\r\n", []string{"\r\nFrom: alice@here.example\r\n", "\r\nDate: "}, nil,
			"Dear Bob,\r\nDate: tomorrow\r\nFrom: noon\r\n\r\nhello\r\n"},
		{"sent on", "From: alice@here.example\r\nResent-Bcc: secret@here.example\r\nResent-From: alice@here.example\r\n\r\nhello\r\n",
			[]string{"\r\nResent-From: "}, []string{"secret"}, "hello\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := submit(t, n, submission{service: "submissions", user: "alice@here.example", password: "pw"}, "alice@here.example", "bob@here.example", c.message); err != nil {
				t.Fatal(err)
			}
			k := login(t, n, "bob@here.example", "pw")
			arrived(t, k, "INBOX", 1)
			all, text := &imap.FetchItemBodySection{Peek: true}, &imap.FetchItemBodySection{Peek: true, Specifier: imap.PartSpecifierText}
			list, err := k.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{RFC822Size: true, Envelope: true, BodyStructure: &imap.FetchItemBodyStructure{},
				BodySection: []*imap.FetchItemBodySection{all, text}}).Collect()
			if err != nil || len(list) != 1 {
				t.Fatal(err)
			}
			m := list[0]
			whole := m.FindBodySection(all)
			if m.RFC822Size != int64(len(whole)) {
				t.Errorf("size %d, message of %d", m.RFC822Size, len(whole))
			}
			if got := string(m.FindBodySection(text)); got != c.text {
				t.Errorf("TEXT %q, want %q", got, c.text)
			}
			if single, ok := m.BodyStructure.(*imap.BodyStructureSinglePart); !ok || single.Size != uint32(len(c.text)) || single.Text.NumLines != int64(strings.Count(c.text, "\n")) {
				t.Errorf("structure %+v", m.BodyStructure)
			}
			if m.Envelope.MessageID == "" || m.Envelope.Date.IsZero() || len(m.Envelope.From) != 1 || m.Envelope.From[0].Addr() != "alice@here.example" {
				t.Errorf("envelope %+v", m.Envelope)
			}
			head := "\r\n" + string(whole[:len(whole)-len(c.text)])
			for _, h := range c.has {
				if !strings.Contains(head, h) {
					t.Errorf("no %q in %q", h, head)
				}
			}
			for _, h := range c.hasNot {
				if bytes.Contains(whole, []byte(h)) {
					t.Errorf("%q in %q", h, whole)
				}
			}
			if err := k.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
				t.Fatal(err)
			}
			if err := k.Expunge().Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A From field of somebody else is refused at the end of data, with the reason; a large header too, since it cannot be
// completed.
func TestSubmissionRefusesAtTheEnd(t *testing.T) {
	n, _ := start(t, testConfig(t, t.TempDir()))
	addUser(t, n, "alice", "pw")
	for _, c := range []struct{ message, want string }{
		{"From: bob@here.example\r\n\r\nx\r\n", "5.7.1 The From field"},
		{"From: alice@here.example, eve@far.example\r\n\r\nx\r\n", "5.7.1 The From field"},
		{"From: alice\r\n\r\nx\r\n", "5.6.0 The From field"},
		{"From: Eve <eve at far.example>\r\n\r\nx\r\n", "The From field"},
		{"From: <>\r\n\r\nx\r\n", "5.6.0 The From field"},
		{"Subject: " + strings.Repeat(strings.Repeat("x", 70)+"\r\n ", 4000) + "\r\n\r\nx\r\n", "5.3.4 Message header is too large"},
		{strings.Repeat("Received: by x\r\n", 101) + "\r\nx\r\n", "5.4.6 Too many hops"},
	} {
		err := submit(t, n, submission{service: "submissions", user: "alice@here.example", password: "pw"}, "alice@here.example", "alice@here.example", c.message)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: %v, want %s", c.message, err, c.want)
		}
	}
	if u, err := n.store.Usage(t.Context(), 2); err != nil || u.Messages != 0 {
		t.Errorf("refused mail was kept: %+v %v", u, err)
	}
}
