package config

import (
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

const edited = `# A comment at the top.
hostname = "a.test" # of the host

# About smtp.
[smtp]
max_recipients = 200   # many
# Networks.
bare_newline_networks = [
  "192.0.2.0/24", # a printer ]
  '198.51.100.0/24',
]

[routing]
relayhost = """[relay.test]"""
log.x = 1
`

func TestEdit(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		changes map[string]string
		want    string // old→new of the text; "!": an error
	}{
		"a value":            {edited, map[string]string{"smtp.max_recipients": "300"}, "= 200   #→= 300   #"},
		"of the top":         {edited, map[string]string{"hostname": `"b.test"`}, `"a.test"→"b.test"`},
		"a long list":        {edited, map[string]string{"smtp.bare_newline_networks": "[]"}, "[\n  \"192.0.2.0/24\", # a printer ]\n  '198.51.100.0/24',\n]→[]"},
		"a long text":        {edited, map[string]string{"routing.relayhost": `""`}, `"""[relay.test]"""→""`},
		"a new key":          {edited, map[string]string{"smtp.max_errors": "7"}, "',\n]\n→',\n]\nmax_errors = 7\n"},
		"new, of the top":    {edited, map[string]string{"domain": `"x"`}, "# of the host\n→# of the host\ndomain = \"x\"\n"},
		"a new section":      {edited, map[string]string{"mta.port": "26"}, "log.x = 1\n→log.x = 1\n\n[mta]\nport = 26\n"},
		"taken out":          {edited, map[string]string{"smtp.bare_newline_networks": "", "hostname": "", "mta.port": ""}, "?"},
		"dotted":             {"mta.port = 25\n", map[string]string{"mta.tls": `"may"`}, "25\n→25\nmta.tls = \"may\"\n"},
		"dotted, below":      {"[mta]\nsmart_host.port = 25", map[string]string{"mta.smart_host.tls": `"may"`}, "25→25\nsmart_host.tls = \"may\"\n"},
		"in an inline table": {"mta = { port = 25 }", map[string]string{"mta.port": "26"}, "!"},
		"nothing there":      {"", map[string]string{"mta.port": "26", "hostname": `"a"`}, "→hostname = \"a\"\n\n\n[mta]\nport = 26\n"},
		"not TOML":           {"[", map[string]string{"mta.port": "26"}, "!"},
	} {
		got, err := Edit(c.text, c.changes)
		if c.want == "!" {
			if err == nil {
				t.Errorf("%s: %q", name, got)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := "# A comment at the top.\n\n# About smtp.\n[smtp]\nmax_recipients = 200   # many\n# Networks.\n\n[routing]\nrelayhost = \"\"\"[relay.test]\"\"\"\nlog.x = 1\n"
		if old, updated, ok := strings.Cut(c.want, "→"); ok {
			want = strings.Replace(c.text, old, updated, 1)
		}
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// FuzzEdit: of a text that is TOML, an edit leaves TOML in which the key has its value, and every other key that it had.
func FuzzEdit(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		var before, after map[string]any
		if toml.Unmarshal([]byte(text), &before) != nil {
			return
		}
		got, err := Edit(text, map[string]string{"smtp.max_errors": "77"})
		if err != nil || toml.Unmarshal([]byte(got), &after) != nil {
			return // refused, by the edit or by the reading that follows it
		}
		section, ok := after["smtp"].(map[string]any)
		if !ok || section["max_errors"] != int64(77) {
			t.Fatalf("%q became %q", text, got)
		}
		for key := range before {
			if _, ok := after[key]; !ok {
				t.Fatalf("%q became %q, without %s", text, got, key)
			}
		}
		if again, err := Edit(got, map[string]string{"smtp.max_errors": "77"}); err != nil || again != got {
			t.Fatalf("%q became %q, then %q: %v", text, got, again, err)
		}
	})
}

func TestCommentOut(t *testing.T) {
	got, err := CommentOut(edited, map[string]string{"smtp.bare_newline_networks": "", "routing.log.x": "", "nosuch": ""})
	want := strings.NewReplacer("bare_newline", "#bare_newline", "  \"192", "#  \"192", "  '198", "#  '198", "\n]", "\n#]", "log.x", "#log.x").Replace(edited)
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	if got, err := CommentOut("mta = { port = 25 }\n", map[string]string{"mta.port": ""}); err == nil {
		t.Errorf("of an inline table: %q", got)
	}
}
