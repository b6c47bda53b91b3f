package repair

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/mail/recipe"
)

func apply(t *testing.T, text string, domain string, m Message) string {
	t.Helper()
	h, err := header.Parse([]byte(text), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	e := Complete(h, m)
	if domain != "" {
		Qualify(&e, h, domain)
	}
	_, block, err := e.Apply(h, recipe.BlobRef{Pack: 1, Length: int64(len(text))})
	if err != nil {
		t.Fatal(err)
	}
	return string(block)
}

func TestComplete(t *testing.T) {
	m := Message{ID: queueid.New(1, 2), Now: time.Unix(0, 0).UTC(), Hostname: "mx.example", From: header.Mailbox{Name: "Jürgen, \"J\"", Local: "j", Domain: "x.example"}}
	id := "Message-ID: <" + m.ID.String() + "@mx.example>\r\n"
	const date = "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n"
	for in, want := range map[string]string{
		"\r\n": "From: =?utf-8?b?SsO8cmdlbiwgIkoi?= <j@x.example>\r\n" + date + id + "\r\n",
		"from: a@b.example\r\nBCC: x\r\nTo: y\r\nbcc: z\r\n\r\n":    date + id + "from: a@b.example\r\nTo: y\r\n\r\n",
		"From: a@b.example\r\nDate: x\r\nMessage-Id: <y@z>\r\n\r\n": "From: a@b.example\r\nDate: x\r\nMessage-Id: <y@z>\r\n\r\n",
	} {
		if got := apply(t, in, "", m); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	m.From = header.Mailbox{}
	if got := apply(t, "\r\n", "", m); got != date+id+"\r\n" {
		t.Errorf("without an author: %q", got)
	}
}

func TestQualify(t *testing.T) {
	const rest = "Date: x\r\nMessage-ID: <y@z>\r\n"
	for in, want := range map[string]string{
		"From: root (Cron Daemon)\r\nTo: root\r\n":              "From: Cron Daemon <root@h.example>\r\nTo: root@h.example\r\n" + rest,
		"From: a@b.example\r\nTo: b@c.example,\r\n d\r\n":       "To: b@c.example, d@h.example\r\nFrom: a@b.example\r\n" + rest,
		"From: a@b.example\r\nTo: b@c.example,\r\n d@e.f\r\n":   "From: a@b.example\r\nTo: b@c.example,\r\n d@e.f\r\n" + rest,
		"From: =?utf-8?q?J=C3=BC?= <j>\r\n":                     "From: =?utf-8?b?SsO8?= <j@h.example>\r\n" + rest,
		"From: a@b.example\r\nTo: undisclosed-recipients:;\r\n": "From: a@b.example\r\nTo: undisclosed-recipients:;\r\n" + rest,
		"From: a@b.example\r\nCc: Team: x, y;, z@w.v\r\n":       "Cc: Team: x@h.example, y@h.example;, z@w.v\r\nFrom: a@b.example\r\n" + rest,
		"From: <>\r\n": "From: <>\r\n" + rest,
	} {
		if got := apply(t, in+rest+"\r\n", "h.example", Message{}); got != want+"\r\n" {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// So many names of users made a header that could not be written, and the message was refused.
func TestQualifyHasABound(t *testing.T) {
	long := "To: " + strings.Repeat("a-user-of-this-system-with-quite-a-long-name,\r\n ", 900) + "x\r\n"
	const rest = "Date: x\r\nMessage-ID: <y@z>\r\n\r\n"
	if got, want := apply(t, "From: root\r\n"+long+rest, "h.example", Message{}), "From: root@h.example\r\n"+long+rest; got != want {
		t.Errorf("%.200q, want %.200q", got, want)
	}
}
