package access

import (
	"net/netip"

	"github.com/postrider/postrider/internal/dns"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/obs"
)

func runMynetworks(e *eval, _ *rule) outcome {
	if e.policy.opt.Mynetworks.Contains(e.addr()) {
		return permit
	}
	return pass
}

func runAuthenticated(e *eval, _ *rule) outcome {
	if e.session.conn.Client.Login != "" {
		return permit
	}
	return pass
}

func runOwnAddress(e *eval, _ *rule) outcome {
	if e.policy.opt.Ours != nil && e.policy.opt.Ours(e.addr()) {
		return permit
	}
	return pass
}

func runAuthDestination(e *eval, r *rule) outcome {
	ours, o := e.authorized(r)
	if ours {
		return permitAnybody
	}
	return o
}

// authorized tells whether anybody may send to the recipient.
func (e *eval) authorized(r *rule) (bool, outcome) {
	if e.rcpt == nil {
		return false, pass
	}
	ours, err := e.policy.opt.Destinations.Authorized(e.ctx, e.rcpt.To)
	if err != nil {
		return false, e.lookupFailed(r, e.rcpt.To.Path(), err)
	}
	return ours, pass
}

func runUnauthDestination(e *eval, r *rule) outcome {
	return e.unauthorized(r, e.policy.opt.Config.Codes.RelayDomainsRejectCode)
}

func runDeferUnauthDestination(e *eval, r *rule) outcome { return e.unauthorized(r, 454) }

func (e *eval) unauthorized(r *rule, code int) outcome {
	ours, o := e.authorized(r)
	if e.rcpt == nil || ours || o.verdict == refuses {
		return o
	}
	return e.refuse(obs.ReasonRelay, say(code, 7, 1, e.rcpt.To.Path()+": Relay access denied"))
}

// runMXBackup permits recipients whose mail we are to keep while their own hosts are away: one of the MX hosts is this one.
func runMXBackup(e *eval, r *rule) outcome {
	ours, o := e.authorized(r)
	if ours {
		return permitAnybody
	}
	if e.rcpt == nil || o.verdict == refuses || e.policy.opt.Ours == nil {
		return o
	}
	if _, literal := address.LiteralIP(e.rcpt.To.Domain); literal || e.rcpt.To.Domain == "" {
		return pass
	}
	mxs, _, err := e.policy.opt.Resolver.LookupMX(e.ctx, e.rcpt.To.Domain)
	if err != nil {
		return e.mxUnknown(err)
	}
	us, best := false, []netip.Addr(nil)
	for _, mx := range mxs[:min(len(mxs), maxServers)] {
		addrs, _, err := e.policy.opt.Resolver.LookupIP(e.ctx, mx.Host, dns.AnyIP)
		if dns.IsTemporary(err) {
			return e.mxUnknown(err)
		}
		for _, a := range addrs {
			us = us || e.policy.opt.Ours(a.Unmap())
		}
		if mx.Preference == mxs[0].Preference {
			best = append(best, addrs...)
		}
	}
	if !us || !e.primary(best) {
		return pass
	}
	return permit
}

// primary tells whether the first mail exchangers are among permit_mx_backup_networks.
func (e *eval) primary(best []netip.Addr) bool {
	nets := e.policy.opt.Config.PermitMXBackupNetworks
	if len(nets) == 0 {
		return true
	}
	for _, a := range best {
		if !nets.Contains(a) {
			return false
		}
	}
	return len(best) > 0
}

// mxUnknown leaves it open whether to permit.
func (e *eval) mxUnknown(err error) outcome {
	if dns.IsTemporary(err) {
		return e.deferIfReject(say(450, 4, 3, e.rcpt.To.Path()+": Recipient address rejected: Unable to look up mail exchanger information"))
	}
	return pass
}
