package node

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/decide/ban"
	"github.com/postrider/postrider/internal/decide/rate"
	"github.com/postrider/postrider/internal/obs"
)

func (a *api) Bans(context.Context) ([]admin.Ban, error) {
	list := []admin.Ban{}
	for _, b := range a.bans.set.List(a.opt.Now()) {
		list = append(list, shownBan(b))
	}
	return list, nil
}

func shownBan(b ban.Ban) admin.Ban {
	out := admin.Ban{Network: shownNetwork(b.Network), Reason: b.Reason, Origin: string(b.Origin), Since: b.Since.UTC()}
	if !b.Until.IsZero() {
		until := b.Until.UTC()
		out.Until = &until
	}
	return out
}

// shownNetwork writes an address without its length.
func shownNetwork(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// maxBan bounds how long a ban that ends may last; beyond it is for good.
const maxBan = 100 * 365 * 24 * time.Hour

func (a *api) AddBan(ctx context.Context, c admin.BanChange) (admin.Ban, error) {
	p, err := ban.Parse(c.Network)
	if err != nil {
		return admin.Ban{}, admin.Errorf(admin.Invalid, "%v", err)
	}
	if c.Seconds < 0 || c.Seconds > int64(maxBan/time.Second) {
		return admin.Ban{}, admin.Errorf(admin.Invalid, "a ban lasts from a second to 100 years; without a time it is for good")
	}
	if len(c.Reason) > maxReason || strings.ContainsFunc(c.Reason, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return admin.Ban{}, admin.Errorf(admin.Invalid, "the reason must be one line of at most %d bytes", maxReason)
	}
	if key := a.spared(p.Addr()); key != "" && p.IsSingleIP() {
		return admin.Ban{}, admin.Errorf(admin.Invalid, "%s is never banned: it is in %s", shownNetwork(p), key)
	}
	now := a.opt.Now()
	b := ban.Ban{Network: p, Reason: c.Reason, Origin: ban.Operator, Since: now}
	if c.Seconds > 0 {
		b.Until = now.Add(time.Duration(c.Seconds) * time.Second)
	}
	before, there := a.bans.set.Get(p)
	_, _, displaced, err := a.bans.set.Put(b, now)
	a.bans.note(append(displaced, p)...)
	if errors.Is(err, ban.ErrFull) {
		return admin.Ban{}, admin.Errorf(admin.Invalid, "%v", err)
	}
	if err := a.bans.flush(ctx); err != nil {
		if a.bans.set.Remove(p, now); there {
			_, _, _, _ = a.bans.set.Put(before, now)
		}
		return admin.Ban{}, apiError(err)
	}
	a.log.Warn("a network was banned", "network", p.String(), obs.KeyReason, c.Reason, "until", untilText(b), "origin", string(b.Origin))
	a.endSessions(p, true)
	return shownBan(b), nil
}

func untilText(b ban.Ban) string {
	if b.Until.IsZero() {
		return "for good"
	}
	return b.Until.UTC().Format(time.RFC3339)
}

func (a *api) RemoveBan(ctx context.Context, network string) error {
	p, err := ban.Parse(network)
	if err != nil {
		return admin.Errorf(admin.Invalid, "%v", err)
	}
	now := a.opt.Now()
	a.rates.clients.Forget(func(k rate.Key) bool { return strings.HasPrefix(k.Measure, "bans.") && p.Overlaps(k.Site) }) // else one more bans again
	freed := a.guard.Forgive(p, now)
	if !a.bans.set.Remove(p, now) {
		if b, found := a.bans.set.Banned(p.Addr(), now); found {
			return admin.Errorf(admin.NotFound, "%s is not banned by itself, but in %s", shownNetwork(p), shownNetwork(b.Network))
		}
		if freed { // it was locked out only: private, or somebody is at home there
			a.log.Info("failed logins were forgiven", "network", p.String())
			return nil
		}
		return admin.Errorf(admin.NotFound, "%s is not banned", shownNetwork(p))
	}
	a.bans.note(p)
	if err := a.bans.flush(ctx); err != nil {
		return apiError(err)
	}
	a.log.Info("a ban was removed", "network", p.String())
	return nil
}

func (a *api) CheckBan(_ context.Context, address string) (admin.BanCheck, error) {
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Zone() != "" {
		return admin.BanCheck{}, admin.Errorf(admin.Invalid, "%q is no address such as 192.0.2.7 or 2001:db8::1", address)
	}
	addr = addr.Unmap()
	out := admin.BanCheck{Address: addr.String(), Exempt: a.spared(addr)}
	if b, found := a.bans.set.Banned(addr, a.opt.Now()); found {
		shown := shownBan(b)
		out.Ban, out.Banned = &shown, out.Exempt == ""
	}
	return out, nil
}

// Usages gathers all counts, the fullest first.
func (a *api) Usages(ctx context.Context) ([]admin.Usage, error) {
	now, c := a.opt.Now(), a.config.Load()
	list := []admin.Usage{}
	for _, f := range a.guard.Failing(guardSettings(&c.Bans), now) {
		u := admin.Usage{Limit: "bans.max_login_delay", Who: displayed(f.Account), Used: f.Failures} // an account is only slowed down
		if f.Site.IsValid() {
			u.Limit, u.Who, u.Most = "bans.max_auth_failures", shownNetwork(f.Site), int64(c.Bans.MaxAuthFailures)
			if f.Site != site(f.Site.Addr()) {
				u.Limit, u.Most = "bans.max_network_auth_failures", int64(c.Bans.MaxNetworkAuthFailures)
			}
		}
		if !f.Locked.IsZero() {
			until := f.Locked.UTC()
			u.Locked = &until
		}
		list = append(list, u)
	}
	for _, t := range []*rate.Table{a.rates.clients, a.rates.accounts, a.rates.names} {
		for _, u := range t.Usages(now) {
			list = append(list, admin.Usage{Limit: keyOf(u.Key.Measure), Who: a.nameOf(ctx, u.Key), Used: u.Used, Most: u.Limit.Most})
		}
	}
	slices.SortStableFunc(list, func(x, y admin.Usage) int {
		return cmp.Compare(float64(y.Used)/float64(max(y.Most, 1)), float64(x.Used)/float64(max(x.Most, 1)))
	})
	return list[:min(len(list), admin.MaxUsages)], nil
}

// keyOf is the configuration's key of a measure.
func keyOf(measure string) string {
	if strings.Contains(measure, ".") {
		return measure
	}
	return "rates." + measure
}

// nameOf shows whose a count is: an account by its address.
func (a *api) nameOf(ctx context.Context, k rate.Key) string {
	switch {
	case k.Site.IsValid():
		return shownNetwork(k.Site)
	case strings.HasPrefix(k.Measure, "tenant_"):
		return "tenant " + k.Name
	case !strings.HasPrefix(k.Measure, "account_"):
		return displayed(k.Name)
	}
	if id, err := strconv.ParseInt(k.Name, 10, 64); err == nil {
		if acc, err := a.directory.AccountByID(ctx, id); err == nil {
			return acc.Address.Display()
		}
	}
	return "account " + k.Name // it is gone
}
