// Package srs is the Sender Rewriting Scheme: the reverse-path of mail that is forwarded becomes an address of our own, so
// that the next host's SPF check (RFC 7208) finds us allowed to send it, and a bounce finds its way back.
//
//	alice@source.example      → SRS0=HHHH=TT=source.example=alice@srs.example
//	SRS0=…@forwarder.example  → SRS1=HHHH=forwarder.example==…@srs.example
//
// TT is the day in base32, valid for MaxAge; HHHH the first characters of a keyed hash (HMAC-SHA1) in base64, compared
// without case, since hosts on the way may fold it. The forms are those of Mail::SRS and postsrsd (test/interop/routing), so
// that a site may change over with its secret and addresses under way stay valid.
//
// There may be several secrets: the first signs, all verify. The package does no I/O; the clock is given.
//
// Failures: ErrForged, ErrExpired, permanent ones with the reply to RCPT.
package srs

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/status"
)

// MaxAge is how long an address may come back.
const MaxAge = 21 * 24 * time.Hour

const (
	hashLength = 4 // characters that are written
	minHash    = 4 // that must be right; longer ones are compared whole
	slot       = 24 * time.Hour
	slots      = 1024
	digits     = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	separators = "=+-"
)

// The refusals.
var (
	ErrForged  = status.Perm(550, 7, 1, "SRS address rejected: its hash is not ours")
	ErrExpired = status.Perm(550, 7, 1, "SRS address rejected: it is too old")
)

// Rewriter makes SRS addresses and reads them. A nil Rewriter does nothing.
type Rewriter struct {
	Domain  string   // of the addresses that are made, in A-labels
	Secrets [][]byte // the first signs; none is empty
	// Exclude are domains whose senders are never rewritten, each with what is below it.
	Exclude []string
	Now     func() time.Time
}

// Ours tells whether an address is one that Reverse reads.
func (w *Rewriter) Ours(a address.Address) bool {
	return w != nil && a.Domain == w.Domain && (tagged(a.Local, "SRS0") || tagged(a.Local, "SRS1"))
}

func tagged(local, tag string) bool {
	return len(local) > len(tag)+1 && strings.EqualFold(local[:len(tag)], tag) && strings.IndexByte(separators, local[len(tag)]) >= 0
}

// Forward returns the reverse-path of a copy that is forwarded; ok is false where it stays as it is: the null one, those
// of our SRS domain and of excluded domains, and those that would be too long for a path (RFC 5321 §4.5.3.1.3).
func (w *Rewriter) Forward(a address.Address) (out address.Address, ok bool) {
	if w == nil || a.IsZero() || a.Domain == "" || a.Domain == w.Domain || a.Domain[0] == '[' {
		return a, false
	}
	for _, x := range w.Exclude {
		if a.Domain == x || strings.HasSuffix(a.Domain, "."+x) {
			return a, false
		}
	}
	out = address.Address{Domain: w.Domain}
	if _, host, rest, ok := guarded(a.Local); ok { // the host before us did this already: only it changes
		out.Local = "SRS1=" + w.hash(0, host, rest) + "=" + host + "=" + rest
	} else if tagged(a.Local, "SRS0") {
		rest := a.Local[len("SRS0"):]
		out.Local = "SRS1=" + w.hash(0, a.Domain, rest) + "=" + a.Domain + "=" + rest
	} else {
		t := stamp(w.Now())
		out.Local = "SRS0=" + w.hash(0, t, a.Domain, a.Local) + "=" + t + "=" + a.Domain + "=" + a.Local
	}
	if len(out.Path()) > address.MaxPath {
		return a, false
	}
	return out, true
}

// Reverse returns the address that an SRS address of ours stands for: the first sender, or for SRS1 the SRS0 address of the
// host that has rewritten it first.
func (w *Rewriter) Reverse(a address.Address) (address.Address, error) {
	if !w.Ours(a) {
		return address.Address{}, ErrForged
	}
	if tagged(a.Local, "SRS1") {
		hash, host, rest, ok := guarded(a.Local)
		if !ok || !w.valid(hash, host, rest) {
			return address.Address{}, ErrForged
		}
		domain, err := address.CanonicalDomain(host)
		if err != nil {
			return address.Address{}, ErrForged
		}
		return address.Address{Local: "SRS0" + rest, Domain: domain}, nil
	}
	parts := strings.SplitN(a.Local[len("SRS0="):], "=", 4)
	if len(parts) != 4 || parts[2] == "" || parts[3] == "" {
		return address.Address{}, ErrForged
	}
	hash, t, host, local := parts[0], parts[1], parts[2], parts[3]
	if !w.valid(hash, t, host, local) {
		return address.Address{}, ErrForged
	}
	if !fresh(t, w.Now()) {
		return address.Address{}, ErrExpired
	}
	domain, err := address.CanonicalDomain(host)
	if err != nil {
		return address.Address{}, ErrForged
	}
	return address.Address{Local: local, Domain: domain}, nil
}

// guarded splits "SRS1=hash=host=rest": rest is what followed "SRS0" at host, with its separator. ok is false for what is
// none.
func guarded(local string) (hash, host, rest string, ok bool) {
	if !tagged(local, "SRS1") {
		return "", "", "", false
	}
	parts := strings.SplitN(local[len("SRS1="):], "=", 3)
	if len(parts) != 3 || parts[0] == "" || !tagged("SRS0"+parts[2], "SRS0") {
		return "", "", "", false
	}
	_, err := address.CanonicalDomain(parts[1])
	return parts[0], parts[1], parts[2], err == nil && parts[1][0] != '['
}

// hash signs parts, without their case.
func (w *Rewriter) hash(secret int, parts ...string) string {
	return w.sum(secret, parts)[:hashLength]
}

func (w *Rewriter) sum(secret int, parts []string) string {
	m := hmac.New(sha1.New, w.Secrets[secret])
	for _, p := range parts {
		m.Write([]byte(strings.ToLower(p)))
	}
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// valid compares a hash with that of each secret.
func (w *Rewriter) valid(hash string, parts ...string) bool {
	ok := false
	for i := range w.Secrets {
		want := w.sum(i, parts)
		if len(hash) < minHash || len(hash) > len(want) {
			return false
		}
		ok = hmac.Equal([]byte(strings.ToLower(hash)), []byte(strings.ToLower(want[:len(hash)]))) || ok
	}
	return ok
}

// stamp writes a day: two digits, again the same after 1024 days.
func stamp(t time.Time) string {
	day := t.Unix() / int64(slot/time.Second)
	return string([]byte{digits[day>>5&31], digits[day&31]})
}

// fresh tells whether a day is at most MaxAge ago.
func fresh(t string, now time.Time) bool {
	if len(t) != 2 {
		return false
	}
	t = strings.ToUpper(t)
	high, low := strings.IndexByte(digits, t[0]), strings.IndexByte(digits, t[1])
	if high < 0 || low < 0 {
		return false
	}
	day := now.Unix() / int64(slot/time.Second)
	age := (day - int64(high<<5|low)) % slots
	if age < 0 {
		age += slots
	}
	return age <= int64(MaxAge/slot) || age == slots-1 // a host whose clock runs a little ahead
}
