// Package ldaptab asks LDAP directories (RFC 4511), with the files of ldap_table(5): filters and bases made of the key, values
// of attributes, and the entries that special attributes lead to by DN or LDAP URL (groups).
//
// What a key brings into a filter is quoted by RFC 4515 §3, into a base by RFC 4514 §2.4, so that it stays a value there.
//
// What it never does: follow referrals to servers that an answer names, change a directory, or speak anything but version 3.
//
// Failures: a directory that cannot be reached or is not done in time, answers that are too large, and limits that were
// exceeded are errors, which are temporary failures; an entry that a group names and that is not there is passed over.
//
// Map: table.go a question · config.go the file · connection.go connecting · quote.go quoting and URLs.
package ldaptab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/postrider/postrider/internal/agent/lookup/mapconf"
	"github.com/postrider/postrider/internal/agent/lookup/pool"
	"github.com/postrider/postrider/internal/decide/table"
)

// Table is a table in a directory.
type Table struct {
	shape                           mapconf.Shape
	base, filter                    *mapconf.Template
	scope, deref                    int
	terminal, leaf, result, special []string // attributes
	attributes                      []string // all of them
	recursion, size                 int
	timeout                         time.Duration
	pool                            *pool.Pool[*connection]
}

var _ table.Table = (*Table)(nil)

// maxSearches bounds the searches that one question leads to.
const maxSearches = 10_000

// Lookup implements table.Table.
func (t *Table) Lookup(ctx context.Context, key string) (string, bool, error) {
	key, ok, err := t.shape.Key(ctx, key)
	if !ok || err != nil {
		return "", false, err
	}
	base, ok := t.base.Query(key, quoteDN)
	if !ok && key != "" && !t.base.Dynamic() { // a base may be empty: the root
		base, ok = "", true
	}
	filter, filled := t.filter.Query(key, ldap.EscapeFilter)
	if !strings.HasPrefix(filter, "(") { // as LDAP's older libraries let it be written
		filter = "(" + filter + ")"
	}
	if !ok || !filled {
		return "", false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	var answer *mapconf.Answer
	err = t.pool.Do(ctx, func(ctx context.Context, c *connection) error {
		defer c.until(ctx)()
		answer = t.shape.Answer(key)
		q := &question{Table: t, ctx: ctx, conn: c, answer: answer}
		return q.ask(base, filter)
	})
	if err != nil {
		return "", false, fmt.Errorf("ldap: %w", err)
	}
	text, found := answer.Text()
	return text, found, nil
}

// Pattern implements table.Table.
func (*Table) Pattern() bool { return false }

// Close closes connections as they fall idle.
func (t *Table) Close() error {
	t.pool.Shut()
	return nil
}

// question is one of them, with all that it leads to.
type question struct {
	*Table
	ctx      context.Context
	conn     *connection
	answer   *mapconf.Answer
	searches int
}

func (q *question) ask(base, filter string) error {
	entries, err := q.search(base, q.scope, filter, q.attributes, q.size)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) && q.base.Dynamic():
		return nil // the key's part of the tree is not there, so the key is not
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return pool.Answered{Err: fmt.Errorf("search_base %q is not there: %w", base, err)}
	case err != nil:
		return said(err)
	}
	return q.take(entries, 0)
}

// take adds the values of entries, and goes where their special attributes lead.
func (q *question) take(entries []*ldap.Entry, depth int) error {
	for _, e := range entries {
		ends := has(e, q.terminal) // then nothing else counts
		leads := !ends && has(e, q.special)
		for _, a := range e.Attributes {
			terminal, leaf := in(q.terminal, a.Name), in(q.leaf, a.Name)
			if ends && !terminal || leads && leaf {
				continue
			}
			plain := terminal || leaf || in(q.result, a.Name)
			for _, v := range a.Values {
				var err error
				switch {
				case plain:
					if err = q.answer.Add(v); err != nil {
						err = pool.Answered{Err: err}
					}
				case in(q.special, a.Name):
					err = q.follow(v, depth)
				}
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// follow takes the entries that a DN or an LDAP URL names.
func (q *question) follow(value string, depth int) error {
	if depth >= q.recursion {
		return pool.Answered{Err: fmt.Errorf("entries lead to entries in more than recursion_limit = %d steps", q.recursion)}
	}
	base, scope, filter, attributes := value, ldap.ScopeBaseObject, "(objectClass=*)", q.attributes
	if u, ok, err := parseURL(value); ok {
		if err != nil {
			return pool.Answered{Err: err}
		}
		base, scope, filter = u.base, u.scope, u.filter
		if len(u.attributes) > 0 {
			attributes = u.attributes
		}
	}
	entries, err := q.search(base, scope, filter, attributes, 0)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return nil
	}
	if err != nil {
		return said(err)
	}
	return q.take(entries, depth+1)
}

func (q *question) search(base string, scope int, filter string, attributes []string, size int) ([]*ldap.Entry, error) {
	if q.searches++; q.searches > maxSearches {
		return nil, pool.Answered{Err: fmt.Errorf("one key leads to more than %d searches", maxSearches)}
	}
	if err := q.ctx.Err(); err != nil {
		return nil, err
	}
	seconds := max(1, int(q.timeout/time.Second))
	r, err := q.conn.Search(ldap.NewSearchRequest(base, scope, q.deref, size, seconds, false, filter, attributes, nil))
	if err != nil {
		return nil, err
	}
	return r.Entries, nil
}

// said tells what a directory answers from a connection that broke.
func said(err error) error {
	var e *ldap.Error
	if !errors.As(err, &e) || e.ResultCode >= ldap.ErrorNetwork && e.ResultCode != ldap.ErrorFilterCompile {
		return err
	}
	switch e.ResultCode {
	case ldap.LDAPResultUnavailable, ldap.LDAPResultBusy, ldap.LDAPResultUnwillingToPerform:
		return err // another host may
	}
	return pool.Answered{Err: err}
}

func has(e *ldap.Entry, names []string) bool {
	return slices.ContainsFunc(e.Attributes, func(a *ldap.EntryAttribute) bool { return len(a.Values) > 0 && in(names, a.Name) })
}

func in(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}
