package smtp

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/status"
)

// Offers are the extensions of MAIL that a service offers besides those that every service does.
type Offers struct {
	FutureRelease time.Duration // how long a message may be kept back, RFC 4865; 0: FUTURERELEASE is not offered
	DeliverBy     bool          // DELIVERBY, RFC 2852
	Priority      bool          // MT-PRIORITY, RFC 6710
	RequireTLS    bool          // REQUIRETLS, RFC 8689; only under TLS
	// VERP tells the clients that may ask for one reverse-path for each recipient (XVERP, as Postfix has it). nil: none.
	VERP func(netip.Addr) bool
}

var (
	errHold     = status.Perm(501, 5, 4, "Invalid HOLDFOR or HOLDUNTIL parameter")
	errHoldBy   = status.Perm(501, 5, 4, "The message is to be back (BY) before it is to be released (HOLDFOR, HOLDUNTIL)")
	errHoldLong = status.Perm(501, 5, 4, "The message would be kept back for longer than this server does")
	errBy       = status.Perm(501, 5, 4, "Invalid BY parameter")
	errPriority = status.Perm(501, 5, 2, "Invalid MT-PRIORITY parameter") // RFC 6710 §4.1
	errVERP     = status.Perm(501, 5, 4, "Invalid XVERP parameter: two of the characters -=+ are expected")
	errVERPNull = status.Perm(501, 5, 4, "XVERP needs a sender")
)

// keywords are the offers as lines of the reply to EHLO.
func (s *session) keywords(text []string) []string {
	o := &s.cfg.Offers
	if o.FutureRelease > 0 { // RFC 4865 §3: the longest interval, and the latest time
		text = append(text, "FUTURERELEASE "+strconv.FormatInt(int64(o.FutureRelease/time.Second), 10)+" "+
			time.Now().Add(o.FutureRelease).UTC().Format(time.RFC3339))
	}
	if o.DeliverBy {
		text = append(text, "DELIVERBY")
	}
	if o.Priority {
		text = append(text, "MT-PRIORITY")
	}
	if s.offersRequireTLS() {
		text = append(text, "REQUIRETLS")
	}
	if s.offersVERP() {
		text = append(text, "XVERP")
	}
	return text
}

// offersRequireTLS: RFC 8689 §2, only in a session that has TLS.
func (s *session) offersRequireTLS() bool { return s.cfg.Offers.RequireTLS && s.peer.TLS != nil }

func (s *session) offersVERP() bool {
	return s.cfg.Offers.VERP != nil && s.cfg.Offers.VERP(s.peer.Remote.Addr().Unmap())
}

// offered puts the parameters of what is offered to this client into e, and returns the others.
func (s *session) offered(e *envelope.Envelope, params []param) (rest []param, err error) {
	o := &s.cfg.Offers
	for _, p := range params {
		switch {
		case o.FutureRelease > 0 && (p.key == "HOLDFOR" || p.key == "HOLDUNTIL"):
			err = holdParam(e, p, time.Now(), o.FutureRelease)
		case o.DeliverBy && p.key == "BY":
			err = byParam(e, p.value, time.Now())
		case o.Priority && p.key == "MT-PRIORITY":
			err = priorityParam(e, p.value)
		case p.key == "REQUIRETLS" && s.offersRequireTLS():
			if e.RequireTLS = true; p.value != "" { // RFC 8689 §3
				err = errParam
			}
		case p.key == "XVERP" && s.offersVERP():
			err = verpParam(e, p.value)
		default:
			rest = append(rest, p)
		}
		if err != nil {
			return nil, err
		}
	}
	if e.DeliverByReturn && e.HoldUntil.After(e.DeliverBy) { // it could only fail
		return nil, errHoldBy
	}
	return rest, nil
}

// holdParam is RFC 4865 §4 and §5: one of the two, and not beyond what was offered. A time that has passed means now.
func holdParam(e *envelope.Envelope, p param, now time.Time, most time.Duration) error {
	if !e.HoldUntil.IsZero() {
		return errHold
	}
	if p.key == "HOLDFOR" {
		n, err := strconv.ParseUint(p.value, 10, 32)
		if err != nil || n == 0 || len(p.value) > 9 {
			return errHold
		}
		e.HoldUntil = now.Add(time.Duration(n) * time.Second)
	} else {
		at, err := time.Parse(time.RFC3339, strings.ToUpper(p.value))
		if err != nil || at.Year() < 1970 {
			return errHold
		}
		e.HoldUntil = at.UTC()
	}
	// A client that takes the latest time from our EHLO is a little late, and none may be refused for its seconds.
	if e.HoldUntil.After(now.Add(most + time.Second)) {
		return errHoldLong
	}
	return nil
}

var byValue = regexp.MustCompile(`^(-?[0-9]{1,9});([RrNn])([Tt]?)$`)

// byParam is RFC 2852 §4. Time that has passed may be asked to be told of, not to be returned for. The trace modifier asks for
// reports of relaying, which only NOTIFY=SUCCESS does here.
func byParam(e *envelope.Envelope, value string, now time.Time) error {
	m := byValue.FindStringSubmatch(value)
	if m == nil {
		return errBy
	}
	n, _ := strconv.ParseInt(m[1], 10, 64) // nine digits
	e.DeliverBy, e.DeliverByReturn = now.Add(time.Duration(n)*time.Second), strings.EqualFold(m[2], "R")
	if e.DeliverByReturn && n <= 0 { // §4.1.2
		return errBy
	}
	return nil
}

func priorityParam(e *envelope.Envelope, value string) error {
	n, err := strconv.ParseInt(value, 10, 8)
	if err != nil || n < -9 || n > 9 || strings.HasPrefix(value, "+") || len(value) > 2 {
		return errPriority
	}
	e.Priority = int8(n)
	return nil
}

// DefaultVERP are the delimiters of XVERP without any, as with Postfix (default_verp_delimiters).
const DefaultVERP = "+="

// verpParam takes the two delimiters (Postfix: verp_delimiter_filter).
func verpParam(e *envelope.Envelope, value string) error {
	if value == "" {
		value = DefaultVERP
	}
	if len(value) != 2 || strings.Trim(value, "-=+") != "" {
		return errVERP
	}
	if e.From.IsZero() {
		return errVERPNull
	}
	e.VERP = value
	return nil
}
