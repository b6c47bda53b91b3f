package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/postrider/postrider/internal/state/db"
)

// sqlStore keeps the directory in tables of store.db (schema 0002).
type sqlStore struct {
	db  *db.DB
	now func() time.Time
}

func (s *sqlStore) view(ctx context.Context, fn func(tables) error) error {
	return s.db.Read(ctx, func(tx *db.Tx) error { return fn(sqlTables{tx, s.now}) })
}

func (s *sqlStore) update(ctx context.Context, fn func(tables) error) error {
	return s.db.Write(ctx, func(tx *db.Tx) error { return fn(sqlTables{tx, s.now}) })
}

// initialise writes the directory's own row at its first start.
func (s *sqlStore) initialise(ctx context.Context, random io.Reader) error {
	key := make([]byte, 32)
	if _, err := io.ReadFull(random, key); err != nil {
		return fmt.Errorf("directory: salt key: %w", err)
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO directory_state (one, next_account, salt_key) VALUES (1, 1, ?) ON CONFLICT DO NOTHING", key)
		return err
	})
}

// sqlTables are the tables inside one transaction.
type sqlTables struct {
	tx  *db.Tx
	now func() time.Time
}

const sqlDomainColumns = "SELECT name, tenant_id, catchall, delimiter, created FROM domain "

func scanDomain(r *db.Rows) (d Domain, err error) {
	d = Domain{Name: r.Text(0), Tenant: r.Int64(1), Delimiter: r.Text(3), Created: time.UnixMicro(r.Int64(4))}
	if text := r.Text(2); text != "" {
		d.CatchAll, err = parseStored(text)
	}
	return d, err
}

func (t sqlTables) domain(name string) (Domain, bool, error) {
	return one(t.tx.Query(sqlDomainColumns+"WHERE name = ?", name), scanDomain)
}

func (t sqlTables) domains() ([]Domain, error) {
	return all(t.tx.Query(sqlDomainColumns+"ORDER BY name"), scanDomain)
}

func (t sqlTables) putDomain(d Domain) error {
	_, err := t.tx.Exec(`INSERT INTO domain (name, tenant_id, catchall, delimiter, created) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET tenant_id = excluded.tenant_id, catchall = excluded.catchall,
		delimiter = excluded.delimiter`, d.Name, d.Tenant, d.CatchAll.String(), d.Delimiter, d.Created.UnixMicro())
	return err
}

func (t sqlTables) deleteDomain(name string) error {
	_, err := t.tx.Exec("DELETE FROM domain WHERE name = ?", name)
	return err
}

const sqlAccountColumns = "SELECT account_id, tenant_id, address, no_login, created FROM account "

func scanAccount(r *db.Rows) (a Account, err error) {
	a = Account{ID: r.Int64(0), Tenant: r.Int64(1), NoLogin: r.Bool(3), Created: time.UnixMicro(r.Int64(4))}
	a.Address, err = parseStored(r.Text(2))
	return a, err
}

func (t sqlTables) account(key string) (Account, bool, error) {
	return one(t.tx.Query(sqlAccountColumns+"WHERE account_key = ?", key), scanAccount)
}

func (t sqlTables) accountByID(id int64) (Account, bool, error) {
	return one(t.tx.Query(sqlAccountColumns+"WHERE account_id = ?", id), scanAccount)
}

func (t sqlTables) accounts(domain string) ([]Account, error) {
	if domain == "" {
		return all(t.tx.Query(sqlAccountColumns+"ORDER BY account_key"), scanAccount)
	}
	return all(t.tx.Query(sqlAccountColumns+"WHERE domain = ? ORDER BY account_key", domain), scanAccount)
}

func (t sqlTables) putAccount(a Account) error {
	_, err := t.tx.Exec(`INSERT INTO account (account_id, tenant_id, account_key, domain, address, no_login, created)
		VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (account_id) DO UPDATE SET tenant_id = excluded.tenant_id, account_key = excluded.account_key,
		domain = excluded.domain, address = excluded.address, no_login = excluded.no_login`,
		a.ID, a.Tenant, a.Address.Key(), a.Address.Domain, a.Address.String(), a.NoLogin, a.Created.UnixMicro())
	return err
}

func (t sqlTables) deleteAccount(id int64) error {
	for _, table := range []string{"credential", "last_login"} {
		if _, err := t.tx.Exec("DELETE FROM "+table+" WHERE account_id = ?", id); err != nil {
			return err
		}
	}
	_, err := t.tx.Exec("DELETE FROM account WHERE account_id = ?", id)
	return err
}

func (t sqlTables) nextAccount() (id int64, err error) {
	_, err = t.tx.QueryRow("UPDATE directory_state SET next_account = next_account + 1 RETURNING next_account - 1").Scan(&id)
	return id, err
}

func (t sqlTables) raiseNextAccount(taken int64) error {
	_, err := t.tx.Exec("UPDATE directory_state SET next_account = ? WHERE next_account <= ?", taken+1, taken)
	return err
}

func (t sqlTables) credential(account int64, kind string) (secret string, found bool, err error) {
	found, err = t.tx.QueryRow("SELECT secret FROM credential WHERE account_id = ? AND label = '' AND kind = ?", account, kind).
		Scan(&secret)
	return secret, found, err
}

