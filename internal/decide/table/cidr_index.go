package table

import "net/netip"

// netIndex finds the first rule of a table of networks in time that does not grow with the table: for each length of prefix
// that occurs, the networks of it. Rules that are more than a network and a value are tried one by one.
type netIndex struct {
	lengths []netLength
	others  []int // negated rules and ifs, by their place
}

type netLength struct {
	bits  int
	four  bool
	first map[netip.Addr]int // network → place of its first rule
}

func indexNetworks(rules []rule) *netIndex {
	x := &netIndex{}
	at := map[netLengthKey]int{}
	for i := range rules {
		n, plain := rules[i].match.(network)
		if !plain || rules[i].negate || rules[i].branch {
			x.others = append(x.others, i)
			continue
		}
		p := netip.Prefix(n)
		k := netLengthKey{p.Bits(), p.Addr().Is4()}
		l, known := at[k]
		if !known {
			l = len(x.lengths)
			at[k] = l
			x.lengths = append(x.lengths, netLength{k.bits, k.four, map[netip.Addr]int{}})
		}
		if _, twice := x.lengths[l].first[p.Addr()]; !twice {
			x.lengths[l].first[p.Addr()] = i
		}
	}
	return x
}

type netLengthKey struct {
	bits int
	four bool
}

// lookup gives what first gives.
func (x *netIndex) lookup(rules []rule, key string) (string, bool) {
	a, err := netip.ParseAddr(key)
	if err != nil {
		return "", false // no rule applies to what is no address
	}
	best := len(rules)
	for i := range x.lengths {
		l := &x.lengths[i]
		p, err := a.WithZone("").Prefix(l.bits)
		if err != nil || l.four != a.Is4() || a.Zone() != "" {
			continue
		}
		if at, ok := l.first[p.Addr()]; ok {
			best = min(best, at)
		}
	}
	for _, at := range x.others {
		if at > best {
			break
		}
		if value, found := first(rules[at:at+1], key); found {
			return value, true
		}
	}
	if best == len(rules) {
		return "", false
	}
	return rules[best].value.expand(key, nil), true
}
