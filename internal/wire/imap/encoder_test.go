package imap

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/mime"
)

func encode(wide bool, write func(e *encoder)) string {
	var b bytes.Buffer
	e := encoder{Writer: bufio.NewWriter(&b), utf8: wide}
	write(&e)
	e.Flush()
	return b.String()
}

func TestString(t *testing.T) {
	long := strings.Repeat("x", 1001)
	for _, c := range []struct {
		in, narrow, wide string
	}{
		{"", `""`, `""`},
		{"plain", `"plain"`, `"plain"`},
		{`a "b" \c`, `"a \"b\" \\c"`, `"a \"b\" \\c"`},
		{"a\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb"},
		{"a\x00b", "{3}\r\na?b", "{3}\r\na?b"},
		{"Grüße", "{7}\r\nGrüße", `"Grüße"`},
		{"\xff", "{1}\r\n\xff", "{1}\r\n\xff"},
		{long, "{1001}\r\n" + long, "{1001}\r\n" + long},
	} {
		if got := encode(false, func(e *encoder) { e.string(c.in) }); got != c.narrow {
			t.Errorf("%q: %q, want %q", c.in, got, c.narrow)
		}
		if got := encode(true, func(e *encoder) { e.string(c.in) }); got != c.wide {
			t.Errorf("%q with UTF-8: %q, want %q", c.in, got, c.wide)
		}
	}
}

func TestMailboxNames(t *testing.T) {
	for _, c := range []struct{ in, narrow, wide string }{
		{"INBOX", "INBOX", "INBOX"},
		{"Sent Items", `"Sent Items"`, `"Sent Items"`},
		{"nil", `"nil"`, `"nil"`},
		{"a&b", "a&-b", "a&b"},
		{"Entwürfe", "Entw&APw-rfe", `"Entwürfe"`},
		{`q"q`, `"q\"q"`, `"q\"q"`},
	} {
		if got := encode(false, func(e *encoder) { e.mailbox(c.in) }); got != c.narrow {
			t.Errorf("%q: %q, want %q", c.in, got, c.narrow)
		}
		if got := encode(true, func(e *encoder) { e.mailbox(c.in) }); got != c.wide {
			t.Errorf("%q with UTF-8: %q, want %q", c.in, got, c.wide)
		}
	}
}

func TestUIDSet(t *testing.T) {
	for want, uids := range map[string][]uint32{"": nil, "5": {5}, "1:3,7,9:10": {1, 2, 3, 7, 9, 10}, "4,2:3": {4, 2, 3}} {
		if got := encode(false, func(e *encoder) { e.uidSet(uids) }); got != want {
			t.Errorf("%v: %s, want %s", uids, got, want)
		}
	}
}

func TestStructureExtensionData(t *testing.T) {
	m := mime.Parse([]byte("Content-Type: image/png; name=\"Gr\xc3\xbc\xc3\x9fe.png\"\r\nContent-Disposition: attachment; filename=a.png\r\n" +
		"Content-Language: de, en\r\nContent-Location: http://example.test/a\r\nContent-MD5: Q2hlY2s=\r\nContent-ID: <i@x>\r\n" +
		"Content-Description: a \"picture\"\r\nContent-Transfer-Encoding: BASE64\r\n\r\nAAAA\r\n"))
	want := `("image" "png" ("NAME" "=?utf-8?b?R3LDvMOfZS5wbmc=?=") "<i@x>" "a \"picture\"" "base64" 6 "Q2hlY2s=" ` +
		`("attachment" ("FILENAME" "a.png")) ("de" "en") "http://example.test/a")`
	if got := encode(false, func(e *encoder) { e.structure(m.Root, true) }); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := encode(true, func(e *encoder) { e.structure(m.Root, false) }); got != `("image" "png" ("NAME" "Grüße.png") "<i@x>" "a \"picture\"" "base64" 6)` {
		t.Errorf("got %s", got)
	}
}

