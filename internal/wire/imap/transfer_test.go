package imap

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"
)

func decoded(t testing.TB, r io.Reader) string {
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A text whose encoding is not quite right ended where the fault was: BINARY showed half of it as the whole, SEARCH did not
// find the rest.
func TestBrokenTransferEncodingHidesNoText(t *testing.T) {
	long := strings.Repeat("long ", 2000)
	for in, want := range map[string]string{
		"form\x0cfeed =3D =\r\nsoft": "form\x0cfeed = soft",
		"a =ZZ b=3 c=":               "a =ZZ b=3 c",
		"soft = \t\r\nbreak":         "soft break",
		"blanks \t\r\nend  \n":       "blanks\r\nend\n",
		long + "=41":                 long + "A",
		"bare\rcr \r x":              "bare\rcr \r x",
		"==3D=\n=e4=E4=4":            "==\xe4\xe4=4",
		"= x":                        "= x",
		"=3\r\nx":                    "=3\r\nx",
	} {
		if got := decoded(t, newQuotedPrintable(strings.NewReader(in))); got != want {
			t.Errorf("%.40q: %.60q, want %.60q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"aGVsbG8g d29y\tbGQ=\r\n":   "hello world",
		"aGVsbG8gd29ybGQ":           "hello world",
		"aGVsbG8=\r\nIHdvcmxk\r\n!": "hello world",
		"":                          "",
	} {
		if got := decoded(t, newBase64(strings.NewReader(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// What the standard library encodes comes back; any text gives the same however it comes in, and nothing grows.
func FuzzTransfer(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, decode := range []func(io.Reader) io.Reader{newBase64, newQuotedPrintable} {
			whole := decoded(t, decode(bytes.NewReader(text)))
			if len(whole) > len(text) || whole != decoded(t, decode(iotest.OneByteReader(bytes.NewReader(text)))) {
				t.Fatalf("%q: %q", text, whole)
			}
		}
		if got := decoded(t, newBase64(strings.NewReader(base64.StdEncoding.EncodeToString(text)))); got != string(text) {
			t.Fatalf("base64 of %q: %q", text, got)
		}
		var b bytes.Buffer
		w := quotedprintable.NewWriter(&b)
		w.Binary = true
		_, _ = w.Write(text) // into memory
		_ = w.Close()
		if got := decoded(t, newQuotedPrintable(&b)); got != string(text) {
			t.Fatalf("quoted-printable of %q: %q", text, got)
		}
	})
}
