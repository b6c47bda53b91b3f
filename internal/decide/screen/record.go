package screen

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Test is one of the tests.
type Test int

// The tests.
const (
	Greet      Test = iota // silence before the greeting
	Lists                  // DNS lists
	Pipelining             // no commands together where they may not be
	Commands               // no commands of other protocols
	Newlines               // no lines that end in LF alone
	tests
)

// letters stand for the tests in a record.
const letters = "gdpcn"

// record is until when a client has passed each test; 0: it has not.
type record [tests]int64

func (r record) encode() string {
	var b strings.Builder
	for t, until := range r {
		if until != 0 {
			b.WriteByte(letters[t])
			b.WriteString(strconv.FormatInt(until, 10))
		}
	}
	return b.String()
}

// decode reads a record; what cannot be read was not passed.
func decode(s string) (r record) {
	for s != "" {
		t := strings.IndexByte(letters, s[0])
		n := 1
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		until, err := strconv.ParseInt(s[1:n], 10, 64)
		if t < 0 || err != nil {
			return r
		}
		r[t], s = until, s[n:]
	}
	return r
}

// latest is when all that was passed is over.
func (r record) latest() time.Time {
	last := int64(0)
	for _, until := range r {
		last = max(last, until)
	}
	return time.Unix(last, 0)
}

// Site is who counts as one client: an IPv4 address, an IPv6 /64.
func Site(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero Prefix of no address is a key like any other
	return p
}

// network is what our acquaintance with one address extends to: hosts of one operator send from and receive at neighbours.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
