package table

import (
	"fmt"
	"strings"
	"testing"
)

func TestAliases(t *testing.T) {
	all, bad, err := Aliases(`# c
root:	joe, "jane doe"@example.org
  ,  more
"quoted name": x
MiXed: "|/usr/bin/prog -a \"b c\"" , /var/file, :include:/etc/list
novalue:
a b: c
nocolon here
postmaster: root
postmaster: other
with@domain: x
dot.ted: (comment, with (another)) real (other)
"a@b": y
open: "x
list: (x
: y
`)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, all, "ROOT", `joe, "jane doe"@example.org, more`, "quoted name", "x", "a b", "c", "postmaster", "root", "with@domain", "-", "dot.ted", "(comment, with (another)) real (other)", "a@b", "y")
	problems(t, bad, `line 6: "novalue" has no destination`, "line 8: expected is name: destination", `line 10: duplicate entry "postmaster"`,
		`line 11: "with@domain" is an address`, "line 14: unbalanced", "line 15: a comment ( is not closed", "line 16: the name before the colon")
}

func TestDestinations(t *testing.T) {
	for in, want := range map[string]string{
		`joe, "jane doe"@example.org  ,  more`:                        `0 joe|0 "jane doe"@example.org|0 more`,
		`"|/usr/bin/prog -a \"b c\"" , /var/file, :include:/etc/list`: `3 /usr/bin/prog -a "b c"|2 /var/file|1 /etc/list`,
		`|prog a, "/var/my mail", "jane doe"`:                         `3 prog a|2 /var/my mail|0 "jane doe"`,
		`:Include: /x (note), , a(b)`:                                 `1 /x|0 a`,
		`|"exec /bin/x, y"`:                                           `3 "exec /bin/x, y"`,
		`,`:                                                           "there is no destination",
		`"`:                                                           `unbalanced " in "\""`,
	} {
		all, problem := Destinations(in)
		var out []string
		for _, d := range all {
			out = append(out, fmt.Sprint(int(d.Kind), " ", d.Text))
		}
		if got := strings.Join(out, "|") + problem; got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	all, bad := IncludedLines("# list\na@example.org\nb, c\n\n\"x\nd\n")
	if len(all) != 4 || all[2].Text != "c" {
		t.Error(all)
	}
	problems(t, bad, "line 5: unbalanced")
	if _, problem := Destinations(strings.Repeat("a,", MaxDestinations+1)); !strings.Contains(problem, "more than") {
		t.Error(problem)
	}
}

// The longest line in the smallest pieces is not copied anew for each of them, and joins what two pieces do.
func TestContinuedLines(t *testing.T) {
	text := "a: b\n" + strings.Repeat(" ,\n", maxLine/3) + " c\nd: e\n f\n"
	var all []line
	if n := testing.AllocsPerRun(1, func() { all, _ = lines(text) }); n > 100 {
		t.Errorf("%v allocations", n)
	}
	if len(all) != 2 || all[0].text != "a: b"+strings.Repeat(" ,", maxLine/3)+" c" || all[1].text != "d: e f" || all[1].number != maxLine/3+3 {
		t.Errorf("%d lines, the last one %+v", len(all), all[len(all)-1])
	}
}
