package postfix

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
)

func TestParseMain(t *testing.T) {
	settings, bad := ParseMain("# comment\n\na = b\nlist = one\n  two\n# in between\n\n\tthree\n  # not continued\nempty =\nspaced   =   x y  \nno value\n=x\ncr = z\r\n")
	want := []Setting{{"a", "b", 3}, {"list", "one  two\tthree", 4}, {"empty", "", 10}, {"spaced", "x y", 11}, {"cr", "z", 14}}
	if !reflect.DeepEqual(settings, want) {
		t.Errorf("got %+v", settings)
	}
	if len(bad) != 2 || bad[0].Line != 12 || bad[1].Line != 13 {
		t.Errorf("problems: %v", bad)
	}
}

func TestParseMaster(t *testing.T) {
	services, bad := ParseMaster("smtp inet n - y - 1 smtpd -v\n  -o a=b -o { c = d e }\n  -of=g\npipe unix - n n - - pipe\n  flags=R user=x argv=/bin/p -o $recipient\n")
	if len(bad) > 0 || len(services) != 2 {
		t.Fatalf("%v %v", services, bad)
	}
	if got := services[0].Override; !reflect.DeepEqual(got, []Setting{{"a", "b", 1}, {"c", "d e", 1}, {"f", "g", 1}}) {
		t.Errorf("overrides: %v", got)
	}
	if got := services[0].Args; !reflect.DeepEqual(got, []string{"-v"}) {
		t.Errorf("arguments: %v", got)
	}
	if got := strings.Join(services[1].Args, " "); got != "flags=R user=x argv=/bin/p -o $recipient" || services[1].Override != nil {
		t.Errorf("a program's -o is its own: %q %v", got, services[1].Override)
	}
}

