package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// render writes the page: RFCs in order of number, sections in natural order, files sorted.
func render(marks []mark) []byte {
	byRFC := map[int]map[string]map[string]bool{} // RFC → section → file → true
	proofs := map[int]int{}
	for _, m := range marks {
		if m.test {
			proofs[m.rfc]++
			continue
		}
		if byRFC[m.rfc] == nil {
			byRFC[m.rfc] = map[string]map[string]bool{}
		}
		if byRFC[m.rfc][m.section] == nil {
			byRFC[m.rfc][m.section] = map[string]bool{}
		}
		byRFC[m.rfc][m.section][m.file] = true
	}
	var b bytes.Buffer
	b.WriteString("# RFC coverage\n\nMade from the marks in the source by `make docs`; do not edit. A mark stands at the line that obeys the section.\n")
	for _, n := range slices.Sorted(maps.Keys(byRFC)) {
		fmt.Fprintf(&b, "\n## RFC %d\n\n", n)
		sections := byRFC[n]
		for _, s := range slices.SortedFunc(maps.Keys(sections), natural) {
			label := "§" + s
			if s == "" {
				label = "as a whole"
			}
			fmt.Fprintf(&b, "- %s: %s\n", label, strings.Join(slices.Sorted(maps.Keys(sections[s])), ", "))
		}
		if proofs[n] > 0 {
			fmt.Fprintf(&b, "- cited in tests: %d\n", proofs[n])
		}
	}
	return b.Bytes()
}

// natural orders "4.2" before "4.10", and letters (appendices) after numbers.
func natural(a, b string) int {
	if a == "" || b == "" {
		return cmp.Compare(len(a), len(b))
	}
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		m, errX := strconv.Atoi(x[i])
		n, errY := strconv.Atoi(y[i])
		switch {
		case errX == nil && errY == nil && m != n:
			return cmp.Compare(m, n)
		case (errX == nil) != (errY == nil):
			if errX == nil {
				return -1
			}
			return 1
		case errX != nil && x[i] != y[i]:
			return cmp.Compare(x[i], y[i])
		}
	}
	return cmp.Compare(len(x), len(y))
}
