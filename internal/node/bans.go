package node

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/ban"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/obs/metrics"
	limitstore "github.com/postrider/postrider/internal/state/limits"
)

// bansPace is how often bans that are over are forgotten.
const bansPace = time.Minute

// bans are the networks that are kept out: in memory, and written behind so that a flood of automatic ones holds nobody up.
// What an operator asks for is written before he is answered.
type bans struct {
	set     ban.Set
	store   *limitstore.Store
	now     func() time.Time
	log     *obs.Log
	refused func(values ...string) metrics.Counter // by service
	told    sometimes                              // refusals
	writing sync.Mutex                             // one flush at a time: a later one never overtakes an earlier, nor returns before it

	mu      sync.Mutex
	changed map[netip.Prefix]bool // since written
	wake    chan struct{}         // capacity 1
	cancel  context.CancelFunc
	done    chan struct{}
}

// openBans reads the bans that there were.
func (n *Node) openBans(ctx context.Context) error {
	b := &bans{store: &limitstore.Store{DB: n.db}, now: n.opt.Now, log: n.log, changed: map[netip.Prefix]bool{}, wake: make(chan struct{}, 1),
		refused: n.metrics.CounterVec("ban_refusals_total", "Connections refused because their client is banned.", "service")}
	rows, bad, err := b.store.Bans(ctx)
	if err != nil {
		return fmt.Errorf("read the bans: %w", err)
	}
	if bad > 0 {
		n.log.Warn("bans in the database make no sense; they are left out", "bans", bad)
	}
	for _, r := range rows {
		one := ban.Ban{Network: r.Network, Reason: r.Reason, Origin: ban.Origin(r.Origin), Since: r.Since, Until: r.Until}
		if _, _, _, err := b.set.Put(one, b.now()); err != nil {
			n.log.Warn("not all bans have room", obs.KeyError, err)
			break
		}
	}
	for _, p := range b.set.Prune(b.now()) {
		b.changed[p] = true
	}
	n.bans = b
	n.metrics.GaugeFunc("bans", "Networks that are banned.", func() float64 { return float64(b.set.Len()) })
	return nil
}

// ban keeps a network out for a while, for what it has done: unless it is spared or private, or clients are not banned by
// themselves.
// Sessions of it that have not logged in end. It does not block.
func (n *Node) ban(p netip.Prefix, reason string, d time.Duration) {
	if !n.config.Load().Bans.Enabled || !p.IsValid() || n.sparedPart(p) != "" {
		return
	}
	if a := p.Addr(); a.IsPrivate() || a.IsLinkLocalUnicast() {
		return // it may be a container's gateway, behind which is everybody
	}
	now := n.opt.Now()
	one := ban.Ban{Network: p.Masked(), Reason: reason, Origin: ban.Automatic, Since: now, Until: now.Add(d)}
	_, changed, displaced, err := n.bans.set.Put(one, now)
	n.bans.note(displaced...)
	if err != nil {
		if times := n.bans.told.happened(now); times > 0 {
			n.log.Error("a network could not be banned", "network", p.String(), obs.KeyError, err, "times", times)
		}
		return
	}
	if !changed {
		return
	}
	n.bans.note(one.Network)
	n.log.Warn("a network was banned", "network", one.Network.String(), obs.KeyReason, reason, "until", one.Until.UTC().Format(time.RFC3339), "origin", string(one.Origin))
	n.endSessions(one.Network, false)
}

// endSessions ends the sessions of a network: all of them, or those that have not logged in.
func (n *Node) endSessions(p netip.Prefix, all bool) {
	for _, s := range n.registry.list(selection{client: p}) {
		if (all || s.who.IsZero()) && n.spared(s.client.Addr()) == "" {
			s.kick(banText)
		}
	}
}

// spares are the networks that no ban holds for, with the keys that say so.
func spares(c *config.Config) []struct {
	key  string
	nets config.Networks
} {
	askers := c.Edges.AuthNetworks
	if !c.Listeners.Auth.Enabled {
		askers = nil
	}
	return []struct {
		key  string
		nets config.Networks
	}{
		{"bans.exempt_networks", c.Bans.ExemptNetworks}, {"limits.exempt_networks", c.Limits.ExemptNetworks},
		{"access.mynetworks", c.Access.Mynetworks}, {"submission.trusted_networks", c.Submission.TrustedNetworks},
		{"edges.proxy_networks", c.Edges.ProxyNetworks}, {"edges.smtpd_authorized_xclient_hosts", c.Edges.XclientHosts},
		{"http.trusted_proxies", c.HTTP.TrustedProxies}, {"edges.auth_networks", askers},
		{"filters.reinject_networks", c.Filters.ReinjectNetworks},
	}
}

