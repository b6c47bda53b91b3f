package mta

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/wire/smtp"
)

// Bounds of what one event tells.
const (
	maxReplies    = 50
	maxReplyBytes = 16 << 10
	maxTold       = 100 // recipients
)

// trial writes down what happens with one host, for obs.Attempt. A nil trial writes nothing.
type trial struct {
	x       *attempt
	event   obs.Attempt
	started time.Time
	bytes   int
	over    bool
}

// begin begins to write, about a hop; the zero hop is a host that was not found.
func (x *attempt) begin(h hop) *trial {
	tr := &trial{x: x, started: x.opt.Now(), event: obs.Attempt{ID: x.task.Job.ID, Relay: "none", Phase: "connect"}}
	if h.name != "" {
		tr.event.Relay = h.String()
	}
	for _, r := range x.pending[:min(len(x.pending), maxTold)] {
		tr.event.Recipients = append(tr.event.Recipients, r.To)
	}
	tr.event.Site = siteName(x, h)
	return tr
}

// siteName is what the queue calls the site; where exchangers have none, the destination.
func siteName(x *attempt, h hop) string {
	if h.site != "" {
		return h.site
	}
	if h.to.written != "" {
		return h.to.written
	}
	if len(x.pending) > 0 {
		return x.pending[0].To.Domain
	}
	return ""
}

// dialed: a connection stands.
func (tr *trial) dialed(h hop, c net.Conn) {
	if tr == nil {
		return
	}
	tr.event.Relay, tr.event.Phase = h.String(), string(smtp.PhaseGreeting)
	if a, ok := c.LocalAddr().(*net.TCPAddr); ok {
		tr.event.Local = a.AddrPort().Addr().Unmap()
	}
}

// listen has what the host says written down.
func (tr *trial) listen(c *conn) {
	if tr == nil {
		return
	}
	tr.event.Helo = c.key.from.Hello
	c.Heard = tr.heard
}

func (tr *trial) heard(phase smtp.Phase, r smtp.Reply) {
	tr.event.Phase = string(phase)
	late := phase == smtp.PhaseMail || phase == smtp.PhaseRcpt || phase == smtp.PhaseData || phase == smtp.PhaseEnd
	if !late && r.Positive() {
		return
	}
	s := r.String()
	if len(tr.event.Replies) < maxReplies && tr.bytes+len(s) <= maxReplyBytes {
		tr.event.Replies = append(tr.event.Replies, s)
		tr.bytes += len(s)
	}
}

// ready: the connection may be used.
func (tr *trial) ready(c *conn, t *terms) {
	tr.event.Connect = tr.x.opt.Now().Sub(tr.started)
	tr.event.Relay = c.hop.String()
	tr.event.Account = t.user
	if s := c.TLS(); s != nil {
		tr.event.TLS = tls.VersionName(s.Version) + " " + tls.CipherSuiteName(s.CipherSuite)
		c.trust = map[TLS]string{TLSVerify: "verified", TLSFingerprint: "fingerprint"}[t.policy.Level]
		if c.trust == "" {
			c.trust = "unverified"
		}
	}
	tr.event.Trust = c.trust
}

// reuse: a connection that waited is used.
func (tr *trial) reuse(c *conn) {
	t := terms{user: c.key.user}
	trust := c.trust
	tr.ready(c, &t)
	c.trust, tr.event.Trust = trust, trust
	tr.event.Connect, tr.event.Reused = 0, true
}

// again tells what was written, and begins anew about the same hop.
func (tr *trial) again(h hop, f *failure) {
	if tr != nil {
		tr.end(f)
		*tr = *tr.x.begin(h)
	}
}

// end tells what was written; once.
func (tr *trial) end(f *failure) {
	if tr == nil || tr.over {
		return
	}
	tr.over = true
	e := &tr.event
	if e.Duration = tr.x.opt.Now().Sub(tr.started); f != nil {
		if f.phase != "" {
			e.Phase = f.phase
		}
		if f.remote == "" {
			e.Error = f.text
		}
		if f.relay != "" {
			e.Relay = f.relay
		}
	}
	tr.x.opt.Events.Emit(*e)
}
