package node

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/directory"
)

func (a *api) Sessions(ctx context.Context, q admin.SessionQuery) ([]admin.Session, error) {
	f, err := a.selection(ctx, q)
	if err != nil {
		return nil, err
	}
	list := []admin.Session{}
	for _, s := range a.registry.list(f) {
		act := s.activity()
		list = append(list, admin.Session{ID: s.id, Service: s.service, Client: s.client.String(), TLS: act.tls,
			Account: displayed(s.who.Name), Master: displayed(s.who.Master), Since: s.since, Command: act.command,
			Commands: act.commands, In: act.in, Out: act.out})
	}
	return list, nil
}

// displayed is an address as people read it; "" stays so.
func displayed(s string) string {
	if addr, err := address.Parse(s, true); err == nil {
		return addr.Display()
	}
	return s
}

// selection reads what a person typed.
func (a *api) selection(ctx context.Context, q admin.SessionQuery) (f selection, err error) {
	f.ids, f.service = q.IDs, strings.ToLower(q.Service)
	known := []string{"smtp", "lmtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s"}
	if f.service != "" && !slices.Contains(known, f.service) {
		text := fmt.Sprintf("%q is none of the services with sessions: %s", q.Service, strings.Join(known, ", "))
		if near := config.Nearest(f.service, known); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		return f, admin.Errorf(admin.Invalid, "%s", text)
	}
	if q.Account != "" {
		acc, err := a.find(ctx, q.Account)
		if err != nil {
			return f, err
		}
		f.account = acc.ID
	}
	if q.Client == "" {
		return f, nil
	}
	if addr, err := netip.ParseAddr(q.Client); err == nil {
		addr = addr.Unmap().WithZone("")
		f.client = netip.PrefixFrom(addr, addr.BitLen())
		return f, nil
	}
	if f.client, err = netip.ParsePrefix(q.Client); err != nil {
		return f, admin.Errorf(admin.Invalid, "%q is no address and no network such as 192.0.2.0/24", q.Client)
	}
	return f, nil
}

const (
	kickReason = "Connection ended by the administrator" // where the operator says nothing else
	maxReason  = 200                                     // bytes; a reply line has 512 (RFC 5321 §4.5.3.1.5)
)

func (a *api) Kick(ctx context.Context, q admin.SessionQuery) (admin.Kicked, error) {
	if len(q.IDs) == 0 && q.Account == "" && q.Client == "" && q.Service == "" {
		return admin.Kicked{}, admin.Errorf(admin.Invalid, "say which sessions: by id, account, client or service")
	}
	f, err := a.selection(ctx, q)
	if err != nil {
		return admin.Kicked{}, err
	}
	list := a.registry.list(f)
	for _, id := range f.ids {
		if !slices.ContainsFunc(list, func(s session) bool { return s.id == id }) {
			return admin.Kicked{}, admin.Errorf(admin.NotFound, "there is no session %s; nothing was ended", id)
		}
	}
	reason := q.Reason
	if reason == "" {
		reason = kickReason
	}
	if len(reason) > maxReason || strings.ContainsFunc(reason, func(r rune) bool { return r < ' ' || r > '~' }) {
		return admin.Kicked{}, admin.Errorf(admin.Invalid, "the reason must be one line of at most %d characters of ASCII", maxReason)
	}
	for _, s := range list {
		a.log.Info("a session was ended by the operator", obs.KeyService, s.service, obs.KeySession, s.id,
			obs.KeyClient, s.client.Addr().String(), obs.KeyAccount, s.who.Name)
		s.kick(reason)
	}
	return admin.Kicked{Sessions: len(list)}, nil
}

// lastLogins returns the last logins of an account, of all for 0, by account; the latest first.
func (a *api) lastLogins(ctx context.Context, account int64) (map[int64][]admin.LastLogin, error) {
	if err := a.logins.flush(ctx); err != nil { // a full disk, perhaps; reading goes on
		a.log.Warn("last logins could not be written; they will be tried again", obs.KeyError, err)
	}
	list, err := a.directory.LastLogins(ctx, account)
	if err != nil {
		return nil, apiError(err)
	}
	slices.SortStableFunc(list, func(x, y directory.LastLogin) int { return y.At.Compare(x.At) })
	out := map[int64][]admin.LastLogin{}
	for _, l := range list {
		out[l.Account] = append(out[l.Account], admin.LastLogin{At: l.At, Service: l.Service, Client: l.Client})
	}
	return out, nil
}
