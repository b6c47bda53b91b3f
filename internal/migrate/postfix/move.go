package postfix

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/config"
)

// Options say how a configuration is moved.
type Options struct {
	Output     string   // the folder that the result is written to, absolute; files that keys must name by their full path are there
	Hostname   string   // what the system calls itself
	TableTypes []string // types of tables that our server can open

	// KeepMailboxes lets mail go on to the program that keeps mailboxes now (virtual_transport, local_transport): Dovecot
	// behind LMTP. Without it mailboxes are ours.
	KeepMailboxes bool
}

// Fate is what became of a line.
type Fate string

// The fates.
const (
	Translated  Fate = "translated"
	Same        Fate = "same"        // as our default, or as Postfix's own
	Meaningless Fate = "meaningless" // nothing to do here, and why
	Unsupported Fate = "unsupported" // something for the operator to do, and what
)

// Line is one line of the report.
type Line struct {
	File      string   `json:"file"` // main.cf, master.cf, or a table's file; empty: a default of Postfix that no line sets
	Line      int      `json:"line,omitempty"`
	Service   string   `json:"service,omitempty"` // of master.cf: "submission/inet"
	Parameter string   `json:"parameter,omitempty"`
	Fate      Fate     `json:"fate"`
	Keys      []string `json:"keys,omitempty"` // of our configuration
	Text      string   `json:"text,omitempty"`
}

// Result is a configuration that was moved.
type Result struct {
	Lines  []Line
	Config string            // postrider.toml
	Files  map[string][]byte // what goes beside it, by path: tables, passwords, import.sh
}

// verdict is the fate of a parameter.
type verdict struct {
	fate Fate
	keys []string
	text string
}

func translated(keys ...string) verdict { return verdict{fate: Translated, keys: keys} }
func same(text string) verdict          { return verdict{fate: Same, text: text} }
func meaningless(format string, args ...any) verdict {
	return verdict{fate: Meaningless, text: fmt.Sprintf(format, args...)}
}
func unsupported(format string, args ...any) verdict {
	return verdict{fate: Unsupported, text: fmt.Sprintf(format, args...)}
}

func (v verdict) with(format string, args ...any) verdict {
	text := fmt.Sprintf(format, args...)
	if v.text != "" {
		text = v.text + "; " + text
	}
	v.text = text
	return v
}

// assignment is a key that is written.
type assignment struct {
	literal string
	from    []string // "main.cf:12 message_size_limit"
}

// param is a parameter on its way.
type param struct {
	name, raw, value string
	service          *Service // whose -o it is; nil: main.cf's
	file             string
	line             int
	noAuth           bool     // no AUTH on the service: Postfix passes over reject_sender_login_mismatch and its relatives
	doubts           []string // what the operator must see to, though the rest was translated
}

func (p *param) doubt(format string, args ...any) {
	p.doubts = append(p.doubts, fmt.Sprintf(format, args...))
}

func (p *param) origin() string {
	switch {
	case p.file == "":
		return "Postfix's default: " + p.name
	case p.service != nil:
		return fmt.Sprintf("%s:%d -o %s", p.file, p.line, p.name)
	}
	return fmt.Sprintf("%s:%d %s", p.file, p.line, p.name)
}

type move struct {
	*Origin
	opt    Options
	schema map[string]config.Key
	byName map[string][]string // the last part of a key → keys
	set    map[string]assignment
	lines  []Line
	files  map[string][]byte
	looked map[string]string // tables that were copied: path → new name, "" for one that cannot be used
	script script

	certificates []string          // what tls.certificates has so far
	used         map[string]bool   // transports that something sends mail to
	users        map[string]string // who uses a name, once somebody asked
	hints        int               // how often a nearest name was looked for
	rules        map[string]*rule
}

// Move makes our configuration of one of Postfix.
func Move(o *Origin, opt Options) (*Result, error) {
	m := newMove(o, opt)
	m.problems("main.cf", o.MainProblems)
	for i, s := range o.Settings {
		m.setting(i, s)
	}
	m.problems("master.cf", o.MasterProblems)
	m.services()
	m.implicit()
	m.accounts()
	text, err := m.render()
	if err != nil {
		return nil, err
	}
	if s := m.script.String(); s != "" {
		m.files["import.sh"] = []byte(s)
	}
	return &Result{Lines: m.lines, Config: text, Files: m.files}, nil
}

func newMove(o *Origin, opt Options) *move {
	m := &move{Origin: o, opt: opt, schema: map[string]config.Key{}, byName: map[string][]string{}, set: map[string]assignment{},
		files: map[string][]byte{}, used: map[string]bool{}, looked: map[string]string{}, rules: ruleIndex()}
	for _, k := range config.Schema() {
		m.schema[k.Name] = k
		if name, ok := m.nameOf(k.Name); ok {
			m.byName[name] = append(m.byName[name], k.Name)
		}
	}
	return m
}

