package access

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/dnslist"
	"github.com/postrider/postrider/internal/decide/table"
)

// rule is one restriction of a list, ready to be judged.
type rule struct {
	text   string // as the configuration has it
	name   string
	run    func(*eval, *rule) outcome
	warn   bool // warn_if_reject stands in front
	arg    string
	tables table.List
	list   dnslist.List
	pause  time.Duration
	rules  []rule // of a class
}

// Bounds of what a list may be.
const (
	maxRules   = 1000
	maxNesting = 20
	maxSleep   = time.Minute
)

// parser reads lists of restrictions. In the answer of a table no table may be named: it would have to be opened while a
// client waits.
type parser struct {
	p       *Policy
	kind    Kind
	inTable bool
	within  []string // classes that are being read, outermost first
	count   int
}

// Parse reads a list; each item in Postfix's syntax.
func (p *Policy) Parse(kind Kind, items []string) ([]rule, error) {
	r := &parser{p: p, kind: kind}
	var all []rule
	var errs []error
	for _, item := range items {
		rules, err := r.list(item)
		all, errs = append(all, rules...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// list reads restrictions separated by commas or blanks; braces keep together what belongs together.
func (r *parser) list(text string) (rules []rule, err error) {
	words, err := table.Split(text)
	if err != nil {
		return nil, err
	}
	var errs []error
	warn, warned := false, ""
	for len(words) > 0 {
		var one []rule
		word := words[0]
		if strings.EqualFold(word, "warn_if_reject") {
			warn, warned, words = true, word, words[1:]
			continue
		}
		if one, words, err = r.one(words); err != nil {
			errs = append(errs, err)
		}
		for i := range one {
			one[i].warn = one[i].warn || warn
		}
		rules, warn = append(rules, one...), false
		if r.count += len(one); r.count > maxRules {
			return nil, fmt.Errorf("more than %d restrictions", maxRules)
		}
	}
	if warn {
		errs = append(errs, fmt.Errorf("%s wants a restriction behind it", warned))
	}
	return rules, errors.Join(errs...)
}

// one reads the restriction that words begin with, and returns the words behind it.
func (r *parser) one(words []string) ([]rule, []string, error) {
	word, rest := words[0], words[1:]
	if strings.HasPrefix(word, "{") {
		rules, err := r.group(word)
		return rules, rest, err
	}
	if class, ok := r.p.classes[word]; ok && class != "" {
		rules, err := r.classRules(word)
		return []rule{{text: word, name: word, run: runClass, rules: rules}}, rest, err
	}
	name := strings.ToLower(word)
	s, ok := r.p.names[name]
	if !ok && strings.Contains(word, ":") {
		return r.bareTable(word, rest)
	}
	if !ok {
		return nil, rest, r.unknown(word)
	}
	if s.gone != "" {
		return nil, rest, fmt.Errorf("%s: %s", word, s.gone)
	}
	one := rule{text: word, name: name, run: s.run}
	if s.want == nothing {
		return []rule{one}, rest, nil
	}
	if len(rest) == 0 {
		return nil, nil, fmt.Errorf("%s wants %s behind it", word, s.want)
	}
	one.text = word + " " + rest[0]
	err := r.argument(&one, s.want, rest[0])
	if err != nil {
		err = fmt.Errorf("%s: %w", word, err)
	}
	return []rule{one}, rest[1:], err
}

func (r *parser) group(word string) ([]rule, error) {
	inner, err := table.Unbrace(word)
	if err != nil {
		return nil, err
	}
	return r.list(inner)
}

func (r *parser) classRules(name string) ([]rule, error) {
	if slices.Contains(r.within, name) {
		return nil, fmt.Errorf("restriction class %q leads to itself: %s", name, strings.Join(append(r.within, name), " -> "))
	}
	if len(r.within) >= maxNesting {
		return nil, fmt.Errorf("restriction classes are nested deeper than %d", maxNesting)
	}
	inTable := r.inTable
	r.within, r.inTable = append(r.within, name), false
	defer func() { r.within, r.inTable = r.within[:len(r.within)-1], inTable }()
	rules, err := r.list(r.p.classes[name])
	if err != nil {
		err = fmt.Errorf("class %q: %w", name, err)
	}
	return rules, err
}

// bareTable is "type:name" where a restriction should stand: the list's own check_*_access.
func (r *parser) bareTable(word string, rest []string) ([]rule, []string, error) {
	name := [lists]string{"check_client_access", "check_helo_access", "check_sender_access", "check_recipient_access", "check_recipient_access"}[r.kind]
	if name == "" {
		return nil, rest, fmt.Errorf("%q: a table without a restriction in front says nothing in this list", word)
	}
	one := rule{text: word, name: name, run: r.p.names[name].run}
	err := r.argument(&one, aTable, word)
	return []rule{one}, rest, err
}

func (r *parser) unknown(word string) error {
	var known []string
	for name := range r.p.names {
		known = append(known, name)
	}
	for name := range r.p.classes {
		known = append(known, name)
	}
	slices.Sort(known)
	if near := config.Nearest(strings.ToLower(word), known); near != "" {
		return fmt.Errorf("unknown restriction %.100q; did you mean %q?", word, near)
	}
	return fmt.Errorf("unknown restriction %.100q", word)
}

func (r *parser) argument(one *rule, want want, word string) (err error) {
	if want != aService || strings.HasPrefix(word, "{") {
		if word, err = table.Unbrace(word); err != nil {
			return err
		}
	}
	one.arg = word
	switch want {
	case aTable:
		if r.inTable {
			return errors.New("a table cannot be named in the answer of a table; make a restriction class of it")
		}
		one.tables, err = r.p.opt.Tables(word)
	case aList:
		one.list, err = dnslist.Parse(word, false)
	case aService:
		switch {
		case r.inTable:
			return errors.New("a policy server cannot be named in the answer of a table; make a restriction class of it")
		case r.p.opt.Servers == nil:
			return errors.New("no policy server can be asked here")
		}
		err = r.p.opt.Servers.Check(word)
	case someSeconds:
		n, bad := strconv.Atoi(strings.TrimSuffix(word, "s"))
		if one.pause = time.Duration(n) * time.Second; bad != nil || n < 0 || one.pause > maxSleep {
			err = fmt.Errorf("%q is not a number of seconds from 0 to %d", word, int(maxSleep/time.Second))
		}
	}
	return err
}
