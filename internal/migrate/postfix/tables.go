package postfix

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/decide/table"
)

// isText tells the types of tables whose text we read.
func isText(kind string) bool {
	switch kind {
	case "hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash", "regexp", "pcre", "cidr":
		return true
	}
	return false
}

// isDatabase tells the types whose file tells how to ask.
func isDatabase(kind string) bool {
	switch kind {
	case "mysql", "pgsql", "ldap", "sqlite", "memcache", "mongodb":
		return true
	}
	return false
}

// isTableType tells "type:name" of a table from other words with a colon.
func isTableType(kind string) bool {
	switch kind {
	case "inline", "static", "fail", "unionmap", "pipemap", "randmap", "tcp", "socketmap", "nis", "nisplus", "environ", "internal", "netinfo", "proxy", "redis":
		return true
	}
	return isText(kind) || isDatabase(kind)
}

// item makes one member of a list fit: tables are where the new system finds them, sockets of Postfix's queue folder have
// their full path, transports that are copies of our own are called by our name. "" is left out.
func (m *move) item(p *param, item string) string {
	words, err := splitArgs(item)
	if err != nil {
		return item
	}
	for i, w := range words {
		if w = m.word(p, w); w == "" {
			return ""
		}
		words[i] = w
	}
	return strings.Join(words, " ")
}

