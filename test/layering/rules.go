package layering

import (
	"fmt"
	"strings"
)

// ban forbids packages under from to import packages under to. A path stands for itself and all below it. In from and
// to, "*" at the end names one folder: with "internal/agent/*" on both sides, a package may import its own folder but
// no sibling.
type ban struct {
	from, to string
	reason   string
}

// layers are the places a package may stand. A package anywhere else has no rules and is therefore an error.
var layers = []string{
	"internal/mail", "internal/wire", "internal/decide", "internal/state", "internal/agent", "internal/admin",
	"internal/web", "internal/node", "internal/config", "internal/obs", "internal/vfs", "internal/dns", "internal/submit",
	"internal/crypt",
	"cmd", "test",
	"internal/privhelper",
	"internal/migrate",
}

const (
	upwards   = "imports point from what acts to what it needs, never back: a lower layer declares an interface and node fills it"
	vocabOnly = "the vocabulary is shared by all and therefore depends on nobody"
	threeKept = "what speaks, what judges and what remembers stay apart, so that each can be read, tested and replaced alone"
	noAgents  = "an agent hands over values (Job, Outcome) through interfaces that it declares; only node joins agents"
	rooted    = "only node composes, and only commands start a node"
	supportIs = "support is for everyone, so it knows none of the layers (the mail vocabulary excepted)"
	ownEngine = "the protocol engines are our own; other libraries are second opinions in tests"
	rootSmall = "the helper runs as root: what it links is short enough to read in one sitting (config, for the paths that are allowed; crypt)"
	behindOne = "one package owns this dependency, so that it can be replaced or bounded in one place"
)

// bans is the table of the tree's layers: DESIGN's "mail ← wire, decide, state ← agent, admin, web ← node".
var bans = buildBans()

func buildBans() []ban {
	bans := []ban{
		{"internal/agent/*", "internal/agent/*", noAgents},
		{"internal/admin", "internal/agent", noAgents},
		{"internal/web", "internal/agent", noAgents},
		{"internal/admin", "internal/web", noAgents},
		{"internal/web", "internal/admin", noAgents},
		{"internal", "cmd", rooted},
		{"internal", "test", "the product does not depend on its tests"},
		{"cmd", "test", "the product does not depend on its tests"},
		{"internal", "github.com/emersion", ownEngine},
		{"cmd", "github.com/emersion", ownEngine},
	}
	add := func(reason string, froms []string, tos ...string) {
		for _, from := range froms {
			for _, to := range tos {
				if from != to {
					bans = append(bans, ban{from, to, reason})
				}
			}
		}
	}
	var (
		mail    = []string{"internal/mail"}
		middle  = []string{"internal/wire", "internal/decide", "internal/state"}
		actors  = []string{"internal/agent", "internal/admin", "internal/web"}
		support = []string{"internal/obs", "internal/vfs", "internal/dns", "internal/config", "internal/crypt", "internal/submit"}
	)
	add(vocabOnly, mail, append(append(append([]string{"internal/node"}, middle...), actors...), support...)...)
	add(threeKept, middle, middle...)
	add(upwards, middle, append([]string{"internal/node"}, actors...)...)
	add(rooted, actors, "internal/node")
	helper := []string{"internal/privhelper"}
	add(rootSmall, helper, append(append(middle[:3:3], actors...), "internal/mail", "internal/node", "internal/vfs", "internal/dns", "internal/obs")...)
	add("only node and the command privhelper speak with the helper", append(append(middle[:3:3], actors...), support...), helper...)
	migrate := []string{"internal/migrate"}
	add("a migration turns one text into another: it needs the configuration's keys and the parsers of tables, nothing that runs", migrate,
		append([]string{"internal/wire", "internal/state", "internal/mail", "internal/node", "internal/vfs", "internal/dns", "internal/obs", "internal/submit", "internal/crypt",
			"internal/privhelper", "internal/decide/access", "internal/decide/dnslist", "internal/decide/filter", "internal/decide/gate", "internal/decide/route", "internal/decide/sieve"}, actors...)...)
	add("migrations are commands of the operator's; nothing that runs needs them", append(append(append(middle[:3:3], actors...), support...), "internal/node", "internal/mail"), migrate...)
	add(supportIs, support, append(append([]string{"internal/node"}, middle...), actors...)...)
	return bans
}

