package directory

import (
	"context"

	"github.com/postrider/postrider/internal/mail/address"
)

// store is what keeps the directory: package db, or memory for tests.
type store interface {
	// view runs fn on one snapshot.
	view(ctx context.Context, fn func(tables) error) error
	// update runs fn in a transaction; an error of fn leaves everything as it was.
	update(ctx context.Context, fn func(tables) error) error
}

// tables are the directory inside a transaction. Keys are those of address.Address.Key. What is not there is reported by
// found, not by an error. A put replaces.
type tables interface {
	domain(name string) (d Domain, found bool, err error)
	domains() ([]Domain, error) // by name
	putDomain(Domain) error
	deleteDomain(name string) error

	account(key string) (a Account, found bool, err error)
	accountByID(id int64) (a Account, found bool, err error)
	accounts(domain string) ([]Account, error) // of a domain, or all for ""; by address
	putAccount(Account) error                  // with a new id from nextAccount, or an existing one
	deleteAccount(id int64) error              // and its credentials and last logins
	nextAccount() (int64, error)               // never the same twice, whatever was deleted
	raiseNextAccount(taken int64) error        // nextAccount gives higher ones

	credential(account int64, kind string) (secret string, found bool, err error)
	putCredential(account int64, kind, secret string) error
	deleteCredentials(account int64) error // all kinds of the account's own password
	saltKey() ([]byte, error)

	putLogin(LastLogin) error                  // unless there is a later one
	logins(account int64) ([]LastLogin, error) // of all for 0; by account and service

	alias(key string) (a Alias, found bool, err error)
	aliases(domain string) ([]Alias, error) // of a domain, or all for ""; by address
	aliasesTo(targetKey string) ([]Alias, error)
	putAlias(Alias) error
	deleteAlias(key string) error
}

// Kinds of credentials.
const (
	kindArgon   = "argon2id"
	kindScram   = "scram-sha-256"
	kindForeign = "foreign" // as another mail system stored it; replaced at the first login
	kindSystem  = "system"  // the name of the system user whose password it is
)

// parseStored reads an address that we wrote.
func parseStored(s string) (address.Address, error) { return address.Parse(s, true) }
