package imap

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

const maxPatterns = 50

// listExtension is LIST and LSUB with LIST-EXTENDED (RFC 5258, RFC 9051 §6.3.9), LIST-STATUS (RFC 5819), SPECIAL-USE
// (RFC 6154) and CHILDREN (RFC 3348).
func listExtension() extension {
	return extension{
		capabilities: afterLogin("CHILDREN", "LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE"),
		commands: map[string]command{
			"LIST": {states: loggedIn, parse: parseList},
			"LSUB": {states: loggedIn, parse: parseLSub},
		},
	}
}

type listCommand struct {
	lsub       bool
	extended   bool // an option of RFC 5258 was used
	subscribed bool // select: only subscribed names
	special    bool // select: only names with a special use
	recursive  bool // select: also parents of selected names
	showSubs   bool // return \Subscribed
	reference  string
	patterns   []string
	status     []statusItem // return STATUS
	statusName []string
}

func parseLSub(p *parser) runner {
	p.sp()
	l := &listCommand{lsub: true, subscribed: true, reference: p.mailbox()}
	p.sp()
	l.patterns = []string{p.listMailbox()}
	return l
}

func parseList(p *parser) runner {
	l := &listCommand{}
	p.sp()
	if p.peek() == '(' {
		l.extended = true
		p.list(func() { l.selectOption(p) })
		// RFC 9051 §6.3.9.1: RECURSIVEMATCH only beside an option that selects something.
		if p.err == nil && l.recursive && !l.subscribed && !l.special {
			p.fail("RECURSIVEMATCH needs another selection option")
		}
		p.sp()
	}
	l.reference = p.mailbox()
	p.sp()
	if p.peek() == '(' {
		l.extended = true
		p.list(func() {
			if len(l.patterns) == maxPatterns {
				p.fail("Too many patterns")
			}
			l.patterns = append(l.patterns, p.listMailbox())
		})
	} else {
		l.patterns = []string{p.listMailbox()}
	}
	if p.eat(' ') {
		l.extended = true
		if !p.eatWord("RETURN ") {
			p.fail("Expected RETURN")
		}
		p.list(func() { l.returnOption(p) })
	}
	return l
}

func (l *listCommand) selectOption(p *parser) {
	switch w := p.word(); w {
	case "SUBSCRIBED":
		l.subscribed, l.showSubs = true, true
	case "SPECIAL-USE":
		l.special = true
	case "RECURSIVEMATCH":
		l.recursive = true
	case "REMOTE": // there are no remote mailboxes
	default:
		p.fail("Unknown LIST selection option %s", w)
	}
}

func (l *listCommand) returnOption(p *parser) {
	switch w := p.word(); w {
	case "SUBSCRIBED":
		l.showSubs = true
	case "CHILDREN", "SPECIAL-USE": // always shown
	case "STATUS":
		p.sp()
		l.statusName, l.status = p.statusItems()
	default:
		p.fail("Unknown LIST return option %s", w)
	}
}

func (l *listCommand) run(ctx context.Context, c *conn) (done, error) {
	ns := c.account.Namespaces()
	if len(l.patterns) == 1 && l.patterns[0] == "" && !l.lsub {
		// RFC 9051 §6.3.9: an empty name asks for the separator and the root of the reference.
		c.out.str(`* LIST (\Noselect) `)
		c.out.string(ns.Separator)
		c.out.str(` ""`)
		c.out.crlf()
		return done{}, nil
	}
	c.statusEnables(l.statusName)
	infos, err := c.account.Mailboxes(ctx)
	if err != nil {
		return done{}, err
	}
	for i, p := range l.patterns {
		l.patterns[i] = norm.NFC.String(l.reference + p)
		if len(l.patterns[i]) > maxNameBytes {
			return done{}, no("CANNOT", "Pattern too long")
		}
	}
	tree := newListTree(ns, infos)
	for _, n := range tree.nodes {
		if l.matches(ns, n.shown) {
			if err := l.write(ctx, c, ns, n); err != nil {
				return done{}, err
			}
		}
	}
	return done{}, nil
}

func (l *listCommand) matches(ns Namespaces, name string) bool {
	return slices.ContainsFunc(l.patterns, func(p string) bool { return matchPattern(p, name, ns.Separator) })
}

