package mapconf

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/decide/table"
)

func none(string) (table.List, error) { return nil, nil }

func TestFile(t *testing.T) {
	f := Parse("# of the site\nhosts = inet:a,\n  unix:/b\n# between\n\n  c\nquery = SELECT '%s'\n    FROM $x\nlimit=3\nlimit = 4\nwait = 2m\non = YES\nodd = 1\n")
	if got := strings.Join(f.Words("hosts", ""), "|"); got != "inet:a|unix:/b|c" {
		t.Errorf("a list over lines: %q", got)
	}
	if got := f.Text("query", ""); got != "SELECT '%s' FROM $x" {
		t.Errorf("a text over lines: %q", got)
	}
	if f.Int("limit", 0, 0, 9) != 4 || f.Duration("wait", 0) != 2*time.Minute || !f.Bool("on", false) || f.Text("absent", "x") != "x" {
		t.Error("values are wrong")
	}
	f.Text("old", "")
	bad, err := f.Done()
	if err != nil || len(bad) != 2 || bad[0].Line != 10 || bad[1].Line != 13 || !strings.Contains(bad[1].Text, `no parameter "odd"`) {
		t.Errorf("problems: %v, %v", bad, err)
	}
}

func TestFileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"just words\n":                          `line 1: expected is "name = value"`,
		"a = 1\nnumber = many\n":                "line 2: number = many: expected is a number from 1 to 5",
		"number = 6\n":                          "from 1 to 5",
		"flag = perhaps\n":                      "expected is yes or no",
		"time = soon\n":                         "expected is a time",
		"password = geheim\n":                   "password = …: no",
		"passwort = geheim\n":                   "is password meant?",
		strings.Repeat("x", maxText+1):          "is this the right file?",
		"result_format = %x\n":                  "result_format = %x: %x is none of",
		"domain = type:x\nexpansion_limit=-1":   "line 2: expansion_limit = -1",
		"domain = /no/such/file/of/domains  \n": "no such file",
	} {
		f := Parse(text)
		f.Int("number", 1, 1, 5)
		f.Bool("flag", false)
		f.Duration("time", 0)
		f.Text("a", "")
		f.Refuse("no", "password")
		f.Required("needed")
		f.Shape(Env{Open: none})
		if _, err := f.Done(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

func TestQuery(t *testing.T) {
	quote := func(s string) string { return "<" + s + ">" }
	for _, c := range []struct{ template, key, want string }{
		{"a %s b", "u@d.e", "a <u@d.e> b"},
		{"%u %d %S %U %D %%", "u@d.e", "<u> <d.e> <u@d.e> <u> <d.e> %"},
		{"%1 %2", "u@d.e", "<e> <d>"},
		{"%3", "u@d.e", "-"},
		{"%d", "u", "-"},
		{"%d", "u@", "-"},
		{"%u", "u", "<u>"},
		{"%u", "@d", "-"},
		{"%s", "@d", "<@d>"},
		{"%u at %d", "a@b@c", "<a@b> at <c>"},
		{"%1", "word", "-"},
		{"constant", "x", "constant"},
		{"constant", "", "-"},
	} {
		tmpl, err := NewTemplate(c.template)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := tmpl.Query(c.key, quote)
		if !ok {
			got = "-"
		}
		if got != c.want {
			t.Errorf("%q of %q: %q, want %q", c.template, c.key, got, c.want)
		}
	}
	for _, wrong := range []string{"%", "%x", "%0", "% s"} {
		if _, err := NewTemplate(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

func TestAnswer(t *testing.T) {
	for _, c := range []struct{ format, key, values, want string }{
		{"%s", "k", "a b", "a,b"},
		{"%u", "k", "a@x b", "a,b"},
		{"%d", "k", "a@x b", "x"},
		{"%s@%D", "u@k.e", "a", "a@k.e"},
		{"%s@%D", "u", "a", "-"},
		{"%s", "k", "", "-"},
		{"smtp:[%s]", "k", "h", "smtp:[h]"},
	} {
		f := Parse("result_format = " + c.format)
		s := f.Shape(Env{Open: none})
		a := s.Answer(c.key)
		for _, v := range strings.Fields(c.values) {
			if err := a.Add(v); err != nil {
				t.Fatal(err)
			}
		}
		got, found := a.Text()
		if !found {
			got = "-"
		}
		if got != c.want {
			t.Errorf("%q of %q: %q, want %q", c.format, c.values, got, c.want)
		}
	}
	a := (&Shape{result: &Template{parts: []part{{verb: 's'}}}}).Answer("k")
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = a.Add(strings.Repeat("x", 100_000))
	}
	if err == nil {
		t.Error("an answer without bounds")
	}
}

// FuzzFile: any text is read without harm; what is said of it names lines that it has, and a filled template has nothing of
// the key outside of the quotes.
func FuzzFile(f *testing.F) {
	f.Fuzz(func(t *testing.T, text, key string) {
		file := Parse(text)
		query := file.Template("query", "%s")
		shape := file.Shape(Env{Open: none})
		bad, err := file.Done()
		for _, p := range bad {
			if p.Line < 1 || p.Line > strings.Count(text, "\n")+1 {
				t.Fatalf("line %d of %q", p.Line, text)
			}
		}
		if err != nil {
			return
		}
		filled, ok := query.Query(key, func(s string) string { return "\x00" + strings.ReplaceAll(s, "\x00", "") + "\x00" })
		plain, _ := query.Query(key, func(string) string { return "" })
		if literal := query.fill(address{labels: make([]string, 9)}, address{}, func(string) string { return "" }); ok && plain != literal {
			t.Fatalf("%q: %q depends on the key beyond its quotes, %q", key, plain, literal)
		}
		if ok && !query.Dynamic() && filled != plain {
			t.Fatalf("%q is not dynamic", filled)
		}
		answer := shape.Answer(key)
		if err := answer.Add(key); err == nil {
			if text, found := answer.Text(); !found && text != "" {
				t.Fatal("an answer that is none")
			}
		}
	})
}
