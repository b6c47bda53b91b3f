package table

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

func get(t *testing.T, table Table, key string) string {
	t.Helper()
	value, found, err := table.Lookup(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		return "-"
	}
	return value
}

func expect(t *testing.T, table Table, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := get(t, table, pairs[i]); got != pairs[i+1] {
			t.Errorf("%q: got %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

// problems compares line numbers and beginnings of texts.
func problems(t *testing.T, got []Problem, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d problems, want %d: %v", len(got), len(want), got)
		return
	}
	for i, p := range got {
		if !strings.HasPrefix(p.String(), want[i]) {
			t.Errorf("problem %d: got %q, want %q", i, p, want[i])
		}
	}
}

func TestText(t *testing.T) {
	text := "# comment\na\tone\n  two\nb one\n  # in the middle\n  still b\n\"key with space\" v1\nUPPER Value\nupper second\n" +
		"novalue\nc   \nd trailing   \n \n# x\ne v\r\nuser@EXAMPLE.com x\nlhs: rhs\n\"unfinished key v3\n\"a\"b v4\n"
	table, bad, err := Text(text)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, table, "a", "one  two", "b", "one  still b", `"key with space"`, "v1", "upper", "Value", "UPPER", "Value", "novalue", "-",
		"c", "-", "d", "trailing", "e", "v", "User@example.COM", "x", "lhs:", "rhs", `"a"b`, "v4", "", "-")
	problems(t, bad, `line 9: duplicate entry "upper"`, `line 10: "novalue" has no value`, `line 11: "c" has no value`, `line 17: the key "lhs:"`,
		`line 18: unbalanced "`)
	_, bad, _ = Text("  begins\na b\x00c\nd e")
	problems(t, bad, "line 1: begins with a blank", "line 2: a NUL byte")
}

func TestTextOfManyEntries(t *testing.T) {
	var b strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&b, "user%d@example.org value %d\n", i, i)
	}
	table, bad, err := Text(b.String())
	if err != nil || len(bad) > 0 || table.Len() != 50_000 {
		t.Fatal(err, bad, table.Len())
	}
	for i := range 50_000 {
		if got := get(t, table, fmt.Sprintf("USER%d@example.org", i)); got != fmt.Sprintf("value %d", i) {
			t.Fatalf("user %d: %q", i, got)
		}
	}
	n := 0
	for k, v := range table.All {
		if want := fmt.Sprintf("user%d@example.org", n); k != want || v != fmt.Sprintf("value %d", n) {
			t.Fatalf("entry %d: %q %q", n, k, v)
		}
		n++
	}
	if n != 50_000 {
		t.Error(n)
	}
}