// spared returns the key of the configuration by which an address is never banned; "": it may be.
func (n *Node) spared(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	for _, s := range spares(n.config.Load()) {
		if s.nets.Contains(a) {
			return s.key
		}
	}
	return ""
}

// sparedPart is spared for a network of which a part is enough.
func (n *Node) sparedPart(p netip.Prefix) string {
	for _, s := range spares(n.config.Load()) {
		for _, net := range s.nets {
			if net.Overlaps(p) {
				return s.key
			}
		}
	}
	return ""
}

// banned returns the ban that keeps a client out.
func (n *Node) banned(a netip.Addr) (ban.Ban, bool) {
	b, found := n.bans.set.Banned(a, n.opt.Now())
	return b, found && n.spared(a) == ""
}

// What banned clients are told. With an end to it they may come again, so mail that is delayed is not lost; without, they are
// told that it is for good (RFC 5321 §3.1 has 554 in the greeting's place).
const (
	banText     = "Connections from your address are not accepted for now"
	banTextGood = "Connections from your address are not accepted"
)

// farewell is what a listener tells a client that is banned; the words are those of its protocol, before TLS.
func (n *Node) farewell(service string) func(netip.Addr) (string, bool) {
	return func(a netip.Addr) (string, bool) {
		b, refused := n.banned(a)
		if !refused {
			return n.mayRead(service, a)
		}
		n.bans.refused(service).Inc()
		if times := n.bans.told.happened(n.opt.Now()); times > 0 {
			n.log.Info("connections of banned clients are refused", obs.KeyService, service, obs.KeyClient, a.String(), "network", b.Network.String(), "times", times)
		}
		return farewellWords(service, n.config.Load().Hostname, b.Until.IsZero()), true
	}
}

// farewellWords are empty where TLS comes first, and for HTTP.
func farewellWords(service, hostname string, forGood bool) string {
	text, code, imap, pop := banText, "421 4.7.0", "UNAVAILABLE", "SYS/TEMP"
	if forGood {
		text, code, imap, pop = banTextGood, "554 5.7.1", "CONTACTADMIN", "SYS/PERM" // RFC 5530 §3, RFC 3206 §5
	}
	switch service {
	case "smtp", "submission", "lmtp":
		return fmt.Sprintf("%s %s %s\r\n", code, hostname, text)
	case "imap":
		return fmt.Sprintf("* BYE [%s] %s\r\n", imap, text)
	case "pop3":
		return fmt.Sprintf("-ERR [%s] %s\r\n", pop, text)
	}
	return ""
}

// note remembers what is to be written.
func (b *bans) note(list ...netip.Prefix) {
	if len(list) == 0 {
		return
	}
	b.mu.Lock()
	for _, p := range list {
		b.changed[p] = true
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// flush writes what has changed. What cannot be written stays for the next time.
func (b *bans) flush(ctx context.Context) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	taken := b.changed
	b.changed = map[netip.Prefix]bool{}
	b.mu.Unlock()
	var put []limitstore.Ban
	var remove []netip.Prefix
	for p := range taken {
		if one, there := b.set.Get(p); there {
			put = append(put, limitstore.Ban{Network: p, Reason: one.Reason, Origin: cmp.Or(string(one.Origin), string(ban.Operator)), Since: one.Since, Until: one.Until})
		} else {
			remove = append(remove, p)
		}
	}
	err := b.store.Change(ctx, put, remove)
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		for p := range taken {
			b.changed[p] = true
		}
	}
	return err
}

// start begins to write behind, and to forget what is over; stop ends that with a last write. each is called now and then too.
func (b *bans) start(each func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel, b.done = cancel, make(chan struct{})
	go func() {
		defer close(b.done)
		tick := time.NewTicker(bansPace)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				b.note(b.set.Prune(b.now())...)
				each(ctx)
			case <-b.wake:
			}
			if err := b.flush(ctx); err != nil && ctx.Err() == nil {
				b.log.Warn("bans could not be written; they hold, and will be tried again", obs.KeyError, err)
			}
		}
	}()
}

func (b *bans) stop(ctx context.Context) error {
	if b.cancel != nil {
		b.cancel()
		<-b.done
	}
	return b.flush(ctx)
}
