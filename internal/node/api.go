package node

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/state/directory"
	"github.com/postrider/postrider/internal/state/mailstore"
	"github.com/postrider/postrider/internal/state/queue"
)

// api is what the operator may do with a node. Its parts: this file (the directory), api_queue.go, api_mail.go (mailboxes and
// messages), api_search.go, api_change.go (many messages at once), api_session.go.
type api struct{ *Node }

// API returns the operator's functions. Those of the queue need Start or Load.
func (n *Node) API() admin.API { return &api{n} }

var _ admin.API = (*api)(nil)

// Load replays the journal and loads the queue, for the operator's functions on a system that is not started: nothing is
// delivered, and nothing listens.
func (n *Node) Load(ctx context.Context) error {
	if err := n.replay(ctx); err != nil {
		return err
	}
	if err := n.queue.Load(ctx); err != nil {
		return fmt.Errorf("load the queue: %w", err)
	}
	return nil
}

// apiError puts a failure into the operator's words.
func apiError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	var e *directory.Error
	if errors.As(err, &e) {
		kinds := map[error]admin.Kind{directory.ErrNotFound: admin.NotFound, directory.ErrExists: admin.Exists,
			directory.ErrInUse: admin.InUse, directory.ErrInvalid: admin.Invalid}
		return &admin.Error{Kind: kinds[e.Kind], Text: e.Text}
	}
	var s *status.Error
	switch {
	case errors.Is(err, queue.ErrNoJob), errors.Is(err, mailstore.ErrNoAccount):
		return &admin.Error{Kind: admin.NotFound, Text: text}
	case errors.Is(err, mailstore.ErrNoMailbox):
		return &admin.Error{Kind: admin.NotFound, Text: "no such mailbox"}
	case errors.Is(err, status.ErrFatal):
		return &admin.Error{Kind: admin.Internal, Text: text}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &admin.Error{Kind: admin.Temporary, Text: "the operation took too long: " + text}
	case errors.As(err, &s) && s.Class == status.Temporary:
		return &admin.Error{Kind: admin.Temporary, Text: text}
	}
	return err
}

// parseAddress reads an address that a person typed.
func parseAddress(s string) (address.Address, error) {
	a, err := address.Parse(s, true)
	if err != nil || a.Domain == "" {
		return a, admin.Errorf(admin.Invalid, "%q is not an address such as user@example.org", s)
	}
	return a, nil
}

func (a *api) Status(context.Context) (admin.Status, error) {
	c := a.Node.Config()
	s := admin.Status{Running: a.ready.Load(), Version: a.opt.Version, PID: os.Getpid(), Hostname: c.Hostname, Dir: c.DataDir,
		Listeners: map[string]string{}}
	for service, addr := range a.Addresses() {
		s.Listeners[service] = addr.String()
	}
	s.Certificates = a.certificates()
	return s, nil
}

func (a *api) Config(context.Context) (admin.Config, error) {
	return admin.Config{Text: config.Show(a.Node.Config())}, nil
}

// Domains.

func (a *api) Domains(ctx context.Context) ([]admin.Domain, error) {
	domains, err := a.directory.ListDomains(ctx, 0)
	if err != nil {
		return nil, apiError(err)
	}
	accounts, err := a.directory.ListAccounts(ctx, "")
	if err != nil {
		return nil, apiError(err)
	}
	aliases, err := a.directory.ListAliases(ctx, "")
	if err != nil {
		return nil, apiError(err)
	}
	list := make([]admin.Domain, len(domains))
	at := map[string]*admin.Domain{}
	for i, d := range domains {
		list[i] = domainOf(d)
		at[d.Name] = &list[i]
	}
	for _, acc := range accounts {
		if d := at[acc.Address.Domain]; d != nil {
			d.Accounts++
		}
	}
	for _, al := range aliases {
		if d := at[al.Address.Domain]; d != nil {
			d.Aliases++
		}
	}
	return list, nil
}

func domainOf(d directory.Domain) admin.Domain {
	out := admin.Domain{Name: address.DisplayDomain(d.Name), Delimiter: d.Delimiter, Created: d.Created}
	if !d.CatchAll.IsZero() {
		out.CatchAll = d.CatchAll.Display()
	}
	return out
}

func (a *api) Domain(ctx context.Context, name string) (admin.Domain, error) {
	d, err := a.directory.Domain(ctx, name)
	if err != nil {
		return admin.Domain{}, apiError(err)
	}
	return a.counted(ctx, d)
}