// TestEnvelopeOfRawBytes: what is neither UTF-8 nor encoded is read as most such mail was meant.
func TestEnvelopeOfRawBytes(t *testing.T) {
	m := mime.Parse([]byte("Subject: =?utf-8?q?=C3=A9?= Stra\xdfe\r\nFrom: x@b\xc3\xbccher.example\r\n\r\n"))
	if got := encode(false, func(e *encoder) { e.envelope(&m.Envelope) }); !strings.Contains(got, `"xn--bcher-kva.example"`) ||
		strings.ContainsFunc(got, func(r rune) bool { return r >= 0x80 }) || strings.Contains(got, "{") {
		t.Error(got)
	}
	if got := encode(true, func(e *encoder) { e.envelope(&m.Envelope) }); !strings.Contains(got, "Straße") || !strings.Contains(got, "bücher.example") {
		t.Error(got)
	}
}

func TestStreamThatFailsInTheMiddle(t *testing.T) {
	var b bytes.Buffer
	e := encoder{Writer: bufio.NewWriter(&b)}
	if err := e.stream(strings.NewReader("short"), 0, 10); err == nil {
		t.Error("a literal of 10 bytes out of 5")
	}
}

func TestNamespacesNames(t *testing.T) {
	plain := Namespaces{Separator: "/"}
	courier := Namespaces{Separator: ".", Personal: "INBOX.", Other: "user.", Shared: "shared."}
	for _, c := range []struct {
		ns   Namespaces
		in   string
		want Name // nil: refused
		show string
	}{
		{plain, "inbox", Name{"INBOX"}, "INBOX"},
		{plain, "Inbox/a", Name{"INBOX", "a"}, "INBOX/a"},
		{plain, "a/b/", Name{"a", "b"}, "a/b"},
		{plain, "e\u0301", Name{"\u00e9"}, "\u00e9"},
		{plain, "", nil, ""},
		{plain, "/a", nil, ""},
		{plain, "a\tb", nil, ""},
		{plain, "a\u2028b", nil, ""},
		{plain, strings.Repeat("a/", 41) + "a", nil, ""},
		{plain, strings.Repeat("a", 1001), nil, ""},
		{courier, "user.bob.x", Name{"user", "bob", "x"}, "user.bob.x"},
		{courier, "a", nil, ""},
	} {
		got, err := c.ns.name(c.in)
		if (err == nil) != (c.want != nil) || !equalNames(got, c.want) {
			t.Errorf("%q: %q, %v", c.in, got, err)
			continue
		}
		if err == nil && c.ns.show(got) != c.show {
			t.Errorf("%q shows as %q", c.in, c.ns.show(got))
		}
	}
}

func TestMatchPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a/b", true}, {"%", "a/b", false}, {"%", "a", true}, {"a/%", "a/b", true}, {"a*c", "a/b/c", true}, {"a%c", "a/c", false},
		{"inbox", "INBOX", true}, {"InB%", "INBOX", true}, {"inbox/*", "INBOX/a", true}, {"Sent", "sent", false}, {"%/%", "a/b", true},
		{"", "a", false}, {"*%*%*", "abc", true}, {"%b", "ab", true}, {"a", "ab", false},
	} {
		if got := matchPattern(c.pattern, c.name, "/"); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.name, got)
		}
	}
	// Many wildcards cost no more than pattern × name.
	matchPattern(strings.Repeat("*%a", 300), strings.Repeat("a", 900)+"b", "/")
}

func TestWithCode(t *testing.T) {
	if err := withCode(ErrNonexistent, "NONEXISTENT", "TRYCREATE"); asFailure(err).code != "TRYCREATE" {
		t.Error(err)
	}
	if err := withCode(errors.New("x"), "NONEXISTENT", "TRYCREATE"); asFailure(err).code != "UNAVAILABLE" {
		t.Error(err)
	}
	if withCode(nil, "A", "B") != nil {
		t.Error("nil is no failure")
	}
}
