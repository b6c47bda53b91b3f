package imap

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail/mime"
	"pgregory.net/rapid"
)

// What is folded eight bytes at a time must be what fold makes of it.
func TestFoldAgreesWithFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.OneOf(rapid.RuneFrom([]rune("azAZ@[`{ \u212a\u0130e\u0301ÄßΣ\x00\x7f\r\n")), rapid.Rune())).Draw(t, "text")
		if rapid.Bool().Draw(t, "ASCII") {
			text = strings.Map(func(r rune) rune { return r & 0x7f }, text)
		}
		before := rapid.StringN(0, 9, -1).Draw(t, "before")
		if got := string(appendFold([]byte(before), []byte(text))); got != before+fold(text) {
			t.Fatalf("%q, not %q", got, before+fold(text))
		}
		needle := fold(rapid.StringN(0, 2, -1).Draw(t, "needle"))
		if containsFold(text, needle) != strings.Contains(fold(text), needle) {
			t.Fatalf("%q in %q", needle, text)
		}
	})
}

// The quick ways to a part's text and to the fields must find what the slow ones do, whatever the encoding and charset.
func TestPlainPartsReadAsTheOthers(t *testing.T) {
	bodies := []string{"Hello WORLD\r\n", "SGVsbG8gV09STEQ=\r\n", "SGVs\r\nbG8gV0\r\n9STEQ", "SGVs=bG8*gV09STEQ", "Gr\xfc\xdfe", "Gr\u00fc\u00dfe", "=48ello=20\r\n", "+AOQ-", ""}
	for _, charset := range []string{"", "us-ascii", "utf-8", "iso-8859-1", "utf-16", "utf-7", "iso-2022-jp", "strange"} {
		for _, encoding := range []string{"", "7bit", "base64", "quoted-printable", "binary", "strange"} {
			for _, body := range bodies {
				text := "Subject: =?utf-8?q?A_B?=\r\nX-Fold: One\r\n  TWO\r\nX-Raw: \u00c4\r\nContent-Type: text/plain; charset=" + charset +
					"\r\nContent-Transfer-Encoding: " + encoding + "\r\n\r\n" + body
				m := &candidate{msg: &Message{MIME: mime.Parse([]byte(text)), Body: strings.NewReader(text)}, mem: &searchMemory{}}
				slow, err := partText(m.msg.Body, m.msg.MIME.Root)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := m.partText(m.msg.MIME.Root); err != nil || string(got) != fold(slow) {
					t.Errorf("%s, %s, %q: %q, not %q: %v", charset, encoding, body, got, fold(slow), err)
				}
				for needle, want := range map[string]bool{"subject: a b": true, "one  two": true, "x-raw: \u00e4": true, "b\u00ffx-fold": false, "two\r": false} {
					if got, err := m.textMatch(TextField{All: true}, needle); err != nil || got != want {
						t.Errorf("%q: %v %v", needle, got, err)
					}
				}
			}
		}
	}
}
