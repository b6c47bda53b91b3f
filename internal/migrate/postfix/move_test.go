package postfix

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
)

var update = flag.Bool("update", false, "write the golden files, and docs/migrate-postfix.md, anew")

// types are the tables that the server of these tests can open.
var types = []string{"btree", "cdb", "cidr", "dbm", "fail", "hash", "inline", "ldap", "lmdb", "memcache", "mysql", "pcre", "pgsql", "pipemap", "randmap",
	"redis", "regexp", "socketmap", "sqlite", "static", "tcp", "texthash", "unionmap"}

// sites are the configurations of testdata/sites: etc/postfix and what it names in a copy of a system.
func sites(t testing.TB) []string {
	entries, err := os.ReadDir("testdata/sites")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func moved(t testing.TB, site string) *Result {
	t.Helper()
	o, err := Read(filepath.Join("testdata/sites", site, "etc/postfix"), "host.example.org")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Move(o, Options{Hostname: "host.example.org", TableTypes: types})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// golden compares with a file, or writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs; after a change of keys or rules: go test ./internal/migrate/postfix -update\n%s", path, firstDifference(string(want), got))
	}
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "want: " + a[i] + "\ngot:  " + b[i]
		}
	}
	return "one is longer"
}

// TestSites moves every configuration: what is written and what is reported are golden, our reading of the configuration
// takes the result, every line of the source has one fate, and keys exist.
func TestSites(t *testing.T) {
	keys := config.Keys()
	for _, site := range sites(t) {
		t.Run(site, func(t *testing.T) {
			r := moved(t, site)
			var report strings.Builder
			r.WriteReport(&report)
			dir := filepath.Join("testdata/golden", site)
			golden(t, filepath.Join(dir, "postrider.toml"), r.Config)
			golden(t, filepath.Join(dir, "report.txt"), report.String())
			golden(t, filepath.Join(dir, "import.sh"), string(r.Files["import.sh"]))
			if _, err := config.Parse("postrider.toml", []byte(r.Config), nil); err != nil {
				t.Errorf("the result is refused: %v", err)
			}
			told := map[string]int{}
			for _, l := range r.Lines {
				if l.File == "main.cf" && l.Parameter != "" {
					told[l.Parameter]++
				}
				if l.Fate == Translated && len(l.Keys) == 0 {
					t.Errorf("%s: translated to nothing", l)
				}
				for _, k := range l.Keys {
					if k != "import.sh" && !slices.Contains(keys, k) && !strings.HasPrefix(k, "pipes.") {
						t.Errorf("%s: there is no key %s", l, k)
					}
				}
			}
			o, _ := Read(filepath.Join("testdata/sites", site, "etc/postfix"), "")
			for _, s := range o.Settings {
				if told[s.Name]--; told[s.Name] < 0 {
					t.Errorf("main.cf:%d %s: nothing is told of it", s.Line, s.Name)
				}
			}
		})
	}
}
