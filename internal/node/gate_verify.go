package node

import (
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/agent/mta"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/route"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/status"
)

// Bounds of address verification.
const (
	probesAtOnce  = 20
	maxProbed     = 50_000 // addresses remembered
	probePatience = 2 * time.Minute
	probeAgain    = 3 * time.Minute // after one that nobody answered
)

// verifier finds out whether addresses exist by asking where their mail goes, and remembers the answer
// (ADDRESS_VERIFICATION_README). A client waits a little for a probe; one that takes longer goes on without it.
type verifier struct {
	mta   *mta.Agent
	now   func() time.Time
	slots chan struct{}

	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu    sync.Mutex // guards known
	known map[address.Address]*probed
}

// probed is what is known of an address.
type probed struct {
	done chan struct{} // closed when err and until are set
	err  error
	till time.Time
}

func newVerifier(m *mta.Agent, now func() time.Time) *verifier {
	v := &verifier{mta: m, now: now, slots: make(chan struct{}, probesAtOnce), known: map[address.Address]*probed{}}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	return v
}

// close ends all probes.
func (v *verifier) close() {
	v.cancel()
	v.group.Wait()
}

// prober is a verifier by one configuration: it implements access.Prober.
type prober struct {
	*verifier
	router *route.Router
	from   address.Address
	verify config.AddressVerify
}

func (n *Node) newProber(c *config.Config, router *route.Router) prober {
	p := prober{verifier: n.verifier, router: router, verify: c.Access.Verify}
	if p.verify.AddressVerifySender != "" {
		p.from = address.Address{Local: p.verify.AddressVerifySender, Domain: c.Domain}
	}
	return p
}

// errProbing is the answer as long as there is none.
var errProbing = status.Temp(450, 1, 0, "Address verification in progress")

// Probe implements access.Prober.
func (p prober) Probe(ctx context.Context, a address.Address) error {
	k := p.begin(a)
	if k == nil {
		return errProbing
	}
	t := time.NewTimer(p.verify.Wait.D())
	defer t.Stop()
	select {
	case <-k.done:
		return k.err
	case <-t.C:
	case <-ctx.Done():
	}
	return errProbing
}

// begin returns what is known, or is being found out; nil: there are too many probes now.
func (p prober) begin(a address.Address) *probed {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.known[a]; k != nil {
		select {
		case <-k.done:
			if p.now().Before(k.till) {
				return k
			}
		default:
			return k
		}
	}
	select {
	case p.slots <- struct{}{}:
	default:
		return nil
	}
	if len(p.known) >= maxProbed {
		p.sweep()
	}
	k := &probed{done: make(chan struct{})}
	p.known[a] = k
	p.group.Go(func() {
		defer func() { <-p.slots }()
		ctx, cancel := context.WithTimeout(p.ctx, probePatience)
		defer cancel()
		k.err = p.ask(ctx, a)
		keep := probeAgain
		switch {
		case k.err == nil:
			keep = p.verify.AddressVerifyPositiveExpireTime.D()
		case status.IsPermanent(k.err):
			keep = p.verify.AddressVerifyNegativeExpireTime.D()
		}
		k.till = p.now().Add(keep)
		close(k.done)
	})
	return k
}

// sweep makes room. p.mu is held.
func (p prober) sweep() {
	now := p.now()
	for a, k := range p.known {
		select {
		case <-k.done:
			if len(p.known) >= maxProbed || !now.Before(k.till) {
				delete(p.known, a)
			}
		default:
		}
	}
}

// ask finds the way of an address and asks who is there. Mailboxes of our own are known without.
func (p prober) ask(ctx context.Context, a address.Address) error {
	targets, err := p.router.Recipient(ctx, route.Query{From: p.from, To: envelope.Recipient{To: a}, MayRelay: true})
	if err != nil || len(targets) != 1 {
		return err // a list is deliverable, whoever is on it
	}
	switch r := &targets[0]; r.Transport {
	case flow.SMTP, flow.LMTP:
		return p.mta.Probe(ctx, p.from, r)
	case flow.Error:
		if code, text, ok := status.ParseEnhanced(r.NextHop); ok && code.Class == status.Permanent {
			return status.Perm(550, code.Subject, code.Detail, text)
		}
		return errProbing
	}
	return nil
}
