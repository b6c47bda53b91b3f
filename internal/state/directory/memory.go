package directory

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
)

// memory keeps the directory in maps, for tests.
type memory struct {
	mu sync.Mutex
	t  memTables
}

type memTables struct {
	doms  map[string]Domain
	accs  map[int64]Account
	creds map[credKey]string
	last  map[loginKey]LastLogin
	als   map[string]Alias
	next  int64
	salt  []byte
}

type credKey struct {
	account int64
	kind    string
}

type loginKey struct {
	account int64
	service string
}

func newMemory(random io.Reader) (*memory, error) {
	salt := make([]byte, 32)
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, fmt.Errorf("directory: salt key: %w", err)
	}
	return &memory{t: memTables{doms: map[string]Domain{}, accs: map[int64]Account{}, creds: map[credKey]string{}, last: map[loginKey]LastLogin{},
		als: map[string]Alias{}, salt: salt}}, nil
}

func (m *memory) view(ctx context.Context, fn func(tables) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return fn(&m.t)
}

func (m *memory) update(ctx context.Context, fn func(tables) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t := memTables{doms: maps.Clone(m.t.doms), accs: maps.Clone(m.t.accs), creds: maps.Clone(m.t.creds), last: maps.Clone(m.t.last),
		als: maps.Clone(m.t.als), next: m.t.next, salt: m.t.salt}
	if err := fn(&t); err != nil {
		return err
	}
	m.t = t
	return nil
}

func (t *memTables) domain(name string) (Domain, bool, error) {
	d, ok := t.doms[name]
	return d, ok, nil
}

func (t *memTables) domains() ([]Domain, error) {
	return slices.SortedFunc(maps.Values(t.doms), func(a, b Domain) int { return cmp.Compare(a.Name, b.Name) }), nil
}

func (t *memTables) putDomain(d Domain) error       { t.doms[d.Name] = d; return nil }
func (t *memTables) deleteDomain(name string) error { delete(t.doms, name); return nil }

func (t *memTables) account(key string) (Account, bool, error) {
	for _, a := range t.accs {
		if a.Address.Key() == key {
			return a, true, nil
		}
	}
	return Account{}, false, nil
}

func (t *memTables) accountByID(id int64) (Account, bool, error) {
	a, ok := t.accs[id]
	return a, ok, nil
}

func (t *memTables) accounts(domain string) (list []Account, err error) {
	for _, a := range t.accs {
		if domain == "" || a.Address.Domain == domain {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b Account) int { return cmp.Compare(a.Address.Key(), b.Address.Key()) })
	return list, nil
}

func (t *memTables) putAccount(a Account) error { t.accs[a.ID] = a; return nil }

func (t *memTables) deleteAccount(id int64) error {
	delete(t.accs, id)
	maps.DeleteFunc(t.creds, func(k credKey, _ string) bool { return k.account == id })
	maps.DeleteFunc(t.last, func(k loginKey, _ LastLogin) bool { return k.account == id })
	return nil
}

func (t *memTables) nextAccount() (int64, error) { t.next++; return t.next, nil }

func (t *memTables) raiseNextAccount(taken int64) error { t.next = max(t.next, taken); return nil }

func (t *memTables) credential(account int64, kind string) (string, bool, error) {
	s, ok := t.creds[credKey{account, kind}]
	return s, ok, nil
}

func (t *memTables) deleteCredentials(account int64) error {
	maps.DeleteFunc(t.creds, func(k credKey, _ string) bool { return k.account == account })
	return nil
}

func (t *memTables) putCredential(account int64, kind, secret string) error {
	t.creds[credKey{account, kind}] = secret
	return nil
}

func (t *memTables) putLogin(l LastLogin) error {
	k := loginKey{l.Account, l.Service}
	if old, ok := t.last[k]; !ok || !old.At.After(l.At) {
		t.last[k] = l
	}
	return nil
}

func (t *memTables) logins(account int64) (list []LastLogin, err error) {
	for _, l := range t.last {
		if account == 0 || l.Account == account {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b LastLogin) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Service, b.Service))
	})
	return list, nil
}

func (t *memTables) saltKey() ([]byte, error) { return t.salt, nil }

func (t *memTables) alias(key string) (Alias, bool, error) { a, ok := t.als[key]; return a, ok, nil }

func (t *memTables) aliases(domain string) ([]Alias, error) {
	return t.selectAliases(func(a Alias) bool { return domain == "" || a.Address.Domain == domain }), nil
}

func (t *memTables) aliasesTo(targetKey string) ([]Alias, error) {
	return t.selectAliases(func(a Alias) bool {
		for _, target := range a.Targets {
			if target.Key() == targetKey {
				return true
			}
		}
		return false
	}), nil
}

func (t *memTables) selectAliases(take func(Alias) bool) (list []Alias) {
	for _, a := range t.als {
		if take(a) {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b Alias) int { return cmp.Compare(a.Address.Key(), b.Address.Key()) })
	return list
}

func (t *memTables) putAlias(a Alias) error       { t.als[a.Address.Key()] = a; return nil }
func (t *memTables) deleteAlias(key string) error { delete(t.als, key); return nil }