func TestInline(t *testing.T) {
	table, err := Inline("{foo=bar, { a = b c }\tx=1,2=3}")
	if err != nil {
		t.Fatal(err)
	}
	expect(t, table, "FOO", "bar", "a", "b c", "x", "1", "2", "3", "b", "-")
	for _, bad := range []string{"", "{", "{}", "foo=bar", "{Q = 9}", "{a=b} c", "{a=b,a=c}", "{{a=b}", "{a=}", "{{a b = c}}"} {
		if _, err := Inline(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestStatic(t *testing.T) {
	for in, want := range map[string]string{"abc": "abc", "{a b}": "a b", "{ a }": "a"} {
		table, err := NewStatic(in)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, table, "any", want)
	}
	for _, bad := range []string{"", "{", "{a}b"} {
		if _, err := NewStatic(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestRegexp(t *testing.T) {
	table, bad := Regexp(`/^(.*)@(.*)$/   $2 and ${1}x $$ $(1)
if /foo/
/bar/ foobar
!/baz/ nobaz
endif
/a/b/ x
/case/i Case
!/(x)zz/ neg $1
/unterm
foo bar
/two/ $2
if /x/
/q/ y
`)
	expect(t, table, "me@there", "there and mex $ me", "foobar", "foobar", "foo", "nobaz", "foobaz", "-", "case", "Case", "CASE", "-", "xq", "y", "q", "-")
	problems(t, bad, `line 6: unknown flag 'b'`, "line 8: $number in the value of a negated", "line 9: the pattern has no closing delimiter",
		`line 10: "foo" is no rule`, "line 11: $2 in the value", "line 0: an if has no endif")
}

func TestPosixSyntax(t *testing.T) {
	for _, c := range []struct{ pattern, yes, no string }{
		{`^a[\.]b$`, `a\b a.b`, "axb"}, // a backslash in a list is one
		{`^[]a]+$`, "]a]", "b"},
		{`^[^]a]+$`, "xyz", "a ]"},
		{`^[a-c[:digit:]_-]+$`, "abc12_-", "d"},
		{`^[[.-.][=a=]]+$`, "a-a", "b"},
		{`^a+?$`, "aaa a", "b"},
		{`^a**$`, "aaa", "b"},
		{`^(a|ab)(c|bcd)$`, "abcd ac abc", "abd"},
		{`a)b`, "a)b", "ab"},
		{`^x{2}y{1,}z{,2}$`, "xxy xxyyzz", "xy xxyzzz"},
		{`\<foo\>`, "foo a:foo:b", "foobar"},
		{`^a\/b\$$`, "a/b$", "ab"},
		{`^ä.$`, "äx", "xä"},
	} {
		table, bad := Regexp("!" + "/" + c.pattern + "/ no\n" + "/./ yes")
		problems(t, bad)
		for _, key := range strings.Fields(c.yes) {
			if got := get(t, table, key); got != "yes" {
				t.Errorf("%s does not match %q", c.pattern, key)
			}
		}
		for _, key := range strings.Fields(c.no) {
			if got := get(t, table, key); got != "no" {
				t.Errorf("%s matches %q", c.pattern, key)
			}
		}
	}
}

func TestRefusedPatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		`/(a)\1/ x`: "back references", `/[[:foo:]]/ x`: "unknown class", `/a{2,1}/ x`: "{2,1} is no repetition", `/*a/ x`: "nothing before it",
		`/(a/ x`: "( without )", `/[a/ x`: "[ without ]", `/a{2000}/ x`: "above 1000", `/a\/ x`: "no closing delimiter", `/a/`: "no value",
		`/a/x y`: "basic ones", `/[z-a]/ x`: "backwards", `/[[.ab.]]/ x`: "collating", `/a/ $0`: "no number of a group", `/a/ ${1`: "not closed",
	} {
		_, bad := Regexp(pattern)
		if len(bad) != 1 || !strings.Contains(bad[0].Text, want) {
			t.Errorf("%s: %v, want %q", pattern, bad, want)
		}
	}
	for pattern, want := range map[string]string{
		`/(?=a)/ x`: "look-ahead", `/(?!a)/ x`: "negative look-ahead", `/(?<=a)/ x`: "look-behind", `/(?<!a)/ x`: "negative look-behind",
		`/(?>a)/ x`: "atomic group", `/(?|a)/ x`: "branch reset", `/(a)(?(1)b)/ x`: "conditional", `/(?R)/ x`: "recursion", `/(?1)/ x`: "recursion",
		`/(?-1)/ x`: "recursion", `/(?P>n)/ x`: "recursion", `/(?<n>a)\k<n>/ x`: "back reference", `/(a)\1/ x`: "back reference", `/(?P=n)/ x`: "back reference",
		`/a++/ x`: "possessive", `/a{1,2}+/ x`: "possessive", `/(*UTF8)a/ x`: "verb", `/a\Kb/ x`: `\K`, `/\R/ x`: `\R`, `/(?x)a b/ x`: "option (?x)",
		`/(?#a/ x`: "not closed", `/[[.a.]]/ x`: "collating",
	} {
		_, bad := PCRE(pattern)
		if len(bad) != 1 || !strings.Contains(bad[0].Text, want) {
			t.Errorf("%s: %v, want %q", pattern, bad, want)
		}
	}
}

func TestPerlSyntax(t *testing.T) {
	table, bad := PCRE(`/^(?<user>\w+)\.(?'x'\d{2,})@(?:a|b)\.example$/ $1 $2
/^q\Qa.b*\E$/ quoted
/^\x41\e\cA$/i odd
/^ x y # comment
  $/x  extended
/^[\s\h]+$/ blanks
/^\S+\s\S+$/ two
/^(?#note)c{$/ brace
/^(?i)d(?-i:E)$/ flags
~^a/b~ tilde
/^a.*?b(.*)$/U lazy [$1]
`)
	problems(t, bad)
	expect(t, table, "joe.42@b.example", "joe 42", "qa.b*", "quoted", "A\x1b\x01", "odd", "xy", "extended", "\t\v ", "blanks", "c{", "brace", "DE", "flags",
		"De", "-", "a/b", "tilde", "one\vtwo", "two")
}

func TestCIDR(t *testing.T) {
	table, bad := CIDR("10.0.0.0/8 ten\n!192.168.0.0/16 not192 $1\n192.168.1.1 x\nif 192.168.0.0/16\n192.168.2.2 two\nendif\n10.0.0.1/8 bad\n[2001:db8::]/32 six\n1.2.3 bad\nendif\n")
	expect(t, table, "10.1.1.1", "ten", "11.1.1.1", "not192 $1", "192.168.2.2", "two", "192.168.1.1", "x", "192.168.9.9", "-", "2001:db8::1", "six", "nonsense", "-")
	problems(t, bad, `line 7: "10.0.0.1/8" has bits set behind its length; "10.0.0.0/8"`, `line 9: "1.2.3" is no address`, "line 10: endif without an if")
}

type broken struct{}

func (broken) Lookup(context.Context, string) (string, bool, error) {
	return "", false, fmt.Errorf("away")
}
func (broken) Pattern() bool { return false }

func TestCombined(t *testing.T) {
	a, _ := Inline("{x=y, q=1}")
	b, _ := Inline("{y=z, x=w}")
	expect(t, Union{a, b}, "x", "y,w", "q", "1", "nobody", "-")
	expect(t, Pipe{a, b}, "x", "z", "q", "-")
	expect(t, Rand{Values: []string{"a", "b"}, Intn: func(n int) int { return n - 1 }}, "any", "b")
	for _, table := range []Table{Union{a, broken{}}, Union{broken{}, a}, Pipe{a, broken{}}} {
		if _, _, err := table.Lookup(context.Background(), "x"); err == nil {
			t.Errorf("%T: a table that is away is not found", table)
		}
	}
	if _, _, err := (List{broken{}, a}).Lookup(context.Background(), "x", false); err == nil {
		t.Error("a table that is away was passed over")
	}
	pattern, _ := Regexp("/./ any")
	if v, found, _ := (List{pattern, a}).Lookup(context.Background(), "x", true); v != "y" || !found {
		t.Error("a partial key was asked of a table of patterns")
	}
}

func keys(all []Key) string {
	var out []string
	for _, k := range all {
		out = append(out, k.Text+strings.Repeat("*", len(k.Ext)))
	}
	return strings.Join(out, " ")
}
