package tables

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/test/interop/postfix"
	"github.com/postrider/postrider/test/needs"
)

// postmap asks Postfix for many keys at once; those without an answer are not in the result.
func postmap(t *testing.T, dir, name string, keys []string) map[string]string {
	t.Helper()
	cmd := exec.Command(needs.Program(t, "postmap"), "-c", dir, "-q", "-", name)
	cmd.Stdin = strings.NewReader(strings.Join(keys, "\n") + "\n")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && len(out) == 0 || strings.Contains(stderr.String(), "fatal:") { // it ends with 1 where no key was found
		t.Fatalf("postmap %s: %v\n%s", name, err, stderr.String())
	}
	answers := map[string]string{}
	for l := range strings.Lines(strings.ReplaceAll(string(out), "\r", "")) { // the CR of a line that is continued; ours drops it
		key, value, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "\t")
		answers[key] = value
	}
	return answers
}

// configured makes a folder that Postfix takes for its own.
func configured(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "main.cf"), "compatibility_level = 3.6\n")
	write(t, filepath.Join(dir, "master.cf"), "")
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	postfix.WriteFile(t, path, text)
}

// agree compares a table with Postfix's for all keys, and wants some of them to be found.
func agree(t *testing.T, ours table.Table, theirs map[string]string, keys []string) {
	t.Helper()
	if len(theirs) == 0 {
		t.Error("Postfix found none of the keys: this compares nothing")
	}
	wrong := 0
	for _, key := range keys {
		got, found, err := ours.Lookup(context.Background(), key)
		if err != nil {
			t.Fatal(err)
		}
		want, has := theirs[key]
		if got == want && found == has {
			continue
		}
		if wrong++; wrong <= 20 {
			t.Errorf("%q: ours %q (%t), Postfix's %q (%t)", key, got, found, want, has)
		}
	}
	if wrong > 20 {
		t.Errorf("and %d more", wrong-20)
	}
}

// pick returns one of the words.
func pick(r *rand.Rand, words ...string) string { return words[r.IntN(len(words))] }

func word(r *rand.Rand) string {
	return pick(r, "alice", "bob", "Info", "sales", "x", "root", `"john doe"`, "a+b", "ü", "no-reply", "o'neil", "#tag", "a:", `"q\"x"`, "_", "=")
}

func domain(r *rand.Rand) string {
	return pick(r, "example.org", "EXAMPLE.com", "sub.example.org", "b.test", "xn--bcher-kva.example")
}

// TestText: a generated text with the mistakes that people make, as texthash and compiled as hash.
func TestText(t *testing.T) {
	dir := configured(t)
	r := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	var keys []string
	for i := range 20_000 {
		key := pick(r, word(r)+"@"+domain(r), domain(r), "@"+domain(r), word(r), fmt.Sprintf("user%d@%s", r.IntN(5000), domain(r)))
		keys = append(keys, key, strings.ToUpper(key))
		value := pick(r, fmt.Sprintf("value %d", i), fmt.Sprintf("a,\tb , c %d", i), "x  ", "# no comment", `"quoted"`, "é")
		switch r.IntN(20) {
		case 0:
			fmt.Fprintf(&text, "# %s %s\n", key, value)
		case 1:
			fmt.Fprintf(&text, "%s\n  %s\n", key, value)
		case 2:
			fmt.Fprintf(&text, "%s %s\n# between\n\n \t more %d\n", key, value, i)
		case 3:
			fmt.Fprintf(&text, "%s\n", key)
		case 4:
			fmt.Fprintf(&text, "%s\t%s\r\n", key, value)
		case 5:
			fmt.Fprintf(&text, "\"%s %s\n", key, value)
		case 6:
			fmt.Fprintf(&text, "%s %s\n   # an indented comment\n", key, value)
		default:
			fmt.Fprintf(&text, "%s %s%s\n", key, value, pick(r, "", "", " ", "\t"))
		}
	}
	path := filepath.Join(dir, "map")
	write(t, path, text.String())
	ours, bad, err := table.Text(text.String())
	if err != nil || len(bad) < 1000 {
		t.Fatalf("%v; %d problems", err, len(bad))
	}
	agree(t, ours, postmap(t, dir, "texthash:"+path, keys), keys)
	if out, err := exec.Command(needs.Program(t, "postmap"), "-c", dir, "hash:"+path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %.500s", err, out)
	}
	agree(t, ours, postmap(t, dir, "hash:"+path, keys), keys)
}

// TestPatterns: expressions of both kinds, built of the pieces that tables of real sites have.
func TestPatterns(t *testing.T) {
	for _, kind := range []string{"regexp", "pcre"} {
		t.Run(kind, func(t *testing.T) {
			dir := configured(t)
			for round := range uint64(12) {
				r := rand.New(rand.NewPCG(3, round))
				text := patterns(r, kind)
				var keys []string
				for range 500 {
					// No letters of two bytes: Postfix takes them for two characters, here they are one.
					keys = append(keys, pick(r, strings.ReplaceAll(word(r), "ü", "u")+"@"+domain(r), "Subject: x "+fmt.Sprint(r.IntN(100)), "a.b.c", fmt.Sprint(r.IntN(1e6)), "x-abab$", `a\b]`, "AbAbbc", "[]-^"))
				}
				path := filepath.Join(dir, fmt.Sprint("patterns", round))
				write(t, path, text)
				ours, bad := table.Regexp(text)
				if kind == "pcre" {
					ours, bad = table.PCRE(text)
				}
				if len(bad) > 0 {
					t.Fatalf("%v\n%s", bad, text)
				}
				agree(t, ours, postmap(t, dir, kind+":"+path, keys), keys)
				if t.Failed() {
					t.Fatalf("the table:\n%s", text)
				}
			}
		})
	}
}

