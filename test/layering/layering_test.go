package layering

import (
	"path/filepath"
	"strings"
	"testing"
)

func load(t *testing.T) []Package {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	pkgs, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 5 {
		t.Fatalf("go list found only %d packages: the check would pass on nothing", len(pkgs))
	}
	return pkgs
}

func TestLayers(t *testing.T) {
	for _, line := range Check(load(t)) {
		t.Error(line)
	}
}

func TestSources(t *testing.T) {
	bad, err := CheckSources(load(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range bad {
		t.Error(line)
	}
}

// Each ban catches the import that it exists for, and the imports that the design wants pass.
func TestCheckerCatchesBadGraphs(t *testing.T) {
	for _, c := range []struct {
		from, to string
		bad      bool
	}{
		{"internal/mail/mime", "internal/obs", true},
		{"internal/mail/mime", "internal/state/db", true},
		{"internal/mail/mime", "github.com/miekg/dns", true},
		{"internal/mail/mime", "golang.org/x/text/encoding", false},
		{"internal/mail/mime", "internal/mail/header", false},
		{"internal/mail/mime", "encoding/base64", false},
		{"internal/wire/smtp", "internal/state/queue", true},
		{"internal/wire/smtp", "internal/decide/access", true},
		{"internal/wire/smtp", "internal/wire/sasl", false},
		{"internal/wire/smtp", "internal/mail/status", false},
		{"internal/wire/smtp", "internal/agent/mx", true},
		{"internal/wire/smtp", "github.com/emersion/go-smtp", true},
		{"internal/decide/route", "internal/wire/smtp", true},
		{"internal/decide/route", "internal/state/directory", true},
		{"internal/state/queue", "internal/wire/smtp", true},
		{"internal/state/queue", "internal/decide/route", true},
		{"internal/state/queue", "internal/node", true},
		{"internal/state/queue", "internal/vfs", false},
		{"internal/agent/mx", "internal/agent/mda", true},
		{"internal/agent/mx", "internal/agent/mx/policy", false},
		{"internal/agent/mx/policy", "internal/agent/mda", true},
		{"internal/agent/mx", "internal/wire/smtp", false},
		{"internal/agent/mx", "internal/node", true},
		{"internal/admin", "internal/agent/mx", true},
		{"internal/web", "internal/admin", true},
		{"internal/node", "internal/agent/mx", false},
		{"internal/obs", "internal/state/db", true},
		{"internal/obs", "internal/mail/queueid", false},
		{"internal/dns", "internal/agent/mta", true},
		{"internal/dns", "github.com/miekg/dns", false},
		{"internal/agent/mta", "github.com/miekg/dns", true},
		{"internal/state/db", "zombiezen.com/go/sqlite", false},
		{"internal/agent/mda", "zombiezen.com/go/sqlite", true},
		{"internal/agent/mda", "test/needs", true},
		{"cmd/postrider", "internal/node", false},
		{"internal/agent/mda", "C", true},
	} {
		to := c.to
		if under(to, "internal") || under(to, "cmd") || under(to, "test") {
			to = Module + "/" + to
		}
		got := Check([]Package{{ImportPath: Module + "/" + c.from, Imports: []string{to}}})
		if (len(got) > 0) != c.bad {
			t.Errorf("%s imports %s: got %q, want an offence: %v", c.from, c.to, got, c.bad)
		}
	}
}

func TestCheckerCatchesStrangersAndCgo(t *testing.T) {
	for name, p := range map[string]Package{
		"no layer": {ImportPath: Module + "/internal/util"},
		"cgo":      {ImportPath: Module + "/internal/state/db", CgoFiles: []string{"x.go"}},
	} {
		if len(Check([]Package{p})) == 0 {
			t.Errorf("%s passes", name)
		}
	}
}

func TestEveryBanHasAReason(t *testing.T) {
	for _, b := range bans {
		if b.reason == "" {
			t.Errorf("%s → %s", b.from, b.to)
		}
	}
}

func TestCheckerCatchesBadSources(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"init", "package x\nfunc init() {}\n", "init()"},
		{"method named init", "package x\ntype T int\nfunc (T) init() {}\n", ""},
		{"lock", "package x\nimport \"sync\"\nvar mu sync.Mutex\n", "mutable package variable"},
		{"atomic", "package x\nimport \"sync/atomic\"\nvar n atomic.Pointer[int]\n", "mutable package variable"},
		{"made map", "package x\nvar m = make(map[string]int)\n", "mutable package variable"},
		{"table", "package x\nvar m = map[string]int{\"a\": 1}\n", ""},
		{"channel", "package x\nvar c chan int\n", "mutable package variable"},
		{"mark", "package x\n// TODO later\nvar a int\n", "unfinished"},
		{"skip", "package x\nimport \"testing\"\nfunc F(t *testing.T) { t.Skip(\"no\") }\n", "test/needs"},
		{"other Skip", "package x\nfunc F(t interface{ Skip() }) { t.Skip() }\n", ""},
	} {
		got, err := checkFile("internal/x", "x.go", c.src)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		all := strings.Join(got, "\n")
		if (c.want == "") != (all == "") || !strings.Contains(all, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, all, c.want)
		}
	}
	if bad, _ := CheckSources([]Package{{ImportPath: Module + "/internal/x", Dir: "../needs", GoFiles: []string{"needs.go"}}}); len(bad) == 0 {
		t.Error("a package without a comment passes")
	}
}