func TestExpand(t *testing.T) {
	values := map[string]string{"a": "1", "b": "$a$a", "empty": "", "blank": "$empty", "host": "mx.example.org", "level": "3.6", "loop": "x $pool", "pool": "${loop}",
		"double": "$b$b$b$b"}
	get := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	for text, want := range map[string]string{
		"":                              "",
		"plain":                         "plain",
		"$a":                            "1",
		"${a}x$(a)y":                    "1x1y",
		"$b.$a":                         "11.1",
		"$double":                       "11111111",
		"$$a":                           "$a",
		"5$":                            "5$",
		"$ a":                           "$ a",
		"${a?yes}":                      "yes",
		"${a:no}":                       "",
		"${empty?yes}":                  "",
		"${empty:no $a}":                "no 1",
		"${blank?set all the same}":     "set all the same",
		"${a?{yes $a}:{no}}":            "yes 1",
		"${empty?{yes}:{no}}":           "no",
		"${empty ? { yes } : { no }}":   "no",
		"${unknown:it is}":              "it is",
		"${{$a} == {1} ? {one} : {no}}": "one",
		"${{$a}!={1}?{other}:{one}}":    "one",
		"${{10} > {9} ? {number}}":      "number",
		"${{b} > {a} ? {text}}":         "text",
		"${{$a} == {2}}":                "",
		"${{$a} == {1}}":                "true",
		"${{$level} <level {3.10} ? {older} : {newer}}": "older",
		"${{$level} >=level {2} ? {newer} : {older}}":   "newer",
		"${unclosed": "${unclosed",
	} {
		got, _, err := Expand(text, get)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{"$loop": "a loop", "${a!}": "expected is", "${{a} ~ {b}?{c}}": "no comparison", "${a?{b}c}": "behind the last brace"} {
		if _, _, err := Expand(text, get); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, unknown, _ := Expand("$nobody ${a?$nothing}", get); !reflect.DeepEqual(unknown, []string{"nobody", "nothing"}) {
		t.Errorf("unknown: %v", unknown)
	}
}

// TestExpansionIsBounded expands what would be endless, or larger than any memory.
func TestExpansionIsBounded(t *testing.T) {
	for name, get := range map[string]Lookup{
		"doubling": func(name string) (string, bool) { return "$" + name + "x$" + name + "x", true },
		"wide":     func(name string) (string, bool) { return strings.Repeat("y", 1<<19), true },
	} {
		start := "$a"
		if name == "wide" {
			start = strings.Repeat("${a?$b}", 1000) + "$a$b$c"
		}
		if got, _, err := Expand(start, get); err == nil {
			t.Errorf("%s: %d bytes", name, len(got))
		}
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]time.Duration{"5": 5 * time.Second, "5d": 120 * time.Hour, "2h": 2 * time.Hour, "1w": 168 * time.Hour, "30S": 30 * time.Second} {
		if got, err := parseTime(text, 's'); err != nil || got.D() != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "5 minutes", "-1s", "9999999999999999d", "5x"} {
		if got, err := parseTime(text, 's'); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	for byDefault, want := range map[string]byte{"5d": 'd', "0h": 'h', "${stress?{10}:{300}}s": 's', "": 's', "500": 's', "btree:$x/s": 's'} {
		if got := unitOf(byDefault); got != want {
			t.Errorf("%q: %c", byDefault, got)
		}
	}
}

func TestRelay(t *testing.T) {
	for text, want := range map[string]relay{
		"[mx.example.org]:587":     {"mx.example.org", 587, true},
		"[mx.example.org]":         {"mx.example.org", 25, true},
		"example.org":              {"example.org", 25, false},
		"example.org:submission":   {"example.org", 587, false},
		"[192.0.2.1]:smtps":        {"192.0.2.1", 465, true},
		"[ipv6:2001:db8::1]:26":    {"2001:db8::1", 26, true},
		"smtp:[mx.example.org]:26": {"mx.example.org", 26, true},
	} {
		if got, ok := parseRelay(text); !ok || got != want {
			t.Errorf("%s: %v %v", text, got, ok)
		}
	}
	for _, text := range []string{"[a", "[a]x", "a:b c", "[]:25", "a, b"} {
		if got, ok := parseRelay(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// TestRulesNameKeys demands that every key of a rule exists, that each parameter has one rule, and that Postfix knows it.
func TestRulesNameKeys(t *testing.T) {
	known := map[string]bool{"import.sh": true}
	for _, k := range config.Keys() {
		known[k] = true
	}
	defaults := Defaults()
	seen := map[string]bool{}
	for _, r := range rules() {
		if r.do == nil && r.fate == "" {
			t.Errorf("%s: no fate", r.names)
		}
		if r.do == nil && r.text == "" {
			t.Errorf("%s: no text", r.names)
		}
		for key := range strings.FieldsSeq(r.keys) {
			if !known[key] {
				t.Errorf("%s: there is no key %s", r.names, key)
			}
		}
		for name := range strings.FieldsSeq(r.names) {
			if seen[name] {
				t.Errorf("%s has two rules", name)
			}
			seen[name] = true
			if strings.HasSuffix(name, "*") || name == "dovecot_destination_recipient_limit" {
				continue
			}
			_, ok := defaults[name]
			for _, ending := range perTransport {
				ok = ok || strings.HasSuffix(name, ending)
			}
			if !ok {
				t.Errorf("Postfix does not know %s", name)
			}
		}
	}
}

// TestShellQuotes keeps names of a hostile map from being commands of import.sh.
func TestShellQuotes(t *testing.T) {
	for text, want := range map[string]string{"a@example.org": "a@example.org", "o'neil@example.org": `'o'\''neil@example.org'`, "$(x)": "'$(x)'"} {
		if got := shell(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// TestNetworks: files and tables are read, and exceptions taken out of what comes after them.
func TestNetworks(t *testing.T) {
	for value, want := range map[string]string{
		"127.0.0.0/8 [::1]/128,10.1.2.3":    "127.0.0.0/8 ::1/128 10.1.2.3/32",
		"!192.0.2.3, 192.0.2.0/29":          "192.0.2.0/31 192.0.2.2/32 192.0.2.4/30",
		"192.0.2.0/30, !192.0.2.1":          "192.0.2.0/30",
		"!10.0.0.0/8 10.1.0.0/16 11.0.0.1":  "11.0.0.1/32",
		"![2001:db8::]/33, [2001:db8::]/32": "2001:db8:8000::/33",
	} {
		m := newMove(newOrigin(t.TempDir(), "", "", ""), Options{})
		p := &param{name: "mynetworks", value: value}
		networks, err := m.networks(p)
		var got []string
		for _, n := range networks {
			got = append(got, n.Prefix.String())
		}
		if err != nil || len(p.doubts) > 0 || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v, %v", value, got, err, p.doubts)
		}
	}
}