// owned are modules that only the named packages may import.
var owned = []struct {
	module string
	owners []string
}{
	{"github.com/miekg/dns", []string{"internal/dns", "test"}},
	{"github.com/prometheus", []string{"internal/obs", "test"}},
	{"github.com/pelletier/go-toml", []string{"internal/config", "test"}},
	{"zombiezen.com/go/sqlite", []string{"internal/state", "internal/agent/lookup", "test"}},
	{"modernc.org/sqlite", []string{"internal/state", "test"}},
	{"github.com/jackc/pgx", []string{"internal/state/db", "internal/agent/lookup/sqltab", "test"}},
	{"github.com/go-sql-driver/mysql", []string{"internal/agent/lookup/sqltab", "test"}},
	{"github.com/go-ldap", []string{"internal/agent/lookup/ldaptab", "test"}},
	{"github.com/caddyserver/certmagic", []string{"internal/agent/certs", "internal/state/certstore", "test"}},
	{"github.com/mholt/acmez", []string{"internal/agent/certs", "test"}},
	{"github.com/go-crypt", []string{"internal/crypt", "test"}},
	{"github.com/coreos/go-systemd", []string{"cmd/postrider", "test"}},
	{"github.com/smallstep/pkcs7", []string{"internal/web/setup", "test"}},
	{"github.com/pires/go-proxyproto", []string{"internal/wire/link", "test"}},
	{"rsc.io/qr", []string{"internal/web/setup", "test"}},
	{"go.uber.org/zap", []string{"internal/agent/certs", "test"}},
}

// Check judges the import graph and returns one line per offence.
func Check(pkgs []Package) []string {
	var bad []string
	for _, p := range pkgs {
		path := p.Path()
		if !placed(path) {
			bad = append(bad, fmt.Sprintf("%s stands in no layer: add it to test/layering/rules.go with its bans", p.ImportPath))
		}
		if len(p.CgoFiles) > 0 {
			bad = append(bad, fmt.Sprintf("%s uses cgo: the binary is static and builds with CGO_ENABLED=0", path))
		}
		for _, imp := range p.Imports {
			if reason := forbidden(path, imp); reason != "" {
				bad = append(bad, fmt.Sprintf("%s imports %s: %s", path, imp, reason))
			}
		}
	}
	return bad
}

// forbidden returns why the package at path may not import imp, or "".
func forbidden(path, imp string) string {
	inside := strings.HasPrefix(imp, Module+"/")
	to := strings.TrimPrefix(imp, Module+"/")
	if imp == "C" {
		return "the binary is static and builds with CGO_ENABLED=0"
	}
	for _, b := range bans {
		if b.matches(path, to) {
			return b.reason
		}
	}
	if inside {
		return ""
	}
	if under(path, "internal/mail") && isModule(imp) && !strings.HasPrefix(imp, "golang.org/x/") {
		return vocabOnly
	}
	for _, o := range owned {
		if under(imp, o.module) && !underAny(path, o.owners) {
			return behindOne + " (" + strings.Join(o.owners, ", ") + ")"
		}
	}
	return ""
}

func (b ban) matches(path, to string) bool {
	from, wildFrom := strings.CutSuffix(b.from, "/*")
	target, wildTo := strings.CutSuffix(b.to, "/*")
	if !under(path, from) || !under(to, target) {
		return false
	}
	return !wildFrom || !wildTo || folderBelow(path, from) != folderBelow(to, target)
}

// folderBelow returns the first folder of path below dir: "mx" for internal/agent/mx/x below internal/agent.
func folderBelow(path, dir string) string {
	folder, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(path, dir), "/"), "/")
	return folder
}

func placed(path string) bool { return underAny(path, layers) }

func underAny(path string, dirs []string) bool {
	for _, d := range dirs {
		if under(path, d) {
			return true
		}
	}
	return false
}

func under(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// isModule tells a third-party import from the standard library's, whose first element has no dot.
func isModule(imp string) bool {
	first, _, _ := strings.Cut(imp, "/")
	return strings.Contains(first, ".")
}