// counted is a domain with the numbers of its accounts and aliases.
func (a *api) counted(ctx context.Context, d directory.Domain) (admin.Domain, error) {
	out := domainOf(d)
	accounts, err := a.directory.ListAccounts(ctx, d.Name)
	if err != nil {
		return out, apiError(err)
	}
	aliases, err := a.directory.ListAliases(ctx, d.Name)
	out.Accounts, out.Aliases = len(accounts), len(aliases)
	return out, apiError(err)
}

func (a *api) AddDomain(ctx context.Context, c admin.DomainChange) (admin.Domain, error) {
	change, err := domainChange(c)
	if err != nil {
		return admin.Domain{}, err
	}
	d, err := a.directory.AddDomain(ctx, c.Name)
	if err == nil && change != (directory.DomainChange{}) {
		if d, err = a.directory.SetDomain(ctx, c.Name, change); err != nil {
			err = errors.Join(err, a.directory.RemoveDomain(ctx, c.Name))
		}
	}
	return domainOf(d), apiError(err)
}

func (a *api) SetDomain(ctx context.Context, c admin.DomainChange) (admin.Domain, error) {
	change, err := domainChange(c)
	if err != nil {
		return admin.Domain{}, err
	}
	d, err := a.directory.SetDomain(ctx, c.Name, change)
	if err != nil {
		return admin.Domain{}, apiError(err)
	}
	return a.counted(ctx, d)
}

func domainChange(c admin.DomainChange) (out directory.DomainChange, err error) {
	out.Delimiter = c.Delimiter
	if c.CatchAll != nil {
		out.CatchAll = &address.Address{}
		if *c.CatchAll != "" {
			*out.CatchAll, err = parseAddress(*c.CatchAll)
		}
	}
	return out, err
}

func (a *api) RemoveDomain(ctx context.Context, name string) error {
	return apiError(a.directory.RemoveDomain(ctx, name))
}

// Accounts.

func (a *api) Accounts(ctx context.Context, domain string) ([]admin.Account, error) {
	accounts, err := a.directory.ListAccounts(ctx, domain)
	if err != nil {
		return nil, apiError(err)
	}
	logins, err := a.lastLogins(ctx, 0)
	if err != nil {
		return nil, err
	}
	list := make([]admin.Account, len(accounts))
	for i, acc := range accounts {
		if list[i], err = a.accountOf(ctx, acc); err != nil {
			return nil, apiError(err)
		}
		list[i].LastLogin = logins[acc.ID]
	}
	return list, nil
}

func (a *api) accountOf(ctx context.Context, acc directory.Account) (admin.Account, error) {
	usage, err := a.store.Usage(ctx, acc.ID)
	if errors.Is(err, mailstore.ErrNoAccount) { // it is being made or removed
		err = nil
	}
	if err != nil {
		return admin.Account{}, err
	}
	system, err := a.directory.SystemUser(ctx, acc.Address)
	return admin.Account{System: system, Address: acc.Address.Display(), Login: !acc.NoLogin, Messages: usage.Messages, Bytes: usage.Bytes,
		Quota: usage.Quota, Created: acc.Created}, err
}

// find returns the account of an address that a person typed.
func (a *api) find(ctx context.Context, s string) (directory.Account, error) {
	addr, err := parseAddress(s)
	if err != nil {
		return directory.Account{}, err
	}
	acc, err := a.directory.Account(ctx, addr)
	return acc, apiError(err)
}

func (a *api) Account(ctx context.Context, s string) (admin.Account, error) {
	acc, err := a.find(ctx, s)
	if err != nil {
		return admin.Account{}, err
	}
	logins, err := a.lastLogins(ctx, acc.ID)
	if err != nil {
		return admin.Account{}, err
	}
	out, err := a.accountOf(ctx, acc)
	out.LastLogin = logins[acc.ID]
	return out, apiError(err)
}

