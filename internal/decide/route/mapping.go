package route

import (
	"context"
	"fmt"
	"strings"

	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
)

// errMapping is what clients read of a table that leads in a circle, or to something that is no address; Postfix's code.
func errMapping(rule, detail string) *status.Error {
	return status.Temp(451, 6, 0, "Alias expansion error").With(rule, fmt.Errorf("%s", detail))
}

// find asks tables for an address.
func (r *Router) find(ctx context.Context, list table.List, a address.Address) (value string, at table.Key, found bool, err error) {
	if len(list) == 0 {
		return "", table.Key{}, false, nil
	}
	keys, err := r.keys(ctx, a)
	if err != nil {
		return "", table.Key{}, false, err
	}
	value, at, found, err = list.First(ctx, keys)
	if err != nil {
		err = unasked("table", err)
	}
	return value, at, found, err
}

// right reads the addresses on the right side of an entry that a matched at a key. "@domain" is the same user there;
// the extension that the key lacked follows where it is propagated.
func (r *Router) right(rule, value string, a address.Address, at table.Key, propagate bool) ([]address.Address, error) {
	list, problem := table.Destinations(value)
	if problem != "" {
		return nil, errMapping(rule, fmt.Sprintf("%s: %s", at.Text, problem))
	}
	if len(list) > r.Rules.expansionLimit() {
		return nil, errMapping(rule, fmt.Sprintf("%s: more than %d addresses", at.Text, r.Rules.expansionLimit()))
	}
	out := make([]address.Address, 0, len(list))
	for _, d := range list {
		if d.Kind != table.AliasAddress {
			return nil, errMapping(rule, fmt.Sprintf("%s: %q is no address; files, programs and :include: stand in alias_maps only", at.Text, d.Text))
		}
		var to address.Address
		var err error
		if domain, ok := strings.CutPrefix(d.Text, "@"); ok && !strings.Contains(domain, ":") {
			to.Local = strings.TrimSuffix(a.Local, at.Ext)
			to.Domain, err = r.domain(domain)
		} else {
			to, err = r.parse(d.Text)
		}
		if err != nil {
			return nil, errMapping(rule, fmt.Sprintf("%s: %q is no address: %v", at.Text, d.Text, err))
		}
		if propagate {
			to.Local += at.Ext
		}
		out = append(out, to)
	}
	return out, nil
}

// one maps an address by a table of one address for another, again and again until nothing or the same is found.
func (r *Router) one(ctx context.Context, q *Query, rule string, list table.List, a address.Address) (address.Address, error) {
	if len(list) == 0 || a.IsZero() {
		return a, nil
	}
	path := []address.Address{a}
	for range r.Rules.recursionLimit() {
		value, at, found, err := r.find(ctx, list, a)
		if err != nil || !found {
			return a, err
		}
		to, err := r.right(rule, value, a, at, r.Rules.Propagate.Canonical)
		if err != nil {
			return a, err
		}
		q.tell(rule, at.Text, to[0].String())
		if to[0] == a || sameIgnoringCase(to[0], a) {
			return to[0], nil
		}
		a = to[0]
		for _, before := range path {
			if before == a {
				return a, errMapping(rule, "loop: "+arrows(append(path, a)))
			}
		}
		path = append(path, a)
	}
	return a, errMapping(rule, fmt.Sprintf("more than %d entries lead to one another from %s", r.Rules.recursionLimit(), path[0]))
}

// Generic maps an address of an envelope that leaves by SMTP, generic(5): once. The error is a temporary one.
func (r *Router) Generic(ctx context.Context, a address.Address) (address.Address, error) {
	value, at, found, err := r.find(ctx, r.Rules.GenericMaps, a)
	if err != nil || !found {
		return a, err
	}
	to, err := r.right("smtp_generic_maps", value, a, at, r.Rules.Propagate.Generic)
	if err != nil {
		return a, err
	}
	return to[0], nil
}

func sameIgnoringCase(a, b address.Address) bool {
	return a.Domain == b.Domain && strings.EqualFold(a.Local, b.Local)
}

// canonical applies a table of one side (sender or recipient), then the one for both, and masquerading, to an address of an
// envelope.
func (r *Router) canonical(ctx context.Context, q *Query, a address.Address, sender bool) (address.Address, error) {
	c, m := r.Rules.CanonicalClasses, r.Rules.MasqueradeClasses
	if sender {
		return r.mapped(ctx, q, a, side{true, c.EnvelopeSender, m.EnvelopeSender})
	}
	return r.mapped(ctx, q, a, side{false, c.EnvelopeRecipient, m.EnvelopeRecipient})
}

// Header applies them to an address in the header of a message of ours. The error is a temporary one.
func (r *Router) Header(ctx context.Context, a address.Address, sender bool) (address.Address, error) {
	c, m := r.Rules.CanonicalClasses, r.Rules.MasqueradeClasses
	if sender {
		return r.mapped(ctx, &Query{}, a, side{true, c.HeaderSender, m.HeaderSender})
	}
	return r.mapped(ctx, &Query{}, a, side{false, c.HeaderRecipient, m.HeaderRecipient})
}

// RewritesHeaders tells whether Header may change anything.
func (r *Router) RewritesHeaders() bool {
	rules, c, m := &r.Rules, r.Rules.CanonicalClasses, r.Rules.MasqueradeClasses
	return len(rules.SenderCanonicalMaps) > 0 || len(rules.RecipCanonicalMaps) > 0 ||
		len(rules.CanonicalMaps) > 0 && (c.HeaderSender || c.HeaderRecipient) ||
		len(rules.MasqueradeDomains) > 0 && (m.HeaderSender || m.HeaderRecipient)
}

// side says which rules an address meets.
type side struct{ sender, canonical, masquerade bool }

func (r *Router) mapped(ctx context.Context, q *Query, a address.Address, s side) (address.Address, error) {
	rules := &r.Rules
	rule, list := "recipient_canonical_maps", rules.RecipCanonicalMaps
	if s.sender {
		rule, list = "sender_canonical_maps", rules.SenderCanonicalMaps
	}
	a, err := r.one(ctx, q, rule, list, a)
	if err == nil && s.canonical {
		a, err = r.one(ctx, q, "canonical_maps", rules.CanonicalMaps, a)
	}
	if err == nil && s.masquerade {
		a = rules.masquerade(q, a)
	}
	return a, err
}

// masquerade strips host names below the domains of masquerade_domains.
func (r *Rules) masquerade(q *Query, a address.Address) address.Address {
	for _, exempt := range r.MasqueradeExceptions {
		if strings.EqualFold(exempt, a.Local) {
			return a
		}
	}
	for _, m := range r.MasqueradeDomains {
		name, truncate := m, true
		if strings.HasPrefix(m, "!") {
			name, truncate = m[1:], false
		}
		if a.Domain == name {
			return a
		}
		if strings.HasSuffix(a.Domain, "."+name) {
			if truncate {
				q.tell("masquerade_domains", a.Domain, name)
				a.Domain = name
			}
			return a
		}
	}
	return a
}

func arrows(path []address.Address) string {
	words := make([]string, len(path))
	for i, a := range path {
		words[i] = a.String()
	}
	return strings.Join(words, " → ")
}
