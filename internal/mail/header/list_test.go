package header

import (
	"strings"
	"testing"
	"time"
)

func show(list []Mailbox) string {
	var out []string
	for _, m := range list {
		switch m.Kind {
		case GroupStart:
			out = append(out, "{"+m.Name)
		case GroupEnd:
			out = append(out, "}")
		default:
			out = append(out, m.Name+"~"+m.Local+"~"+m.Domain)
		}
	}
	return strings.Join(out, " | ")
}

func TestParseList(t *testing.T) {
	for in, want := range map[string]string{
		"": "", ",, ,": "",
		"alice@example.org":                        "~alice~example.org",
		"Alice <alice@example.org>, bob@b.example": "Alice~alice~example.org | ~bob~b.example",
		`"Doe, John" <j@x.example>`:                "Doe, John~j~x.example",
		"John Q. Public <j@x>":                     "John Q. Public~j~x",
		"J.Doe <j@x>":                              "J.Doe~j~x",
		"j@x (John Doe)":                           "John Doe~j~x",
		"<j@x> (John)":                             "John~j~x",
		"joe . bloggs @ example . com":             "~joe.bloggs~example.com",
		"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>":                                                                                     "Pete~pete~silly.test",
		"A Group(Some people):Chris Jones <c@(Chris's host.)public.example>, joe@example.org, John <jdoe@one.test> (my dear friend); (the end of the group)": "{A Group | Chris Jones~c~public.example | ~joe~example.org | John~jdoe~one.test | }",
		"Undisclosed recipients:;":           "{Undisclosed recipients | }",
		"a: b@c; d@e":                        "{a | ~b~c | } | ~d~e",
		"a: b@c":                             "{a | ~b~c | }",
		"=?utf-8?q?Doe,_John?= <j@x>":        "=?utf-8?q?Doe,_John?=~j~x",
		"=?utf-8?q?a?= =?utf-8?q?b?= <j@x>":  "=?utf-8?q?a?= =?utf-8?q?b?=~j~x",
		`"quoted local"@x`:                   "~quoted local~x",
		`"a@b"@c`:                            "~a@b~c",
		"<@a,@b:c@d>":                        "~c~d",
		"Mary <@node.test:mary@example.net>": "Mary~mary~example.net",
		"user@[192.0.2.1]":                   "~user~[192.0.2.1]",
		"<user@[IPv6:2001:db8::1]>":          "~user~[IPv6:2001:db8::1]",
		"<>":                                 "~~",
		"MAILER-DAEMON":                      "~MAILER-DAEMON~",
		"Name <local>":                       "Name~local~",
		"Joe <a@b, c@d":                      "Joe~a~b | ~c~d",
		"<a@b> <c@d>":                        "~a~b | ~c~d",
		"a@b@c":                              "~a~b@c",
		"a@b; c@d":                           "~a~b | ~c~d",
		"(((((":                              "",
		`"no end`:                            "~no end~",
		"Grüße <ü@ü.example>":                "Grüße~ü~ü.example",
		"mailto:a@b":                         "{mailto | ~a~b | }",
		`"" <a@b>`:                           "~a~b",
		"<<a@b>>":                            "~a~b",
		"a b c":                              "~a b c~",
	} {
		if got, _ := ParseList(in, 100); show(got) != want {
			t.Errorf("%s\n got %s\nwant %s", in, show(got), want)
		}
	}
	if got, more := ParseList("a@b, c@d, e@f", 2); len(got) != 2 || !more {
		t.Errorf("limit: %v %v", got, more)
	}
}

func TestMailboxAddress(t *testing.T) {
	list, _ := ParseList(`X <"a b"@Example.ORG>, y@, z, a@b@c`, 9)
	if a, err := list[0].Address(); err != nil || a.String() != `"a b"@example.org` {
		t.Errorf("%v %v", a, err)
	}
	for _, m := range list[1:] {
		if a, err := m.Address(); err == nil {
			t.Errorf("%+v became %v", m, a)
		}
	}
}

func TestFormatList(t *testing.T) {
	list := []Mailbox{{Name: "Doe, John", Local: "j d", Domain: "x.example"}, {Local: "a", Domain: "b"},
		{Kind: GroupStart, Name: "Les élèves"}, {Name: "É", Local: "e", Domain: "f"}, {Kind: GroupEnd}, {Local: "z", Domain: "y"}}
	got := FormatList(list)
	want := `"Doe, John" <"j d"@x.example>, a@b, =?utf-8?q?Les_=C3=A9l=C3=A8ves?=: =?utf-8?b?w4k=?= <e@f>;, z@y`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A hostile list must not cost more than a long one: time grows with the length, not with its square, which would be
// minutes here. The bound is far above what any machine needs.
func TestListIsLinear(t *testing.T) {
	for _, piece := range []string{"(", "=?a?q?,", "<", "\"\\", "a(", "@", "a:", "=?", "a@[", "<@a,", "a <b (", ";x:"} {
		s := strings.Repeat(piece, 256<<10/len(piece))
		start := time.Now()
		ParseList(s, 1<<20)
		DecodeWords(s)
		ParseContentType("a/b; x=" + strings.ReplaceAll(s, ",", ";"))
		MessageIDs(s, 10)
		ParseDate(s)
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("%q repeated: %v", piece, d)
		}
	}
}

// What is written is read as the same list.
func FuzzList(f *testing.F) {
	f.Add("Alice <a@b>, c@d (Carol), g: x@y;")
	f.Fuzz(func(t *testing.T, s string) {
		list, _ := ParseList(s, 1000)
		depth := 0
		for i, m := range list {
			switch m.Kind {
			case GroupStart:
				depth++
			case GroupEnd:
				depth--
			}
			if depth < 0 || depth > 1 {
				t.Fatalf("%q: groups %v", s, list)
			}
			list[i].Name = DecodeWords(m.Name) // as it is given to FormatList
			list[i].Name = strings.TrimSpace(list[i].Name)
		}
		if depth != 0 {
			t.Fatalf("%q: open group", s)
		}
		for _, m := range list {
			if _, err := m.Address(); m.Kind == Individual && err != nil {
				return // only proper addresses are written
			}
		}
		text := FormatList(list)
		back, _ := ParseList(text, 2000)
		if len(back) != len(list) {
			t.Fatalf("%q: %q has %d entries, not %d", s, text, len(back), len(list))
		}
		for i, m := range back {
			m.Name = DecodeWords(m.Name)
			if m != list[i] {
				t.Fatalf("%q: %q: %+v, want %+v", s, text, m, list[i])
			}
		}
	})
}
