package table

import (
	"context"
	"strconv"
	"strings"
)

// maxNesting bounds if in if.
const maxNesting = 100

// Patterns is a table of rules that are tried in order: regexp, pcre or cidr.
type Patterns struct {
	rules []rule
	nets  *netIndex // of cidr
}

// rule is a line. With inner it is an if: where it matches, its inner rules are tried, then the lines after its endif.
type rule struct {
	match  matcher
	negate bool
	value  template
	inner  []rule
	branch bool // an if
}

// matcher tells whether a key matches, with the places of the captures as regexp.FindSubmatchIndex gives them. A key to which
// the rule does not apply (an IPv6 address and an IPv4 network) does not match the negated rule either.
type matcher interface {
	find(key string) (places []int, applies bool)
}

// Pattern implements Table.
func (p *Patterns) Pattern() bool { return true }

// Lookup implements Table. It never fails.
func (p *Patterns) Lookup(_ context.Context, key string) (string, bool, error) {
	if p.nets != nil {
		value, found := p.nets.lookup(p.rules, key)
		return value, found, nil
	}
	value, found := first(p.rules, key)
	return value, found, nil
}

func first(rules []rule, key string) (string, bool) {
	for i := range rules {
		r := &rules[i]
		places, applies := r.match.find(key)
		if !applies || (places != nil) == r.negate {
			continue
		}
		if !r.branch {
			return r.value.expand(key, places), true
		}
		if value, found := first(r.inner, key); found {
			return value, true
		}
	}
	return "", false
}

// dialect is what differs between tables of patterns.
type dialect interface {
	// pattern parses the pattern at the beginning of s, without the leading !, and returns the rest of the line.
	pattern(s string) (m matcher, captures int, rest, problem string)
}

// parse reads a text of rules.
func parse(text string, of dialect) (*Patterns, []Problem) {
	all, bad := lines(text)
	p := &parser{dialect: of, bad: bad}
	root := p.block(all, 0)
	return &Patterns{rules: root}, p.bad
}

type parser struct {
	dialect
	bad  []Problem
	rest []line
}

// block reads rules until the endif that belongs to it, or the end.
func (p *parser) block(all []line, depth int) (rules []rule) {
	p.rest = all
	for len(p.rest) > 0 {
		l := p.rest[0]
		p.rest = p.rest[1:]
		first, _ := word(l.text)
		switch {
		case strings.EqualFold(first, "endif"):
			if depth > 0 {
				return rules
			}
			p.problem(l, "endif without an if")
		case isIf(l.text):
			rules = p.branch(rules, l, strings.TrimLeft(l.text[2:], blanks), depth)
		default:
			rules = p.rule(rules, l)
		}
	}
	if depth > 0 {
		p.bad = append(p.bad, Problem{0, "an if has no endif: it goes on to the end of the file"})
	}
	return rules
}

// isIf tells a line "if /pattern/".
func isIf(s string) bool {
	return len(s) > 2 && strings.EqualFold(s[:2], "if") && (strings.IndexByte(blanks, s[2]) >= 0 || s[2] == '!' || s[2] == '/')
}

func (p *parser) problem(l line, text string) { p.bad = append(p.bad, Problem{l.number, text}) }

// branch reads an if with its block. One that cannot be understood is left out whole, for to try its rules without their
// condition would be wrong.
func (p *parser) branch(rules []rule, l line, s string, depth int) []rule {
	if depth >= maxNesting {
		p.problem(l, "if in if, deeper than 100")
		p.block(p.rest, depth+1)
		return rules
	}
	s, negate := negation(s)
	m, _, rest, problem := p.pattern(s)
	if problem == "" && rest != "" {
		p.problem(l, "text after the pattern of if is ignored: "+strconv.Quote(rest))
	}
	if problem != "" {
		p.problem(l, problem+": the whole if is passed over")
	}
	inner := p.block(p.rest, depth+1)
	if problem != "" {
		return rules
	}
	return append(rules, rule{match: m, negate: negate, inner: inner, branch: true})
}

func (p *parser) rule(rules []rule, l line) []rule {
	s, negate := negation(l.text)
	m, captures, rest, problem := p.pattern(s)
	if problem != "" {
		p.problem(l, problem)
		return rules
	}
	if rest == "" {
		p.problem(l, "the pattern has no value after it")
		return rules
	}
	if captures < 0 { // no captures in this syntax: the value is taken as it stands
		return append(rules, rule{match: m, negate: negate, value: template{{text: rest}}})
	}
	value, highest, problem := parseTemplate(rest)
	switch {
	case problem != "":
	case negate && highest > 0:
		problem = "$number in the value of a negated pattern: nothing was matched"
	case highest > captures:
		problem = "$" + strconv.Itoa(highest) + " in the value, but the pattern has " + strconv.Itoa(captures) + " groups"
	default:
		return append(rules, rule{match: m, negate: negate, value: value})
	}
	p.problem(l, problem)
	return rules
}

func negation(s string) (rest string, negate bool) {
	for strings.HasPrefix(s, "!") {
		negate = !negate
		s = strings.TrimLeft(s[1:], blanks)
	}
	return s, negate
}

// template is a value with $1, ${1}, $(1) and $$ in it.
type template []piece

type piece struct {
	text  string
	group int // 0: text
}

func (t template) expand(key string, places []int) string {
	if len(t) == 1 && t[0].group == 0 {
		return t[0].text
	}
	var b strings.Builder
	for _, p := range t {
		if p.group == 0 {
			b.WriteString(p.text)
		} else if from, to := places[2*p.group], places[2*p.group+1]; from >= 0 {
			b.WriteString(key[from:to])
		}
	}
	return b.String()
}

func parseTemplate(s string) (t template, highest int, problem string) {
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			return append(t, piece{text: s}), highest, ""
		}
		if i > 0 {
			t = append(t, piece{text: s[:i]})
		}
		s = s[i+1:]
		if strings.HasPrefix(s, "$") {
			t, s = append(t, piece{text: "$"}), s[1:]
			continue
		}
		var name string
		if name, s, problem = groupName(s); problem != "" {
			return nil, 0, problem
		}
		n, err := strconv.Atoi(name)
		if err != nil || n < 1 || n > 99 {
			return nil, 0, "$" + name + " in the value is no number of a group; a dollar sign is written $$"
		}
		highest = max(highest, n)
		t = append(t, piece{group: n})
	}
	return t, highest, ""
}

// groupName reads what follows a dollar sign: 1, {1} or (1).
func groupName(s string) (name, rest, problem string) {
	for _, pair := range []string{"{}", "()"} {
		if strings.HasPrefix(s, pair[:1]) {
			end := strings.IndexByte(s, pair[1])
			if end < 0 {
				return "", "", "$" + pair[:1] + " in the value is not closed"
			}
			return s[1:end], s[end+1:], ""
		}
	}
	end := 0
	for end < len(s) && (s[end] == '_' || '0' <= s[end] && s[end] <= '9' || 'a' <= s[end] && s[end] <= 'z' || 'A' <= s[end] && s[end] <= 'Z') {
		end++
	}
	return s[:end], s[end:], ""
}