// write decides on one name and writes its LIST or LSUB response.
func (l *listCommand) write(ctx context.Context, c *conn, ns Namespaces, n *listNode) error {
	selected := (!l.subscribed || n.info.Subscribed) && (!l.special || len(n.info.Use) > 0)
	childSubs := n.subsBelow && l.subscribed
	childUse := n.useBelow && l.special
	below := (childSubs || !l.subscribed) && (childUse || !l.special)
	switch {
	case l.lsub:
		// RFC 3501 §6.3.9: a name whose child is subscribed shows as \Noselect where "%" hides the child. A pattern
		// without "%" shows the child itself.
		if !selected && !(n.subsBelow && strings.Contains(strings.Join(l.patterns, ""), "%")) {
			return nil
		}
	case !selected && !(l.recursive && below):
		return nil
	case !l.subscribed && !n.info.Exists && !n.children:
		return nil // only subscribed, and nobody asked for that
	}
	verb := "* LIST ("
	if l.lsub {
		verb = "* LSUB ("
	}
	c.out.str(verb, strings.Join(l.attributes(n, selected), " "), ") ")
	c.out.string(ns.Separator)
	c.out.WriteByte(' ')
	c.out.mailbox(n.shown)
	if l.recursive && (childSubs || childUse) {
		c.out.str(" (CHILDINFO (") // RFC 5258 §4
		if childSubs {
			c.out.str(`"SUBSCRIBED"`)
		}
		if childUse && !childSubs {
			c.out.str(`"SPECIAL-USE"`)
		}
		c.out.str("))")
	}
	c.out.crlf()
	if len(l.status) > 0 && n.info.Exists && !n.info.NoSelect {
		return c.writeStatus(ctx, n.info.Name, l.statusName, l.status, &n.info.Status)
	}
	return nil
}

func (l *listCommand) attributes(n *listNode, selected bool) []string {
	if l.lsub {
		if !selected || n.info.NoSelect {
			return []string{`\Noselect`}
		}
		return nil
	}
	var out []string
	switch {
	case !n.info.Exists && l.extended:
		out = append(out, `\NonExistent`)
	case !n.info.Exists || n.info.NoSelect:
		out = append(out, `\Noselect`)
	}
	if n.children {
		out = append(out, `\HasChildren`)
	} else {
		out = append(out, `\HasNoChildren`)
	}
	if n.info.Subscribed && l.showSubs {
		out = append(out, `\Subscribed`)
	}
	return append(out, n.info.Use...)
}

// listNode is one name, there or implied by its children.
type listNode struct {
	info      MailboxInfo
	shown     string
	children  bool // something exists below
	subsBelow bool // something subscribed below
	useBelow  bool // something with a special use below
}

// listTree is every name and every level above one, INBOX first, then in the order of names.
type listTree struct{ nodes []*listNode }

func newListTree(ns Namespaces, infos []MailboxInfo) listTree {
	byKey := make(map[string]*listNode, len(infos))
	key := func(n Name) string { return strings.Join(n, "\x00") }
	for _, in := range infos {
		byKey[key(in.Name)] = &listNode{info: in, shown: ns.show(in.Name)}
	}
	for _, in := range infos {
		for depth := len(in.Name) - 1; depth > 0; depth-- {
			up := in.Name[:depth]
			n := byKey[key(up)]
			if n == nil {
				n = &listNode{info: MailboxInfo{Name: up}, shown: ns.show(up)}
				byKey[key(up)] = n
			}
			n.children = n.children || in.Exists
			n.subsBelow = n.subsBelow || in.Subscribed
			n.useBelow = n.useBelow || len(in.Use) > 0
		}
	}
	t := listTree{make([]*listNode, 0, len(byKey))}
	for _, n := range byKey {
		t.nodes = append(t.nodes, n)
	}
	slices.SortFunc(t.nodes, func(a, b *listNode) int {
		if ai, bi := a.info.Name.isInbox(), b.info.Name.isInbox(); ai != bi {
			if ai {
				return -1
			}
			return 1
		}
		return slices.Compare(a.info.Name, b.info.Name)
	})
	return t
}

// matchPattern: "*" matches anything, "%" anything but the separator (RFC 9051 §6.3.9). INBOX matches in any case. It
// costs len(pattern) × len(name) at most.
func matchPattern(pattern, name, separator string) bool {
	if name == "INBOX" || strings.HasPrefix(name, "INBOX"+separator) {
		if len(pattern) >= 5 && strings.EqualFold(pattern[:5], "INBOX") {
			pattern = "INBOX" + pattern[5:]
		} else if name == "INBOX" {
			pattern = strings.ToUpper(pattern)
		}
	}
	// row[i]: the pattern so far matches name[:i].
	row := make([]bool, len(name)+1)
	row[0] = true
	for k := range len(pattern) {
		switch c := pattern[k]; c {
		case '*', '%':
			for i := range len(name) {
				if row[i] && (c == '*' || name[i:i+1] != separator) {
					row[i+1] = true
				}
			}
		default:
			for i := len(name); i > 0; i-- {
				row[i] = row[i-1] && name[i-1] == c
			}
			row[0] = false
		}
	}
	return row[len(name)]
}
