package greylist

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Suspect is what is known of a client.
type Suspect struct {
	Client  netip.Addr
	Name    string // verified
	Reverse string // not verified
	Unknown bool   // the DNS could not tell one of them for now
	Score   int    // what DNS lists say
}

// Points say how much a client looks like one that should not send mail: 2 without a reverse name, 1 with one that does not lead
// back to it, 2 with one that looks like that of a dial-up, and what DNS lists say.
func (s Suspect) Points() int {
	points := s.Score
	switch {
	case s.Unknown: // our own trouble is no reason
	case s.Name == "" && s.Reverse == "":
		points += 2
	case s.Name == "":
		points++
		if Dynamic(s.Reverse, s.Client) {
			points++
		}
	case Dynamic(s.Name, s.Client):
		points += 2
	}
	return points
}

// dialWords are labels, or parts of them between hyphens, of which networks make the names of dial-ups.
func dialWords() []string {
	return []string{"adsl", "broadband", "cable", "cust", "customer", "customers", "dhcp", "dial", "dialin", "dialup", "dsl", "dyn", "dynamic",
		"dynamicip", "fttb", "ftth", "gprs", "home", "hsd", "lte", "mobile", "pool", "pools", "ppp", "pppoe", "res", "residential", "user",
		"vdsl", "wireless", "xdsl"}
}

// Dynamic tells whether a name looks as if it were made from the address of a dial-up: it has the address in it, or one of the
// words of such names. "static" in it says the opposite.
func Dynamic(name string, a netip.Addr) bool {
	name = strings.ToLower(name)
	words := strings.FieldsFunc(name, func(r rune) bool { return r == '.' || r == '-' || r == '_' })
	if slices.Contains(words, "static") || slices.Contains(words, "mail") || slices.Contains(words, "mx") || slices.Contains(words, "smtp") {
		return false
	}
	host := words[:max(len(words)-2, 0)] // the domain's own name says nothing
	for _, w := range host {
		if slices.Contains(dialWords(), strings.TrimRight(w, "0123456789")) {
			return true
		}
	}
	return hasAddress(name, host, a)
}

// hasAddress tells whether the numbers of an IPv4 address are in a name, in either order, or its hexadecimal form.
func hasAddress(name string, words []string, a netip.Addr) bool {
	a = a.Unmap()
	if !a.Is4() {
		return false
	}
	b := a.As4()
	if strings.Contains(name, hex.EncodeToString(b[:])) {
		return true
	}
	var numbers []string
	for _, w := range words {
		for _, n := range strings.FieldsFunc(w, func(r rune) bool { return r < '0' || r > '9' }) {
			if n = strings.TrimLeft(n, "0"); n == "" {
				n = "0"
			}
			numbers = append(numbers, n)
		}
	}
	forward := []string{strconv.Itoa(int(b[0])), strconv.Itoa(int(b[1])), strconv.Itoa(int(b[2])), strconv.Itoa(int(b[3]))}
	for range 2 {
		for i := range numbers {
			// Three of the four in a row will do: many networks leave the first out.
			if match(numbers[i:], forward[1:]) || match(numbers[i:], forward[:3]) {
				return true
			}
		}
		slices.Reverse(forward)
	}
	return false
}

func match(numbers, want []string) bool {
	return len(numbers) >= len(want) && slices.Equal(numbers[:len(want)], want)
}
