package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

const (
	updateTimeout = 20 * time.Second // of one message and its answer
	tsigFudge     = 300              // seconds that clocks may differ, RFC 8945 §10
	maxTXT        = 255              // bytes of one string, RFC 1035 §3.3
)

// TSIGKey signs messages to a name server (RFC 8945). The zero key signs nothing.
type TSIGKey struct {
	Name      string
	Algorithm string // "hmac-sha256", …
	Secret    string // base64
}

// Updater changes the records of a zone by dynamic update (RFC 2136), over TCP. Its fields do not change once it is used.
type Updater struct {
	Server string // "address:port" of the zone's primary server
	Zone   string // "": the server is asked
	Key    TSIGKey
	Now    func() time.Time
	Dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// UpdateError is a name server's refusal.
type UpdateError struct {
	Server, Zone string
	Rcode        string // "REFUSED", …
}

func (e *UpdateError) Error() string {
	hint := ""
	switch {
	case e.Rcode == "REFUSED":
		hint = ": does the server allow this key to update this zone?"
	case strings.HasPrefix(e.Rcode, "NOTAUTH"):
		hint = ": is the server the primary of this zone, is it the right key, and are both clocks right?"
	case e.Rcode == "NOTZONE":
		hint = ": the name is not in this zone"
	}
	return fmt.Sprintf("%s refuses the update of %s with %s%s", e.Server, e.Zone, e.Rcode, hint)
}

// AddTXT adds a TXT record; others of the same name stay.
func (u *Updater) AddTXT(ctx context.Context, name, value string, ttl time.Duration) error {
	return u.update(ctx, name, value, func(m *wire.Msg, rr *wire.TXT) {
		rr.Hdr.Ttl = uint32(ttl / time.Second)
		m.Insert([]wire.RR{rr}) // RFC 2136 §2.5.1
	})
}

// RemoveTXT removes this one TXT record, if it is there.
func (u *Updater) RemoveTXT(ctx context.Context, name, value string) error {
	return u.update(ctx, name, value, func(m *wire.Msg, rr *wire.TXT) {
		m.Remove([]wire.RR{rr}) // RFC 2136 §2.5.4
	})
}

func (u *Updater) update(ctx context.Context, name, value string, change func(*wire.Msg, *wire.TXT)) error {
	name, ok := canonical(name)
	if !ok || len(value) > maxTXT {
		return fmt.Errorf("dns: no TXT record of %q can be made", name)
	}
	zone, ok := canonical(u.Zone)
	if u.Zone == "" {
		var err error
		if zone, err = u.zoneOf(ctx, name); err != nil {
			return err
		}
	} else if !ok {
		return fmt.Errorf("dns: %q is no zone", u.Zone)
	}
	m := new(wire.Msg)
	m.SetUpdate(zone + ".")
	change(m, &wire.TXT{Hdr: wire.RR_Header{Name: name + ".", Rrtype: wire.TypeTXT, Class: wire.ClassINET}, Txt: []string{value}})
	answer, err := u.exchange(ctx, m)
	if err != nil {
		return fmt.Errorf("dns: update of %s at %s: %w", zone, u.Server, err)
	}
	if answer.Rcode != wire.RcodeSuccess {
		return &UpdateError{Server: u.Server, Zone: zone, Rcode: rcode(answer)}
	}
	return nil
}

// rcode is the server's word, with what it says of our signature.
func rcode(m *wire.Msg) string {
	word := wire.RcodeToString[m.Rcode]
	if t := m.IsTsig(); t != nil && t.Error != wire.RcodeSuccess {
		word += " (" + wire.RcodeToString[int(t.Error)] + ")" // RFC 8945 §3: BADSIG, BADKEY, BADTIME
	}
	return word
}

// zoneOf asks the server which of its zones holds a name: the owner of the SOA in its answer, RFC 2308 §3.
func (u *Updater) zoneOf(ctx context.Context, name string) (string, error) {
	m := new(wire.Msg)
	m.SetQuestion(name+".", wire.TypeSOA)
	m.RecursionDesired = false
	answer, err := u.exchange(ctx, m)
	if err != nil {
		return "", fmt.Errorf("dns: zone of %s at %s: %w", name, u.Server, err)
	}
	if answer.Rcode == wire.RcodeNotAuth {
		return "", &UpdateError{Server: u.Server, Zone: "the zone of " + name, Rcode: rcode(answer)}
	}
	for _, rr := range append(answer.Answer, answer.Ns...) {
		soa, ok := rr.(*wire.SOA)
		if zone, valid := "", false; ok {
			if zone, valid = canonical(soa.Hdr.Name); valid && (name == zone || strings.HasSuffix(name, "."+zone)) {
				return zone, nil
			}
		}
	}
	return "", fmt.Errorf("dns: %s does not know the zone of %s (%s): is it the primary server? tls.acme.dns.zone can name the zone",
		u.Server, name, rcode(answer))
}

// exchange sends one message, signed if there is a key, and checks that the answer belongs to it and is signed too.
func (u *Updater) exchange(ctx context.Context, m *wire.Msg) (*wire.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	conn, err := u.Dial(ctx, "tcp", u.Server)
	if err != nil {
		return nil, err
	}
	defer conn.Close() // nothing was promised; a failed close loses nothing
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	c := &wire.Conn{Conn: conn}
	if u.Key.Name != "" {
		key := wire.Fqdn(strings.ToLower(u.Key.Name))
		c.TsigSecret = map[string]string{key: u.Key.Secret}
		m.SetTsig(key, wire.Fqdn(u.Key.Algorithm), tsigFudge, u.Now().Unix())
	}
	answer, err := u.converse(c, m)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("no answer: %w", ctx.Err())
	}
	return answer, err
}

func (u *Updater) converse(c *wire.Conn, m *wire.Msg) (*wire.Msg, error) {
	if err := c.WriteMsg(m); err != nil {
		return nil, err
	}
	answer, err := c.ReadMsg()
	refused := answer != nil && answer.Rcode != wire.RcodeSuccess
	switch {
	case err != nil && !refused: // a server that does not accept the key cannot sign its refusal (RFC 8945 §5.2)
		return nil, err
	case answer.Id != m.Id || !answer.Response || answer.Opcode != m.Opcode:
		return nil, errMismatch
	case u.Key.Name != "" && answer.IsTsig() == nil && !refused:
		return nil, errors.New("the answer is not signed")
	}
	return answer, nil
}
