package directory

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail/address"
)

const (
	// A login that succeeded is remembered so long, and so many are.
	rememberFor = 10 * time.Minute
	maxLogins   = 50_000
	homeFor     = 30 * 24 * time.Hour // a place that an account has logged in from; as many again
	maxLogin    = 512                 // bytes of a login name
)

// Client says who logs in, for the log.
type Client struct {
	Remote  string       // address and port; "" for a local socket
	Service string       // "smtp", "imap", …
	Site    netip.Prefix // what Remote counts as among those who share the hashing lane; zero: nothing
}

// Authenticate checks a password. A wrong one, an unknown name and an account without login are ErrCredentials, after the
// same time; ErrBusy when too many passwords are being hashed. A login without a domain is one in the host's domain.
func (d *Directory) Authenticate(ctx context.Context, login, password string, c Client) (Account, error) {
	a, ok := d.loginAddress(login)
	if password == "" || len(password) > maxPassword || !utf8.ValidString(password) {
		ok, password = false, "-"
	}
	asSent := password
	password = prepare(password)
	try := attempt{address: a, valid: ok, generation: d.auth.generation.Load(), who: d.auth.party(c.Site, a.Key(), d.opt.Now())}
	if ok {
		try.proof = d.auth.proof(a.Key(), password)
		if acc, found := d.auth.get(try.proof, d.opt.Now()); found {
			return acc, nil
		}
	}
	acc, found, err := d.secretsOf(ctx, a, ok)
	if err != nil {
		return Account{}, temporary("authenticate", err)
	}
	try.acc, try.found = acc, found
	secret, known := found.argon, found != secrets{}
	remember := func() error { return d.remember(ctx, &try) }
	switch {
	case found.foreign != "":
		return d.authenticateForeign(ctx, foreignLogin{acc, found.foreign, asSent, try.who}, remember)
	case found.system != "":
		return d.authenticateSystem(ctx, systemLogin{acc, found.system, asSent, try.who}, remember)
	}
	if !known {
		secret = decoyArgon(d.opt.Hash)
	}
	var fits bool
	var broken error
	if err := d.lane.run(ctx, try.who, func() {
		// Another program of the same person may have been let in meanwhile: a phone that comes back opens several connections.
		if known {
			if _, fits = d.auth.get(try.proof, d.opt.Now()); fits {
				return
			}
		}
		fits, broken = checkArgon(secret, password)
	}); err != nil {
		return Account{}, err
	}
	if broken != nil {
		d.log.Error("stored password is unusable", "account", acc.ID, "err", broken)
	}
	if !known || !fits {
		d.log.Debug("login refused", "login", login, "remote", c.Remote, "service", c.Service, "known", known)
		return Account{}, ErrCredentials
	}
	return acc, remember()
}

// attempt is a login whose password is to be checked.
type attempt struct {
	address    address.Address
	valid      bool // it can be somebody's
	acc        Account
	found      secrets
	proof      [32]byte
	generation uint64 // of authCache, before any of this was read
	who        party
}

// remember is for a password that fitted. An account has changed while this login waited for its turn: was it this one? Then its
// client shall come again.
func (d *Directory) remember(ctx context.Context, try *attempt) error {
	if d.auth.generation.Load() != try.generation {
		if acc, found, err := d.secretsOf(ctx, try.address, try.valid); err != nil {
			return temporary("authenticate", err)
		} else if acc.ID != try.acc.ID || found != try.found {
			return ErrBusy
		}
	}
	d.auth.put(try.proof, try.acc, d.opt.Now(), try.generation)
	d.auth.settle(party{site: try.who.site, name: try.who.name}, d.opt.Now())
	return nil
}

// secretsOf returns the account of a login and what its password is checked against, nothing if nobody can log in so.
func (d *Directory) secretsOf(ctx context.Context, a address.Address, ok bool) (acc Account, s secrets, err error) {
	err = d.store.view(ctx, func(t tables) error {
		var found bool
		if acc, found, err = t.account(a.Key()); err != nil {
			return err
		}
		// The same queries for one that is not there.
		if s.argon, _, err = t.credential(acc.ID, kindArgon); err != nil {
			return err
		}
		if s.foreign, _, err = t.credential(acc.ID, kindForeign); err != nil {
			return err
		}
		if s.system, _, err = t.credential(acc.ID, kindSystem); err != nil {
			return err
		}
		if !ok || !found || acc.NoLogin {
			acc, s = Account{}, secrets{}
		}
		return nil
	})
	return acc, s, err
}