func (t sqlTables) deleteCredentials(account int64) error {
	_, err := t.tx.Exec("DELETE FROM credential WHERE account_id = ? AND label = ''", account)
	return err
}

func (t sqlTables) putCredential(account int64, kind, secret string) error {
	_, err := t.tx.Exec(`INSERT INTO credential (account_id, label, kind, secret, changed) VALUES (?, '', ?, ?, ?)
		ON CONFLICT (account_id, label, kind) DO UPDATE SET secret = excluded.secret, changed = excluded.changed`,
		account, kind, secret, t.now().UnixMicro())
	return err
}

func (t sqlTables) putLogin(l LastLogin) error {
	_, err := t.tx.Exec(`INSERT INTO last_login (account_id, service, at, client) VALUES (?, ?, ?, ?)
		ON CONFLICT (account_id, service) DO UPDATE SET at = excluded.at, client = excluded.client
		WHERE excluded.at >= last_login.at`, l.Account, l.Service, l.At.UnixMicro(), l.Client)
	return err
}

func (t sqlTables) logins(account int64) ([]LastLogin, error) {
	const columns = "SELECT account_id, service, at, client FROM last_login "
	scan := func(r *db.Rows) (LastLogin, error) {
		return LastLogin{Account: r.Int64(0), Service: r.Text(1), At: time.UnixMicro(r.Int64(2)), Client: r.Text(3)}, nil
	}
	if account == 0 {
		return all(t.tx.Query(columns+"ORDER BY account_id, service"), scan)
	}
	return all(t.tx.Query(columns+"WHERE account_id = ? ORDER BY service", account), scan)
}

func (t sqlTables) saltKey() (key []byte, err error) {
	_, err = t.tx.QueryRow("SELECT salt_key FROM directory_state").Scan(&key)
	return key, err
}

const sqlAliasColumns = "SELECT a.address, a.tenant_id, a.created, t.target FROM alias a JOIN alias_target t ON t.alias_key = a.alias_key "

// aliasRows gathers rows of (alias, target), ordered by alias and position.
func aliasRows(rows *db.Rows) (list []Alias, err error) {
	last := ""
	for rows.Next() {
		target, err := parseStored(rows.Text(3))
		if err != nil {
			rows.Close()
			return nil, err
		}
		if text := rows.Text(0); len(list) == 0 || text != last {
			a, err := parseStored(text)
			if err != nil {
				rows.Close()
				return nil, err
			}
			last = text
			list = append(list, Alias{Address: a, Tenant: rows.Int64(1), Created: time.UnixMicro(rows.Int64(2))})
		}
		al := &list[len(list)-1]
		al.Targets = append(al.Targets, target)
	}
	return list, rows.Err()
}

func (t sqlTables) alias(key string) (Alias, bool, error) {
	list, err := aliasRows(t.tx.Query(sqlAliasColumns+"WHERE a.alias_key = ? ORDER BY t.position", key))
	if err != nil || len(list) == 0 {
		return Alias{}, false, err
	}
	return list[0], true, nil
}

func (t sqlTables) aliases(domain string) ([]Alias, error) {
	if domain == "" {
		return aliasRows(t.tx.Query(sqlAliasColumns + "ORDER BY a.alias_key, t.position"))
	}
	return aliasRows(t.tx.Query(sqlAliasColumns+"WHERE a.domain = ? ORDER BY a.alias_key, t.position", domain))
}

func (t sqlTables) aliasesTo(targetKey string) ([]Alias, error) {
	return aliasRows(t.tx.Query(sqlAliasColumns+`WHERE a.alias_key IN (SELECT alias_key FROM alias_target WHERE target_key = ?)
		ORDER BY a.alias_key, t.position`, targetKey))
}

func (t sqlTables) putAlias(a Alias) error {
	key := a.Address.Key()
	if err := t.deleteAlias(key); err != nil {
		return err
	}
	if _, err := t.tx.Exec("INSERT INTO alias (alias_key, tenant_id, domain, address, created) VALUES (?, ?, ?, ?, ?)",
		key, a.Tenant, a.Address.Domain, a.Address.String(), a.Created.UnixMicro()); err != nil {
		return err
	}
	for i, target := range a.Targets {
		if _, err := t.tx.Exec("INSERT INTO alias_target (alias_key, position, target, target_key) VALUES (?, ?, ?, ?)",
			key, i, target.String(), target.Key()); err != nil {
			return err
		}
	}
	return nil
}

func (t sqlTables) deleteAlias(key string) error {
	_, err1 := t.tx.Exec("DELETE FROM alias_target WHERE alias_key = ?", key)
	_, err2 := t.tx.Exec("DELETE FROM alias WHERE alias_key = ?", key)
	return errors.Join(err1, err2)
}

// one reads at most one row.
func one[T any](rows *db.Rows, scan func(*db.Rows) (T, error)) (v T, found bool, err error) {
	if !rows.Next() {
		return v, false, rows.Err()
	}
	v, err = scan(rows)
	rows.Close()
	if err == nil {
		err = rows.Err()
	}
	return v, err == nil, err
}

// all reads all rows.
func all[T any](rows *db.Rows, scan func(*db.Rows) (T, error)) (list []T, err error) {
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			rows.Close()
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}
