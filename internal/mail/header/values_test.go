package header

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestDecodeWords(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                                 "plain",
		"=?ISO-8859-1?Q?Patrik_F=E4ltstr=F6m?=": "Patrik Fältström",
		"=?utf-8?B?w4TDlg==?= =?utf-8?B?w5w=?=": "ÄÖÜ",
		"a =?utf-8?q?b?= c":                     "a b c",
		"=?utf-8?q?a?=\t =?utf-8?q?b?= x":       "ab x",
		"=?utf-8?b?w4?= =?utf-8?b?Q?=":          "\ufffd",
		"=?utf-8?q?=C3?= =?utf-8?q?=A4?=":       "ä", // a character split over two words
		"=?utf-8*en?q?lang?=":                   "lang",
		"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=":    "日本",
		"=?gb2312?B?1tDOxA==?=":                 "中文",
		"=?koi8-r?q?=D0=D2=C9?=":                "при",
		"=?nonsense?q?a=E4?=":                   "a\ufffd",
		"=?utf-8?x?a?=":                         "=?utf-8?x?a?=",
		"=?utf-8?q?open":                        "=?utf-8?q?open",
		"=?utf-8?q?what??=":                     "what?",
		"=?utf-8?q?with space?=":                "with space",
		"=?=?=?=":                               "=?=?=?=",
		"=?utf-8?q??=x":                         "x",
		"raw ü":                                 "raw ü",
		"raw \xfc":                              "raw ü",
		"=?utf-8?q?a=0D=0ABcc:_x?=":             "a  Bcc: x",
		"[list] =?utf-8?q?=3D=3F?=":             "[list] =?",
		"(=?utf-8?q?x?=)":                       "(x)",
	} {
		if got := DecodeWords(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestEncodeWords(t *testing.T) {
	for in, want := range map[string]string{
		"plain text": "plain text", "Köln": "=?utf-8?b?S8O2bG4=?=", "日本": "=?utf-8?b?5pel5pys?=", "=?x": "=?utf-8?b?PT94?=", "Grüße, Anna": "=?utf-8?b?R3LDvMOfZSwgQW5uYQ==?=", "Schöne Grüße aus der Stadt": "=?utf-8?q?Sch=C3=B6ne_Gr=C3=BC=C3=9Fe_aus_der_Stadt?=",
	} {
		if got := EncodeWords(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	for _, in := range []string{strings.Repeat("ü", 500), strings.Repeat("long text ñ ", 80), strings.Repeat("漢字 ", 90)} {
		enc := EncodeWords(in)
		for word := range strings.SplitSeq(enc, " ") {
			if len(word) > maxWord || DecodeWords(word) == word {
				t.Fatalf("word %q", word)
			}
		}
		if DecodeWords(enc) != in {
			t.Fatalf("%q came back as %q", in, DecodeWords(enc))
		}
	}
}

func TestParams(t *testing.T) {
	for in, want := range map[string]string{
		`text/plain`:                                               "text/plain",
		`Text/HTML; Charset="utf-8"`:                               "text/html charset=utf-8",
		` multipart/mixed ;boundary=a;;x=y `:                       "multipart/mixed boundary=a x=y",
		`text/plain; charset=us-ascii (Plain text)`:                "text/plain charset=us-ascii",
		`text (a) / (b) plain (c); (d) a (e) = (f) b (g); c="d;e"`: "text/plain a=b c=d;e",
		`application/pdf; name=My File (1).pdf; x=1`:               "application/pdf name=My File (1).pdf x=1",
		`a/b; name="no end`:                                        "a/b name=no end",
		`a/b; name="q\"q\\"`:                                       `a/b name=q"q\`,
		`a/b; novalue; x=1`:                                        "a/b x=1",
		`a/b; x=`:                                                  "a/b x=",
		`a/b; f*0="one "; f*1="two"; y=z`:                          "a/b f=one two y=z",
		`a/b; f*1*=%20c; f*0*=utf-8'en'%c3%a4; f*2=d%`:             "a/b f*=utf-8'en'%c3%a4%20cd%25",
		`a/b; f*=utf-8''x%20y; f="x y"`:                            "a/b f*=utf-8''x%20y f=x y",
		`a/b; f*1=lost`:                                            "a/b f=",
		`text`:                                                     "-", `/plain`: "-", ``: "-", `text/`: "-",
	} {
		typ, sub, params, ok := ParseContentType(in)
		got := "-"
		if ok {
			got = typ + "/" + sub
			for _, p := range params {
				got += fmt.Sprintf(" %s=%s", p.Name, p.Value)
			}
		}
		if got != want {
			t.Errorf("%s:\n got %q\nwant %q", in, got, want)
		}
	}
	_, params := ParseToken(`Attachment; filename*0*=iso-8859-1''%E4; filename*1=b.txt; name="=?utf-8?q?=C3=B6?="`)
	if v, ok := Get(params, "filename"); v != "äb.txt" || !ok {
		t.Errorf("filename %q", v)
	}
	if v, _ := Get(params, "name"); v != "ö" {
		t.Errorf("name %q", v)
	}
	if tok, _ := ParseToken(` "inline" `); tok != "inline" {
		t.Errorf("token %q", tok)
	}
}

func TestFormatParam(t *testing.T) {
	for _, v := range []string{"simple", "two words", `q"\`, "naïve; file.txt", "", "a\"ü"} {
		_, params := ParseToken("attachment" + FormatParam("filename", v))
		if got, ok := Get(params, "filename"); got != v || !ok {
			t.Errorf("%q: %q via %q", v, got, FormatParam("filename", v))
		}
	}
}

func TestParseDate(t *testing.T) {
	for in, want := range map[string]string{
		"Fri, 21 Nov 1997 09:55:06 -0600":              "1997-11-21T09:55:06-06:00",
		"21 Nov 97 09:55 GMT":                          "1997-11-21T09:55:00Z",
		"Fri, 21 Nov 1997 09(comment):55:06 -0600":     "-",
		"Thu,\t13 Feb 1969 23:32:54 -0330 (NFT)":       "1969-02-13T23:32:54-03:30",
		"Mon Jan  5 10:11:12 2004":                     "2004-01-05T10:11:12Z",
		"Mon Jan  5 10:11:12 PST 2004":                 "2004-01-05T10:11:12-08:00",
		"5-Jan-2004 10:11:12 +0100":                    "2004-01-05T10:11:12+01:00",
		"Sun, 1 Feb 103 00:00:00 EST":                  "2003-02-01T00:00:00-05:00",
		"Sun, 1 February 2003 1:02:03 +01:00":          "2003-02-01T01:02:03+01:00",
		"1 Feb 2003 01:02:03 GMT+0200":                 "2003-02-01T01:02:03+02:00",
		"1 Feb 2003 01:02:03+0200":                     "2003-02-01T01:02:03+02:00",
		"1 Feb 2003 01:02:03 Nowhere":                  "2003-02-01T01:02:03Z",
		"1 Feb 2003":                                   "2003-02-01T00:00:00Z",
		"31 Dec 2016 23:59:60 +0000":                   "2017-01-01T00:00:00Z",
		"30 Feb 2003 01:02:03 +0000":                   "-",
		"1 Feb 2003 25:02:03 +0000":                    "-",
		"":                                             "-",
		"tomorrow":                                     "-",
		"99999999999999999999 Feb 2003 01:02:03 +0000": "-",
	} {
		got := "-"
		if d, ok := ParseDate(in); ok {
			got = d.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	d := time.Date(2024, 2, 29, 1, 2, 3, 0, time.FixedZone("", -9*3600-1800))
	if back, ok := ParseDate(FormatDate(d)); !ok || !back.Equal(d) || FormatDate(d) != "Thu, 29 Feb 2024 01:02:03 -0930" {
		t.Errorf("%s", FormatDate(d))
	}
}

func TestMessageIDs(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"<a@b> <c@d>\t<e@f>", 10, "a@b|c@d|e@f"}, {"<a@b> <c@d><e@f>", 2, "c@d|e@f"}, {"", 2, ""},
		{"Your message of today <x@y> (was <z@w>)", 9, "x@y|z@w"}, {"bare@id", 9, "bare@id"}, {"nothing here", 9, ""},
		{"<a @b>", 9, "a@b"}, {"<broken <a@b>", 9, "a@b"}, {"<open@end", 9, "open@end"}, {"<>", 9, ""},
		{"<" + strings.Repeat("x", 2000) + "@y>", 9, ""},
	} {
		if got := strings.Join(MessageIDs(c.in, c.limit), "|"); got != c.want {
			t.Errorf("%q: %q", c.in, got)
		}
	}
}

// Any text comes back from its encoded words; decoding never gives control characters or invalid UTF-8.
func FuzzWords(f *testing.F) {
	f.Add("=?utf-8?q?a?= b")
	f.Fuzz(func(t *testing.T, s string) {
		text := DecodeWords(s)
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\r\n\x00") {
			t.Fatalf("%q decoded to %q", s, text)
		}
		if len(text) > 3*len(s)+3 {
			t.Fatalf("%d octets became %d", len(s), len(text))
		}
		enc := EncodeWords(text)
		if back := DecodeWords(enc); back != text {
			t.Fatalf("%q encoded as %q came back as %q", text, enc, back)
		}
		if !isPlain(enc) && !strings.HasPrefix(enc, "=?utf-8?") {
			t.Fatalf("encoded as %q", enc)
		}
		field := AppendText(nil, "Subject", text)
		h, err := Parse(field, len(field))
		if err != nil || len(h.Fields) != 1 {
			t.Fatalf("field %q", field)
		}
		for line := range strings.SplitSeq(string(field), "\r\n") {
			if len(line) > maxLine || strings.ContainsAny(line, "\r\n") {
				t.Fatalf("line %q", line)
			}
		}
		_, _, params, _ := ParseContentType(s)
		for _, p := range params {
			if v, ok := Get(params, strings.TrimSuffix(p.Name, "*")); !ok || !utf8.ValidString(v) {
				t.Fatalf("parameter %q: %q", p.Name, v)
			}
		}
		if d, ok := ParseDate(s); ok {
			if back, ok := ParseDate(FormatDate(d)); !ok || !back.Equal(d) {
				t.Fatalf("date %v", d)
			}
		}
	})
}