// ScramCredentials returns the keys for SCRAM-SHA-256 of a login. A user that does not exist, or cannot log in, gets keys
// too, the same at every call, with the zero Account: the exchange goes on and fails at its end (RFC 5802 §7 has no
// earlier place to fail without telling).
func (d *Directory) ScramCredentials(ctx context.Context, login string) (ScramKeys, Account, error) {
	a, ok := d.loginAddress(login)
	var keys ScramKeys
	var acc Account
	err := d.store.view(ctx, func(t tables) error {
		saltKey, err := t.saltKey()
		if err != nil {
			return err
		}
		keys = decoyScram(saltKey, a.Key())
		found := false
		if acc, found, err = t.account(a.Key()); err != nil {
			return err
		}
		secret, has, err := t.credential(acc.ID, kindScram)
		if err != nil {
			return err
		}
		if !ok || !found || !has || acc.NoLogin {
			acc = Account{}
			return nil
		}
		if stored, err := parseScram(secret); err == nil {
			keys = stored
		} else {
			d.log.Error("stored SCRAM keys are unusable", "account", acc.ID, "err", err)
			acc = Account{}
		}
		return nil
	})
	if err != nil {
		return ScramKeys{}, Account{}, temporary("scram", err)
	}
	return keys, acc, nil
}

// loginAddress reads a login name. What is no address still gets a name of its own, so that it is refused like any other.
func (d *Directory) loginAddress(login string) (address.Address, bool) {
	if len(login) > maxLogin || !utf8.ValidString(login) {
		return address.Address{Local: "-"}, false
	}
	if !strings.Contains(login, "@") && d.opt.HostDomain != "" {
		a, err := address.New(login, d.opt.HostDomain)
		return orName(a, login, err)
	}
	a, err := address.Parse(login, true)
	return orName(a, login, err)
}

func orName(a address.Address, login string, err error) (address.Address, bool) {
	if err != nil || a.Local == "" || a.Domain == "" {
		return address.Address{Local: login}, false
	}
	return a, true
}

// authCache remembers logins that succeeded, by an HMAC of name and password under a key of this process.
type authCache struct {
	key        [32]byte
	generation atomic.Uint64

	mu     sync.Mutex
	logins map[[32]byte]remembered
	homes  map[party]time.Time // until when; those with a place and a name
}

type remembered struct {
	account Account
	until   time.Time
}

func (c *authCache) start(random io.Reader) error {
	c.logins, c.homes = make(map[[32]byte]remembered), make(map[party]time.Time)
	if _, err := io.ReadFull(random, c.key[:]); err != nil {
		return fmt.Errorf("directory: key of the login cache: %w", err)
	}
	return nil
}

func (c *authCache) proof(name, password string) [32]byte {
	return [32]byte(mac(c.key[:], name, "\x00", password))
}

// decoyArgon is a hash that nothing fits and that costs what a real one costs.
func decoyArgon(p HashParams) string {
	zero := strings.Repeat("A", 43) // 32 bytes of zero in base64
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", p.MemoryKiB, p.Time, p.Threads, strings.Repeat("A", 22), zero)
}

func (c *authCache) get(proof [32]byte, now time.Time) (Account, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, found := c.logins[proof]
	if !found || now.After(r.until) {
		delete(c.logins, proof)
		return Account{}, false
	}
	return r.account, true
}

// put remembers a login, unless an account has changed since generation: it may have been this one.
func (c *authCache) put(proof [32]byte, acc Account, now time.Time, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation.Load() != generation {
		return
	}
	if len(c.logins) >= maxLogins {
		for k := range c.logins {
			delete(c.logins, k)
			break
		}
	}
	c.logins[proof] = remembered{acc, now.Add(rememberFor)}
}

// settle remembers that a login from a place succeeded.
func (c *authCache) settle(who party, now time.Time) {
	if !who.site.IsValid() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.homes[who]; !there && len(c.homes) >= maxLogins {
		for k := range c.homes {
			delete(c.homes, k)
			break
		}
	}
	c.homes[who] = now.Add(homeFor)
}

// party is who a login is for in the lane.
func (c *authCache) party(site netip.Prefix, name string, now time.Time) party {
	who := party{site: site, name: name}
	c.mu.Lock()
	defer c.mu.Unlock()
	who.home = now.Before(c.homes[who])
	return who
}

// forget drops the logins of an account.
func (c *authCache) forget(account int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation.Add(1)
	for k, r := range c.logins {
		if r.account.ID == account {
			delete(c.logins, k)
		}
	}
}
