package config

import (
	"strings"
	"testing"
)

func TestNamedTables(t *testing.T) {
	text := `[helper]
enabled = true
[pipes.x]
argv = ["/bin/x", "${recipient}"]
user = "nobody"
size = "1MiB"
[pipes.a]
argv = "/bin/a"
user = "al:mail"
`
	c, err := Parse("f", []byte(text), []string{`pipes.a.flags="DRhu"`})
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Pipes["a"]; len(c.Pipes) != 2 || a.Recipients() != 1 || a.DestinationConcurrencyLimit != 20 || c.Pipes["x"].Size != 1<<20 {
		t.Errorf("%+v", c.Pipes)
	}
	again, err := Parse("shown", []byte(Show(c)), nil)
	if err != nil || len(Diff(c, again)) != 0 || len(again.Pipes) != 2 {
		t.Fatalf("%v, %v", err, Diff(c, again))
	}
	empty, _ := Parse("", nil, nil)
	if d := Diff(c, empty); len(d) != 1+2*len(allKeys(&Config{Pipes: map[string]*Pipe{"x": {}}}))-2*len(Keys()) {
		t.Errorf("taken out: %v", d)
	}
}

func TestNamedTablesWrong(t *testing.T) {
	const head = "[helper]\nenabled = true\n"
	for text, want := range map[string]string{
		"[pipes.x]\nargw = []":                                       `f:4: unknown key "pipes.x.argw"; did you mean "pipes.x.argv"?`,
		"[pipe.x]\nargv = []":                                        "did you mean [pipes.x]?",
		"[pipes]\nx = 3":                                             `pipes.x: is a table of keys, not a value; its first key is "pipes.x.argv"`,
		"[pipes.\"a b\"]\nuser = \"x\"":                              "unknown table [pipes.a b]",
		"[pipes.smtp]\nargv = [\"/x\"]\nuser = \"x\"":                "pipes.smtp: is the name of a transport",
		"[pipes.x]\nargv = [\"/x y\"]\nuser = \"x\"":                 "f:4: pipes.x.argv: \"/x y\": the first item",
		"[pipes.x]\nargv = [\"/x\", \"$recipent\"]\nuser = \"x\"":    "there is no macro $recipent",
		"[pipes.x]\nargv = [\"/x\", \"${a\"]\nuser = \"x\"":          "a $ begins a macro",
		"[pipes.x]\nargv = [\"/bin/sh\", \"-ec\", \"p ${user}\"]":    "f:4: pipes.x.argv: gives a macro to a shell",
		"[pipes.x]\nargv = [\"/x\"]\nuser = \"root\"":                "f:5: pipes.x.user: wants",
		"[pipes.x]\nargv = [\"/x\"]\nuser = \"x\"\nflags = \"RZ\"":   "has letters that are none of",
		"[pipes.x]\nargv = [\"/x\"]\nuser = \"x\"\nsize = \"-1MiB\"": "pipes.x.size",
	} {
		if _, err := Parse("f", []byte(head+text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n%v\nwant %s", text, err, want)
		}
	}
}

// A shell may have macros behind its text, or a script.
func TestPipesOfShells(t *testing.T) {
	for _, argv := range []string{`"/bin/sh", "-c", "p \"$$1\"", "sh", "${user}"`, `"/bin/sh", "/a/script", "${user}"`, `"/bin/sh", "-c"`, `"/bin/cat", "-c", "${user}"`} {
		if _, err := Parse("f", []byte("helper.enabled = true\n[pipes.x]\nuser = \"x\"\nargv = ["+argv+"]"), nil); err != nil {
			t.Errorf("%s: %v", argv, err)
		}
	}
}

func TestExpandMacros(t *testing.T) {
	for item, want := range map[string]string{
		"plain": "plain", "-f${sender}": "-f<sender>", "$user@$(domain)": "<user>@<domain>", "a$$b": "a$b", "${x}${y}": "<x><y>",
		"$": "!", "${x": "!", "$(x}": "!", "${}": "!", "$-": "!",
	} {
		got, err := ExpandMacros(item, func(name string) string { return "<" + name + ">" })
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", item, got, want)
		}
	}
}