func (m *move) word(p *param, w string) string {
	if inner := unbrace(w); inner != w {
		parts, err := table.Split(inner)
		if err != nil {
			return w
		}
		for i, part := range parts {
			parts[i] = m.word(p, part)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	kind, rest, ok := strings.Cut(strings.TrimPrefix(w, "proxy:"), ":")
	if !ok {
		return w
	}
	switch {
	case kind == "unix" && strings.HasSuffix(rest, ".byname"):
		p.doubt("%s: users of the system are accounts here: postrider account add --system", w)
		return ""
	case kind == "unix" || kind == "local":
		return kind + ":" + m.socket(p, rest)
	case strings.HasPrefix(rest, "unix:"): // lmtp:unix:private/lmtp
		return kind + ":unix:" + m.socket(p, strings.TrimPrefix(rest, "unix:"))
	case isTableType(kind):
		return m.table(p, kind, rest)
	case m.isTransport(kind):
		return m.transport(p, kind) + ":" + rest
	}
	return w
}

// socket gives a path its beginning: what is relative is in the queue folder; milters of a service in chroot are there too.
func (m *move) socket(p *param, path string) string {
	if name, ok := strings.CutPrefix(path, "private/"); ok {
		if s := m.service(name, "unix"); s != nil && s.Command == "spawn" {
			return spawnSocket(name)
		}
	}
	queue, _ := m.Value("queue_directory", nil)
	s := m.smtpd()
	chroot := s != nil && s.Chroot == "y" && strings.HasSuffix(p.name, "_milters")
	if filepath.IsAbs(path) && !chroot || strings.HasPrefix(path, queue+"/") {
		return path
	}
	return filepath.Join(queue, path)
}

// table makes the name of a table fit. Files from Postfix's own folder, and all files if the source is a copy of another
// system, are copied; others are named where they are.
func (m *move) table(p *param, kind, rest string) string {
	if !slices.Contains(m.opt.TableTypes, kind) && kind != "sdbm" {
		p.doubt("tables of the type %s are not there; put its content into a file", kind)
		return ""
	}
	if (isDatabase(kind) || kind == "tcp" || kind == "socketmap") && strings.HasSuffix(p.name, "transport_maps") {
		m.answers(p, kind+":"+rest)
	}
	switch {
	case kind == "unionmap" || kind == "pipemap" || kind == "inline" || kind == "randmap":
		if kind != "unionmap" && kind != "pipemap" {
			return kind + ":" + rest
		}
		return kind + ":" + m.word(p, rest)
	case isDatabase(kind) && !strings.HasPrefix(rest, "/") && !strings.HasPrefix(rest, "."):
		return m.oldDatabase(p, kind, rest)
	case !isText(kind) && !isDatabase(kind):
		return kind + ":" + rest
	}
	if kind == "sdbm" {
		kind = "hash"
	}
	path, ok := m.copied(p, kind, rest)
	if !ok {
		return ""
	}
	return kind + ":" + path
}

// answers tells of programs that a database may name as transports: nobody can look whether it does.
func (m *move) answers(p *param, table string) {
	var programs []string
	for _, s := range m.Services {
		if s.Type == "unix" && s.Command == "pipe" {
			programs = append(programs, s.Name)
		}
	}
	if len(programs) > 0 {
		p.doubt("%s must not answer with transports that run programs (%s): they are not there", table, clip(strings.Join(programs, ", ")))
	}
}

// oldDatabase writes the file of a database whose settings stand in main.cf: ldap:source with source_server_host.
func (m *move) oldDatabase(p *param, kind, source string) string {
	var b strings.Builder
	for _, s := range m.Settings {
		if name, ok := strings.CutPrefix(s.Name, source+"_"); ok && m.Settings[m.last[s.Name]] == s {
			value, _ := m.Value(s.Name, nil)
			b.WriteString(name + " = " + value + "\n")
		}
	}
	if b.Len() == 0 {
		p.doubt("%s:%s has no settings %s_… in main.cf", kind, source, source)
		return ""
	}
	name := "maps/" + source + ".cf"
	m.files[name] = []byte(b.String())
	return kind + ":" + name
}

// maxTable bounds the text of a table, bytes.
const maxTable = 256 << 20

// copied takes a table's file along and looks whether each line of it can be used.
func (m *move) copied(p *param, kind, path string) (name string, ok bool) {
	if name, done := m.looked[kind+":"+path]; done {
		if name == "" {
			p.doubt("the table %s:%s cannot be read", kind, path)
		}
		if text, copied := m.files[name]; copied && strings.HasSuffix(p.name, "transport_maps") {
			m.files[name] = m.renamed(path, text)
		}
		return name, name != ""
	}
	at := m.At(path)
	text, err := readTable(at)
	if err != nil {
		m.looked[kind+":"+path] = ""
		p.doubt("the table %s:%s cannot be read: %s", kind, path, reason(err))
		if _, has := os.Stat(at + ".db"); has == nil && errors.Is(err, fs.ErrNotExist) {
			p.doubt("there is a compiled one: postmap -s %s:%s > %s writes its text", kind, path, path)
		}
		return "", false
	}
	m.lineProblems(p, kind, path, string(text))
	if p.name == "alias_maps" {
		m.programs(path, string(text))
	}
	name = path
	if rest, inside := m.inside(path); inside || !filepath.IsAbs(path) {
		if !inside {
			rest = path
		}
		name = "maps/" + strings.TrimPrefix(filepath.Clean("/"+rest), "/")
	} else if at != path {
		name = "maps/" + strings.TrimPrefix(path, "/")
	}
	if strings.HasSuffix(p.name, "transport_maps") {
		text = m.renamed(path, text)
	} else {
		text = m.renamedFilters(text)
	}
	if name != path {
		m.files[name] = text
	}
	m.looked[kind+":"+path] = name
	return name, true
}

func readTable(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	case fi.Size() > maxTable:
		return nil, errors.New("it is larger than 256 MiB")
	}
	return os.ReadFile(path)
}

// reason shortens an error of a file: its path is said already.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// maxReported bounds the lines of one table that are named.
const maxReported = 20

// lineProblems names the lines of a table that cannot be used.
func (m *move) lineProblems(p *param, kind, path, text string) {
	var bad []table.Problem
	switch {
	case kind == "regexp":
		_, bad = table.Regexp(text)
	case kind == "pcre":
		_, bad = table.PCRE(text)
	case kind == "cidr":
		_, bad = table.CIDR(text)
	case p.name == "alias_maps" || p.name == "alias_database":
		_, bad, _ = table.Aliases(text)
	case isText(kind):
		_, bad, _ = table.Text(text)
	}
	for i, b := range bad {
		l := Line{File: path, Line: b.Line, Fate: Unsupported, Text: b.Text}
		if i == maxReported {
			l.Line, l.Text = 0, "and more lines that cannot be used: postrider postmap "+kind+":"+path+" names them"
		}
		if m.lines = append(m.lines, l); i == maxReported {
			return
		}
	}
}

// keysOf returns the keys of a table in its order.
func (m *move) keysOf(p *param, kind, path string) (keys []string, ok bool) {
	text, err := readTable(m.At(path))
	if err != nil {
		p.doubt("the table %s:%s cannot be read: %s", kind, path, reason(err))
		return nil, false
	}
	if kind == "regexp" || kind == "pcre" {
		p.doubt("%s:%s has patterns, which cannot be listed; write what it stands for", kind, path)
		return nil, false
	}
	lines, _ := logicalLines(string(text))
	for _, l := range lines {
		key, _, _ := strings.Cut(strings.ReplaceAll(l.text, "\t", " "), " ")
		keys = append(keys, key)
	}
	return keys, true
}

// transport gives a transport of master.cf our name: copies of smtp, lmtp and relay are these; programs stay what they are.
func (m *move) transport(p *param, name string) string {
	s := m.service(name, "unix")
	m.used[name] = true
	switch s.Command {
	case "smtp":
		if name != "smtp" && name != "relay" && len(s.Override) > 0 && !m.feedsFilter(name) {
			p.doubt("the transport %s has settings of its own in master.cf:%d, which do not move", name, s.Line)
		}
		return "smtp"
	case "lmtp", "local", "virtual", "error", "retry", "discard":
		return s.Command
	case "pipe":
		p.doubt("the transport %s runs a program (master.cf:%d)", name, s.Line)
	}
	return name
}

// renamed gives the transports in a table of transports our names: a copy of smtp in master.cf is smtp here. Sockets get their
// full path. Of transports that run programs it tells.
func (m *move) renamed(path string, text []byte) []byte {
	lines := strings.SplitAfter(string(text), "\n")
	told := map[string]bool{}
	for i, line := range lines {
		start := strings.LastIndexAny(strings.TrimRight(line, blanks+"\n"), blanks) + 1
		name, hop, ok := strings.Cut(line[start:], ":")
		if start == 0 || !ok || strings.HasPrefix(strings.TrimLeft(line, blanks), "#") || !m.isTransport(name) {
			continue
		}
		p := &param{name: "transport_maps"}
		ours := m.transport(p, name)
		if path, socket := strings.CutPrefix(hop, "unix:"); socket && !strings.HasPrefix(path, "/") { // lmtp:unix:private/lmtp
			hop = "unix:" + m.socket(p, path)
		}
		lines[i] = line[:start] + ours + ":" + hop
		if len(p.doubts) > 0 && !told[name] {
			told[name] = true
			m.lines = append(m.lines, Line{File: path, Line: i + 1, Fate: Unsupported, Text: strings.Join(p.doubts, "; ")})
		}
	}
	return []byte(strings.Join(lines, ""))
}

// filterAction is FILTER transport:nexthop in a table of actions.
var filterAction = regexp.MustCompile(`(?m)^([^#\n]*[ \t]FILTER[ \t]+)([A-Za-z0-9_.-]+):`)

// renamedFilters gives the transports of FILTER our names.
func (m *move) renamedFilters(text []byte) []byte {
	return filterAction.ReplaceAllFunc(text, func(all []byte) []byte {
		parts := filterAction.FindSubmatch(all)
		if name := string(parts[2]); m.isTransport(name) {
			return append(slices.Clone(parts[1]), m.transport(&param{}, name)+":"...)
		}
		return all
	})
}

// programs tells of aliases that run programs or write to files: they are off here until they are allowed.
func (m *move) programs(path, text string) {
	lines, _ := logicalLines(text)
	for _, l := range lines {
		_, value, _ := strings.Cut(l.text, ":")
		for target := range strings.SplitSeq(value, ",") {
			target = strings.TrimLeft(target, blanks+`"`)
			switch {
			case strings.HasPrefix(target, "|"):
				m.lines = append(m.lines, Line{File: path, Line: l.line, Fate: Unsupported,
					Text: "runs a program: set routing.allow_mail_to_commands = [\"alias\"] and helper.enabled, if you want that (docs/aliases.md)"})
			case strings.HasPrefix(target, ":include:"):
				if _, inside := m.inside(strings.Trim(target[len(":include:"):], blanks+`"`)); inside {
					m.lines = append(m.lines, Line{File: path, Line: l.line, Fate: Meaningless, Text: "the file of " + clip(target) + " is read where it is: keep it"})
				}
			case strings.HasPrefix(target, "/"):
				m.lines = append(m.lines, Line{File: path, Line: l.line, Fate: Unsupported,
					Text: "writes to a file: set routing.allow_mail_to_files = [\"alias\"] and helper.enabled, if you want that (docs/aliases.md)"})
			}
		}
	}
}