func (a *api) AddAccount(ctx context.Context, c admin.NewAccount) (admin.Account, error) {
	addr, err := parseAddress(c.Address)
	if err != nil {
		return admin.Account{}, err
	}
	if c.Quota < 0 {
		return admin.Account{}, admin.Errorf(admin.Invalid, "a quota is not negative")
	}
	acc, err := a.addAccount(ctx, directory.NewAccount{Address: addr, Password: c.Password, Stored: c.Stored, System: c.System,
		NoLogin: c.NoLogin})
	if err == nil && c.Quota > 0 {
		err = a.store.SetQuota(ctx, acc.ID, c.Quota)
	}
	if err != nil {
		return admin.Account{}, apiError(err)
	}
	out, err := a.accountOf(ctx, acc)
	return out, apiError(err)
}

func (a *api) SetAccount(ctx context.Context, c admin.AccountChange) (admin.Account, error) {
	acc, err := a.find(ctx, c.Address)
	if err != nil {
		return admin.Account{}, err
	}
	if c.Quota != nil {
		if *c.Quota < 0 {
			return admin.Account{}, admin.Errorf(admin.Invalid, "a quota is not negative")
		}
		err = a.store.SetQuota(ctx, acc.ID, *c.Quota)
	}
	if err == nil && c.Login != nil {
		err = a.directory.SetNoLogin(ctx, acc.Address, !*c.Login)
	}
	if err != nil {
		return admin.Account{}, apiError(err)
	}
	return a.Account(ctx, c.Address)
}

func (a *api) SetPassword(ctx context.Context, p admin.Password) error {
	addr, err := parseAddress(p.Address)
	if err != nil {
		return err
	}
	if p.Stored != "" {
		return apiError(a.directory.SetStored(ctx, addr, p.Stored))
	}
	return apiError(a.directory.SetPassword(ctx, addr, p.Password))
}

func (a *api) RemoveAccount(ctx context.Context, s string) error {
	addr, err := parseAddress(s)
	if err != nil {
		return err
	}
	acc, err := a.directory.Account(ctx, addr)
	if err != nil {
		return apiError(err)
	}
	if err := a.store.WillRemove(ctx, acc.ID); err != nil {
		return apiError(err)
	}
	if _, err := a.directory.RemoveAccount(ctx, addr); err != nil {
		return apiError(errors.Join(err, a.store.Abandoned(ctx, acc.ID)))
	}
	if err := a.store.RemoveAccount(ctx, acc.ID); err != nil {
		return apiError(err)
	}
	for _, s := range a.registry.list(selection{account: acc.ID}) {
		s.kick("The account was removed")
	}
	return nil
}

// Aliases.

func (a *api) Aliases(ctx context.Context, domain string) ([]admin.Alias, error) {
	aliases, err := a.directory.ListAliases(ctx, domain)
	if err != nil {
		return nil, apiError(err)
	}
	list := make([]admin.Alias, len(aliases))
	for i, al := range aliases {
		list[i] = aliasOf(al)
	}
	return list, nil
}

func aliasOf(al directory.Alias) admin.Alias {
	out := admin.Alias{Address: al.Address.Display(), Created: al.Created, Targets: make([]string, len(al.Targets))}
	for i, t := range al.Targets {
		out.Targets[i] = t.Display()
	}
	return out
}

func (a *api) Alias(ctx context.Context, s string) (admin.Alias, error) {
	addr, err := parseAddress(s)
	if err != nil {
		return admin.Alias{}, err
	}
	al, err := a.directory.Alias(ctx, addr)
	return aliasOf(al), apiError(err)
}

func (a *api) AddAlias(ctx context.Context, al admin.Alias) (admin.Alias, error) {
	return a.putAlias(ctx, al, a.directory.AddAlias)
}

func (a *api) SetAlias(ctx context.Context, al admin.Alias) (admin.Alias, error) {
	return a.putAlias(ctx, al, a.directory.SetAlias)
}

func (a *api) putAlias(ctx context.Context, al admin.Alias,
	put func(context.Context, address.Address, []address.Address) (directory.Alias, error)) (admin.Alias, error) {
	addr, err := parseAddress(al.Address)
	if err != nil {
		return admin.Alias{}, err
	}
	targets := make([]address.Address, len(al.Targets))
	for i, t := range al.Targets {
		if targets[i], err = parseAddress(t); err != nil {
			return admin.Alias{}, err
		}
	}
	out, err := put(ctx, addr, targets)
	return aliasOf(out), apiError(err)
}

func (a *api) RemoveAlias(ctx context.Context, s string) error {
	addr, err := parseAddress(s)
	if err != nil {
		return err
	}
	return apiError(a.directory.RemoveAlias(ctx, addr))
}