func (m *move) problems(file string, bad []Problem) {
	for _, p := range bad {
		m.lines = append(m.lines, Line{File: file, Line: p.Line, Fate: Unsupported, Text: p.Text + "; correct it and run this again"})
	}
}

// setting finds the fate of one line of main.cf.
func (m *move) setting(i int, s Setting) {
	p := &param{name: s.Name, raw: s.Value, file: "main.cf", line: s.Line}
	if last := m.last[s.Name]; last != i {
		m.tell(p, meaningless("it is set again in line %d, which counts", m.Settings[last].Line))
		return
	}
	m.judge(p)
}

// judge expands a parameter, finds its fate, and tells it.
func (m *move) judge(p *param) {
	value, unknown, err := m.expanded(p.name, p.service)
	if p.value = strings.Trim(value, blanks); err != nil {
		m.tell(p, unsupported("its value cannot be expanded: %v", err))
		return
	}
	v := m.fate(p)
	for _, name := range unknown {
		if v.fate != Meaningless {
			p.doubt("$%s has no value; it counts as empty", name)
		}
	}
	m.tell(p, v)
}

// fate decides what becomes of a parameter: an exception of the rules, a key of the same name, the rule's word, or unknown.
func (m *move) fate(p *param) verdict {
	r := m.rules[p.name]
	if p.service != nil {
		if v, ok := m.override(p); ok {
			return v
		}
	}
	if strings.HasPrefix(p.name, "postscreen_") && m.postscreen() == nil && len(m.Services) > 0 {
		return meaningless("no service of master.cf is a postscreen")
	}
	if r != nil && r.do != nil {
		return r.do(m, p)
	}
	if keys := m.byName[p.name]; len(keys) > 0 {
		return m.named(p, keys)
	}
	if r == nil {
		r = prefixRule(p.name)
	}
	if name := m.transportOf(p.name); r == nil && name != "" && (m.isProgram(name) || m.feedsFilter(name) || !m.transportUsed(name)) {
		r = &rule{fate: Meaningless, text: "see the service " + name + " of master.cf"}
	} else if r == nil && name != "" {
		r = &rule{fate: Unsupported, text: "limits of a single transport; mta.concurrency, mta.concurrency_per_destination and mta.max_recipients hold for all of them"}
	}
	byDefault, known := m.Default(p.name)
	switch {
	case known && (r == nil || r.fate == Unsupported) && sameValue(p.value, byDefault):
		return same("as Postfix's own default")
	case r != nil:
		return verdict{fate: r.fate, text: r.text}
	case known:
		return unsupported("%s", noCounterpart)
	}
	return m.unknown(p)
}

const noCounterpart = "there is no counterpart; see whether you need it"

func listSeparator(r rune) bool { return r == ',' || strings.ContainsRune(blanks, r) }

// transportOf returns the transport that a parameter belongs to, as slow_destination_rate_delay to slow.
func (m *move) transportOf(name string) string {
	for _, ending := range perTransport {
		if prefix, ok := strings.CutSuffix(name, ending); ok && m.isTransport(prefix) {
			return prefix
		}
	}
	return ""
}

// sameValue compares values but for blanks and commas.
func sameValue(a, b string) bool {
	return slices.Equal(strings.FieldsFunc(a, listSeparator), strings.FieldsFunc(b, listSeparator))
}

// tell writes a parameter's line of the report.
func (m *move) tell(p *param, v verdict) {
	if len(p.doubts) > 0 {
		if v.fate == Translated && len(v.keys) > 0 {
			v.text = strings.TrimPrefix(v.text+"; otherwise translated to "+strings.Join(v.keys, ", "), "; ")
		}
		v.fate = Unsupported
		text := strings.Join(p.doubts, "; ")
		if v.text != "" {
			text += "; " + v.text
		}
		v.text = text
	}
	l := Line{File: p.file, Line: p.line, Parameter: p.name, Fate: v.fate, Keys: v.keys, Text: v.text}
	if p.service != nil {
		l.Service = p.service.Label()
	}
	m.lines = append(m.lines, l)
}

// put writes a key. A value like our default is not written.
func (m *move) put(p *param, key string, value any) verdict {
	return m.putLiteral(p, key, config.Literal(value))
}

func (m *move) putLiteral(p *param, key, literal string) verdict {
	k, ok := m.schema[key]
	if !ok {
		return unsupported("there is no key %s", key)
	}
	a, again := m.set[key]
	if !again && literal == k.Default {
		return same("as the default of " + key)
	}
	a.literal = literal
	a.from = append(a.from, p.origin())
	m.set[key] = a
	return translated(key)
}

// outputPath is where a file of the result is; a name that is relative to postrider.toml where no folder was said.
func (m *move) outputPath(name string) string {
	if m.opt.Output == "" {
		return filepath.Join("/etc/postrider", name)
	}
	return filepath.Join(m.opt.Output, name)
}
