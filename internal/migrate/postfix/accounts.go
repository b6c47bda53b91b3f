package postfix

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/decide/table"
)

// script is import.sh: commands that make domains and accounts.
type script struct {
	domains, accounts []string
	notes             []string
}

func (s *script) String() string {
	if len(s.domains)+len(s.accounts)+len(s.notes) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("#!/bin/sh\n# Domains and accounts of the old system. Read it before you run it: sh import.sh\n" +
		"# No password is in it. For each account: postrider account password ADDRESS; postrider account set --login ADDRESS\n" +
		"# (account add --stored-stdin takes passwords as Dovecot and shadow(5) store them). What exists already is passed over.\n")
	for _, n := range s.notes {
		b.WriteString("# " + n + "\n")
	}
	for _, d := range s.domains {
		b.WriteString("postrider domain add " + shell(d) + "\n")
	}
	for _, a := range s.accounts {
		b.WriteString("postrider account add " + a + "\n")
	}
	return b.String()
}

func (s *script) domain(name string) {
	if !slices.Contains(s.domains, name) {
		s.domains = append(s.domains, name)
	}
}

func (s *script) account(args string) {
	if !slices.Contains(s.accounts, args) {
		s.accounts = append(s.accounts, args)
	}
}

// shell quotes a word for sh.
func shell(word string) string {
	if !strings.ContainsFunc(word, func(r rune) bool {
		return !(r == '.' || r == '-' || r == '_' || r == '@' || r == '+' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z')
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

var (
	domainForm  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
	addressForm = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+/=?^_{|}~][A-Za-z0-9!#$%&'*+/=?^_{|}~.-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,252}$`)
)

// mailboxDomains adds the domains of a list to import.sh; where mailboxes stay where they are, the list goes to the key.
func mailboxDomains(m *move, p *param) verdict {
	if m.opt.KeepMailboxes {
		return m.named(p, m.byName[p.name])
	}
	byDefault, _ := m.Default(p.name)
	if p.value == "" || sameValue(p.value, byDefault) {
		return same("the domains of virtual_mailbox_maps")
	}
	doubts := len(p.doubts)
	names, err := m.members(p, p.value, 0)
	if err != nil {
		return unsupported("%v", err)
	}
	if len(p.doubts) > doubts {
		p.doubt("postrider domain add for each of them")
	}
	v := same("no domain of its own")
	for _, name := range names {
		if name = strings.ToLower(strings.TrimSuffix(name, ".")); !isOurs(name) {
			continue
		}
		if !domainForm.MatchString(name) {
			p.doubt("%q is no domain", clip(name))
			continue
		}
		m.script.domain(name)
		v = verdict{fate: Translated, keys: []string{"import.sh"}}
	}
	return v
}

// isOurs leaves out the names that every host has.
func isOurs(name string) bool {
	return name != "" && name != "localhost" && !strings.HasPrefix(name, "localhost.") && !strings.HasSuffix(name, ".localdomain") && name != "localdomain"
}

// mailboxes adds the accounts of virtual_mailbox_maps to import.sh.
func mailboxes(m *move, p *param) verdict {
	if m.opt.KeepMailboxes {
		return m.named(p, m.byName[p.name])
	}
	items, err := table.Split(p.value)
	if err != nil {
		return unsupported("%v", err)
	}
	v := same("empty")
	for _, item := range items {
		v = merge(v, meaningless("%s", ownAccounts))
		kind, path, _ := strings.Cut(strings.TrimPrefix(item, "proxy:"), ":")
		switch {
		case isText(kind) && kind != "regexp" && kind != "pcre" && kind != "cidr":
			keys, _ := m.keysOf(p, kind, path)
			for _, key := range keys {
				if v2 := m.mailbox(p, key); v2.fate != "" {
					v = merge(v, v2)
				}
			}
		case isDatabase(kind):
			m.script.notes = append(m.script.notes, fmt.Sprintf("The accounts of %s are in a database: list them there, and add each as below.", item))
			p.doubt("the accounts are in a database (%s): list them there, then postrider account add each; docs/migrate-postfix.md has an example", item)
		default:
			p.doubt("%s cannot be listed: add the accounts by postrider account add", item)
		}
	}
	return v
}

// localRecipients adds the users of the system to import.sh. Local names are those of accounts and aliases here; only lists
// without the users of the system go to the key.
func localRecipients(m *move, p *param) verdict {
	items, err := table.Split(p.value)
	if err != nil {
		return unsupported("%v", err)
	}
	aliases, _ := m.Value("alias_maps", nil)
	known, _ := table.Split(aliases)
	users, others := false, 0
	for _, item := range items {
		switch {
		case strings.TrimPrefix(item, "proxy:") == "unix:passwd.byname":
			users = true
		case !slices.Contains(known, item):
			others++
			if p.file != "" {
				p.doubt("%s: what it holds must be an account or an alias here", item)
			}
		}
	}
	switch {
	case len(items) == 0:
		return unsupported("any local name was taken; here it must exist: postrider domain set --catch-all ADDRESS takes the others")
	case users && m.hasLocal():
		return merge(same("accounts and aliases"), m.systemUsers(p))
	case users || others == 0:
		return same("accounts and aliases")
	}
	p.doubts = nil
	return m.named(p, m.byName[p.name])
}

// mailbox adds the account of a key, or a catch-all.
func (m *move) mailbox(p *param, key string) verdict {
	key = strings.ToLower(key)
	if domain, ok := strings.CutPrefix(key, "@"); ok {
		if domainForm.MatchString(domain) {
			m.script.notes = append(m.script.notes, "Catch-all of "+domain+": postrider domain set --catch-all ADDRESS "+domain)
		}
		return verdict{}
	}
	if !addressForm.MatchString(key) {
		p.doubt("%q is no address of an account", clip(key))
		return verdict{}
	}
	_, domain, _ := strings.Cut(key, "@")
	m.script.domain(domain)
	m.script.account("--no-login " + shell(key))
	return verdict{fate: Translated, keys: []string{"import.sh"}}
}

// hasLocal tells whether any domain is delivered to users of the system.
func (m *move) hasLocal() bool {
	value, _ := m.Value("mydestination", nil)
	return slices.ContainsFunc(strings.FieldsFunc(value, listSeparator), isOurs)
}

// systemUsers adds the users of the system who are people.
func (m *move) systemUsers(p *param) verdict {
	text, err := readFile(m.At("/etc/passwd"))
	if err != nil {
		p.doubt("users of the system cannot be listed: %s", reason(err))
		return verdict{}
	}
	domain := strings.ToLower(m.localDomain())
	v := verdict{}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 7 {
			continue
		}
		uid, err := strconv.Atoi(f[2])
		address := strings.ToLower(f[0]) + "@" + domain
		if err != nil || uid < 1000 || uid >= 60000 || strings.HasSuffix(f[6], "nologin") || strings.HasSuffix(f[6], "/false") || !addressForm.MatchString(address) {
			continue
		}
		m.forwards(f[0], f[5])
		m.script.account("--system " + shell(address))
		v = verdict{fate: Translated, keys: []string{"import.sh"}}
	}
	return v
}

// forwards tells of a user's .forward: none is read here until the operator says so.
func (m *move) forwards(user, home string) {
	if path := filepath.Join(home, ".forward"); !m.IsSet("forward_path") && strings.HasPrefix(home, "/") && m.exists(path) {
		m.lines = append(m.lines, Line{File: path, Fate: Unsupported,
			Text: "mail for " + clip(user) + " is not sent on: set routing.forward_path and helper.enabled, if you want that (docs/aliases.md)"})
	}
}

// firstLine is a name that may stand in a file, as Debian's /etc/mailname.
func (m *move) firstLine(value string) string {
	if strings.HasPrefix(value, "/") {
		text, err := readFile(m.At(value))
		if err != nil {
			return ""
		}
		value, _, _ = strings.Cut(text, "\n")
	}
	return strings.ToLower(strings.TrimSpace(value))
}

// accounts completes import.sh.
func (m *move) accounts() {
	if slices.ContainsFunc(m.script.accounts, func(a string) bool { return strings.HasPrefix(a, "--system") }) {
		m.script.notes = append(m.script.notes, "Users of the system log in with its passwords if auth.system says so: \"shadow\" or \"saslauthd\".")
	}
	slices.Sort(m.script.domains)
}
