package config

import "strings"

// Nearest returns the candidate most like word, or "" if none is like enough to be meant: at most a third of the
// letters differ.
func Nearest(word string, candidates []string) string {
	best, bestDistance := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		if d := distance(word, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the letters to add, remove, change or swap with their neighbour to make a into b (optimal string
// alignment). Words are cut at 200 bytes, so a hostile one costs little.
func distance(a, b string) int {
	a, b = a[:min(len(a), 200)], b[:min(len(b), 200)]
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// nearestKey finds the key that an unknown one stands for: an abbreviation, a misspelling, or the right name in the
// wrong section.
func nearestKey(key string, c *Config) string {
	keys := allKeys(c)
	for _, k := range keys {
		if strings.HasPrefix(k, key+"_") {
			return k
		}
	}
	if k := Nearest(key, keys); k != "" {
		return k
	}
	name := lastPart(key)
	var names []string
	full := map[string]string{}
	for _, k := range keys {
		n := lastPart(k)
		if _, twice := full[n]; twice {
			continue
		}
		full[n] = k
		names = append(names, n)
	}
	return full[Nearest(name, names)]
}

func lastPart(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }
