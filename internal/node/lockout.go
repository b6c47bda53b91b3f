package node

import (
	"context"
	"errors"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/lockout"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/obs/metrics"
	"github.com/postrider/postrider/internal/wire/link"
	"github.com/postrider/postrider/internal/wire/sasl"
)

const (
	guardRemembers = 1 << 16 // addresses, accounts, wrong passwords, homes: of each. Some 30 MiB if an attack fills all
	guardWaiting   = 1000    // logins that wait at once; more are told to come again
	lockedRest     = 3 * time.Second
)

// errLockedOut is what a login is told whose password is not looked at. It is temporary: programs shall not ask their users
// for another password (RFC 4954 §4.7.6).
var errLockedOut = status.Temp(454, 7, 0, "Too many failed logins; try again later")

// loginGuard makes guessing passwords slow, for all protocols together.
type loginGuard struct {
	*lockout.Guard
	seed    maphash.Seed // of the fingerprints of wrong passwords; it leaves this process as little as they do
	waiting atomic.Int64
	told    sometimes
	refused func(values ...string) metrics.Counter
}

func (n *Node) newLoginGuard() *loginGuard {
	g := &loginGuard{Guard: lockout.New(guardRemembers), seed: maphash.MakeSeed(),
		refused: n.metrics.CounterVec("logins_locked_out_total", "Logins refused without a look at the password, after failed ones.", "reason")}
	n.metrics.GaugeFunc("login_lockouts", "Addresses and networks that are locked out.", func() float64 { return float64(g.Locked(n.opt.Now())) })
	n.metrics.GaugeFunc("logins_slowed_down", "Logins that wait because others failed before.", func() float64 { return float64(g.waiting.Load()) })
	return g
}

func guardSettings(c *config.Bans) lockout.Settings {
	return lockout.Settings{Window: c.Window.D(), Lock: c.Time.D(), MaxDelay: c.MaxLoginDelay.D(), PerSite: c.MaxAuthFailures,
		PerNetwork: c.MaxNetworkAuthFailures}
}

// try is a login as the guard sees it: without an address for those who are never banned.
func (n *Node) try(from netip.Addr, name string) lockout.Try {
	if !n.config.Load().Bans.Enabled || !from.IsValid() || n.spared(from) != "" {
		return lockout.Try{}
	}
	account, _ := n.directory.LoginAddress(name)
	return lockout.Try{Site: site(from), Network: link.Network(from), Account: account.Key()}
}

// mayTry comes before a password is looked at. It waits, where others failed before.
func (n *Node) mayTry(ctx context.Context, name string) error {
	from, now := sasl.OriginOf(ctx).Remote.Addr(), n.opt.Now()
	if err := n.mayAuthenticate(from, now); err != nil {
		return err
	}
	c := &n.config.Load().Bans
	v := n.guard.Ask(n.try(from, name), guardSettings(c), now)
	if _, banned := n.banned(from); banned { // another server let him in
		v = lockout.Verdict{Refused: "the address is banned"}
	}
	if v.Refused == "" && (v.Wait == 0 || n.rest(ctx, v.Wait)) {
		return nil
	}
	if v.Refused == "" {
		v.Refused = lockout.TooMany
	}
	n.guard.refused(string(v.Refused)).Inc()
	if times := n.guard.told.happened(now); times > 0 {
		n.log.Warn("logins are refused after failed ones", obs.KeyClient, from.Unmap().String(), obs.KeyAccount, name, obs.KeyReason, string(v.Refused), "times", times)
	}
	if n.guard.waiting.Load() < guardWaiting/2 { // the other half is for those who may go on
		n.rest(ctx, min(lockedRest, c.MaxLoginDelay.D())) // who were sent away at once would be back at once
	}
	return errLockedOut
}

// rest waits, unless too many wait already or the connection ends: false.
func (n *Node) rest(ctx context.Context, d time.Duration) bool {
	defer n.guard.waiting.Add(-1)
	if n.guard.waiting.Add(1) > guardWaiting {
		return false
	}
	clock := time.NewTimer(d)
	defer clock.Stop()
	select {
	case <-clock.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// triedInVain counts a wrong password, "" where it is not known; it may end in a ban.
func (n *Node) triedInVain(ctx context.Context, name, password string) {
	c, from := &n.config.Load().Bans, sasl.OriginOf(ctx).Remote.Addr()
	t := n.try(from, name)
	if !t.Site.IsValid() {
		return
	}
	var secret uint64
	if password != "" {
		secret = max(maphash.Comparable(n.guard.seed, [2]string{t.Account, password}), 1)
	}
	if n.guard.Failed(t, secret, guardSettings(c), n.opt.Now()) {
		n.ban(t.Site, "too many failed logins", c.Time.D())
	}
}

// triedWell remembers where an account is at home.
func (n *Node) triedWell(ctx context.Context, name string) {
	n.guard.Succeeded(n.try(sasl.OriginOf(ctx).Remote.Addr(), name), n.opt.Now())
}

// scramEnded hears how an exchange ended whose password is not known here. The others are heard of where it is checked.
func (n *Node) scramEnded(ctx context.Context, a *authenticator, r sasl.Result) {
	if r.Mechanism != sasl.ScramSHA256 || r.Name == "" {
		return
	}
	name := r.Name
	if _, master, ok := a.splitMaster(name); ok {
		name = master
	}
	switch {
	case r.Err == nil:
		n.triedWell(ctx, name)
	case errors.Is(r.Err, sasl.ErrCredentials):
		n.triedInVain(ctx, name, "")
	}
}

// recallHomes tells the guard where accounts were logged in to last, before this start.
func (n *Node) recallHomes(ctx context.Context) error {
	logins, err := n.directory.LastLogins(ctx, 0)
	if err != nil || len(logins) == 0 {
		return err
	}
	accounts, err := n.directory.ListAccounts(ctx, "")
	if err != nil {
		return err
	}
	names := make(map[int64]string, len(accounts))
	for _, a := range accounts {
		names[a.ID] = a.Address.Key()
	}
	for _, l := range logins {
		if a, err := netip.ParseAddr(l.Client); err == nil && names[l.Account] != "" {
			n.guard.Succeeded(lockout.Try{Site: site(a), Account: names[l.Account]}, l.At)
		}
	}
	return nil
}