// patterns makes a table.
func patterns(r *rand.Rand, kind string) string {
	atoms := []string{"a", "b", "c", ".", "x", "[abc]", "[^@]", "[[:alpha:]]", "[a-z0-9]", `\.`, "@", "-", `\+`, `\/`, "(a|ab)", "(.)", "([^@]+)", "example", "(b)?", "()"}
	if kind == "pcre" {
		atoms = append(atoms, `\d`, `\w`, `\S`, `(?:ab)`, `\x41`, `[\w.]`, `[\]]`, `(?i:Q)`, `\bex`)
	} else {
		atoms = append(atoms, `[]^]`, `[\.]`, `\<ex`, `org\>`, "[[.-.]x]", `\w`)
	}
	var b strings.Builder
	depth := 0
	for i := range 60 {
		var p strings.Builder
		p.WriteString(pick(r, "", "", "^"))
		for range 1 + r.IntN(4) {
			p.WriteString(atoms[r.IntN(len(atoms))])
			// Not behind a group that can take one text in several ways: engines choose differently what it held last.
			if last := p.String(); !strings.HasSuffix(last, ">") && !strings.HasSuffix(last, "?") && !strings.HasSuffix(last, "+)") {
				p.WriteString(pick(r, "", "", "", "*", "+", "?", "{2}", "{0,3}"))
			}
		}
		p.WriteString(pick(r, "", "$"))
		groups := strings.Count(strings.NewReplacer("(?", "", `\(`, "").Replace(p.String()), "(")
		value := fmt.Sprintf("rule%d", i)
		not := pick(r, "", "", "", "", "!")
		if groups > 0 && not == "" {
			value += fmt.Sprintf(" <$1> ${%d} $$", groups)
		}
		switch r.IntN(6) {
		case 0:
			fmt.Fprintf(&b, "if %s/%s/\n", not, p.String())
			depth++
		case 1:
			if depth > 0 {
				b.WriteString("endif\n")
				depth--
			}
		default:
			fmt.Fprintf(&b, "%s/%s/%s %s\n", not, p.String(), pick(r, "", "", "i"), value)
		}
	}
	b.WriteString(strings.Repeat("endif\n", depth))
	return b.String()
}

// TestNetworks: addresses of both families, negated networks, if.
func TestNetworks(t *testing.T) {
	dir := configured(t)
	r := rand.New(rand.NewPCG(5, 6))
	var text strings.Builder
	var keys []string
	address := func() string {
		if r.IntN(3) == 0 {
			return fmt.Sprintf("2001:db8:%x::%x", r.IntN(4), r.IntN(4))
		}
		return fmt.Sprintf("10.%d.%d.%d", r.IntN(3), r.IntN(3), r.IntN(4))
	}
	for i := range 200 {
		net := pick(r, address(), "10.0.0.0/8", fmt.Sprintf("10.%d.0.0/16", r.IntN(3)), fmt.Sprintf("10.%d.%d.0/30", r.IntN(3), r.IntN(3)), "2001:db8::/32",
			fmt.Sprintf("[2001:db8:%x::]/48", r.IntN(4)), "0.0.0.0/0", "::/0")
		if i < 190 && (net == "0.0.0.0/0" || net == "::/0" || net == "10.0.0.0/8" || net == "2001:db8::/32") {
			fmt.Fprintf(&text, "if %s%s\n%s inner%d\nendif\n", pick(r, "", "!"), net, address(), i)
			continue
		}
		fmt.Fprintf(&text, "%s%s net%d $1\n", pick(r, "", "", "", ""), net, i)
		if r.IntN(10) == 0 {
			fmt.Fprintf(&text, "10.1.2.3/8 has bits set\n1.2.3 is short\n")
		}
	}
	for range 2000 {
		keys = append(keys, pick(r, address(), address(), "11.2.3.4", "2001:db9::1", "nonsense", "10.1", ""))
	}
	keys = append(keys, "::ffff:10.0.0.1")
	path := filepath.Join(dir, "cidr")
	write(t, path, text.String())
	ours, _ := table.CIDR(text.String())
	agree(t, ours, postmap(t, dir, "cidr:"+path, keys), keys)
}

// TestInline: what is written into a setting itself.
func TestInline(t *testing.T) {
	dir := configured(t)
	for _, s := range []string{"{foo=bar}", "{foo=bar, { a = b c }, x=1}", "{ {a = b=c}, {c = d = e} }", "{A=b,q={x y}}"} {
		keys := []string{"foo", "FOO", "a", "x", "a b", "c", "q", "A"}
		ours, err := table.Inline(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		agree(t, ours, postmap(t, dir, "inline:"+s, keys), keys)
	}
}
