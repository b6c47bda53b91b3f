package postfix

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/table"
)

// networks reads a list of addresses, networks, files of them ("/file") and tables whose keys are such. The first member
// that fits an address counts, so "!network" takes out of those that come after it.
func (m *move) networks(p *param) (config.Networks, error) {
	items, err := m.members(p, p.value, 0)
	if err != nil {
		return nil, err
	}
	out := config.Networks{}
	var without []netip.Prefix
	for _, item := range items {
		text, exception := strings.CutPrefix(item, "!")
		var n config.Network
		text = strings.NewReplacer("[", "", "]", "").Replace(text)
		if err := n.UnmarshalText([]byte(text)); err != nil {
			p.doubt("%s is no network", clip(item))
			continue
		}
		if exception {
			without = append(without, n.Prefix)
			continue
		}
		for _, piece := range subtract(n.Prefix, without) {
			if n := (config.Network{Prefix: piece}); !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
		if len(out) > maxMembers {
			return nil, fmt.Errorf("more than %d networks", maxMembers)
		}
	}
	return out, nil
}

// subtract takes networks out of a network.
func subtract(from netip.Prefix, without []netip.Prefix) []netip.Prefix {
	pieces := []netip.Prefix{from}
	for _, w := range without {
		var left []netip.Prefix
		for _, piece := range pieces {
			left = append(left, less(piece, w)...)
		}
		if pieces = left; len(pieces) > maxMembers {
			return pieces // the caller refuses so many
		}
	}
	return pieces
}

// less is one network without another: halves of it, and of these.
func less(from, without netip.Prefix) []netip.Prefix {
	switch {
	case !from.Overlaps(without):
		return []netip.Prefix{from}
	case without.Bits() <= from.Bits():
		return nil
	}
	low := netip.PrefixFrom(from.Addr(), from.Bits()+1)
	bytes := from.Addr().AsSlice()
	bytes[from.Bits()/8] |= 0x80 >> (from.Bits() % 8)
	addr, _ := netip.AddrFromSlice(bytes)
	return append(less(low, without), less(netip.PrefixFrom(addr, from.Bits()+1), without)...)
}

// maxMembers bounds a list with the files that it names.
const maxMembers = 10000

// members splits a list and puts in the place of "/file" what is in the file, and in that of a table its keys.
func (m *move) members(p *param, text string, depth int) ([]string, error) {
	items, err := table.Split(text)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, item := range items {
		kind, path, isTable := strings.Cut(strings.TrimPrefix(item, "proxy:"), ":")
		switch {
		case strings.HasPrefix(item, "/") && depth < 5:
			text, err := readFile(m.At(item))
			if err != nil {
				p.doubt("the file %s cannot be read: %v", item, reason(err))
				continue
			}
			lines, _ := logicalLines(text)
			for _, l := range lines {
				more, err := m.members(p, l.text, depth+1)
				if err != nil {
					return nil, err
				}
				out = append(out, more...)
			}
		case isTable && isText(kind) && strings.HasPrefix(path, "/"):
			keys, _ := m.keysOf(p, kind, path)
			for _, key := range keys {
				if kind != "cidr" && strings.Contains(key, "/") { // mynetworks: such a table is asked for the whole address
					p.doubt("%s: %s never was a network there: Postfix finds whole addresses in tables of the type %s", item, clip(key), kind)
					continue
				}
				out = append(out, key)
			}
		case isTable && strings.IndexByte(kind, '[') < 0 && !strings.Contains(path, ":") && !isHex(kind):
			p.doubt("the table %s cannot be asked here; write what it holds", item)
		default:
			out = append(out, item)
		}
		if len(out) > maxMembers {
			return nil, fmt.Errorf("more than %d members", maxMembers)
		}
	}
	return out, nil
}

// isHex tells the beginning of an IPv6 address from the type of a table.
func isHex(s string) bool { return strings.Trim(s, "0123456789abcdefABCDEF") == "" }
