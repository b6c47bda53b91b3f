package postfix

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/table"
)

// timeUnits are those of postconf(5).
const timeUnits = "smhdw"

// parseTime reads a time as Postfix does: a number, and a unit or the parameter's own.
func parseTime(s string, unit byte) (config.Duration, error) {
	digits, rest := s, ""
	if i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits, rest = s[:i], s[i:]
	}
	if rest == "" {
		rest = string(unit)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || len(rest) != 1 || strings.IndexByte(timeUnits, rest[0]|0x20) < 0 {
		return 0, fmt.Errorf("%q is no time: expected is a number with one of the units s, m, h, d, w", clip(s))
	}
	span := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[rest[0]|0x20]
	if n > math.MaxInt64/int64(span) {
		return 0, fmt.Errorf("%q is too long a time", clip(s))
	}
	return config.Duration(time.Duration(n) * span), nil
}

// unitOf tells the unit that a parameter's bare numbers have: that of its default.
func unitOf(byDefault string) byte {
	byDefault = strings.TrimSpace(byDefault)
	if n := len(byDefault); n > 1 && strings.IndexByte(timeUnits, byDefault[n-1]) >= 0 && (byDefault[n-2] == '}' || '0' <= byDefault[n-2] && byDefault[n-2] <= '9') {
		return byDefault[n-1]
	}
	return 's'
}

func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither yes nor no", clip(s))
}

func parseInt(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", clip(s))
	}
	return n, nil
}

// withArgument are the restrictions that a word follows, which belongs to them.
func withArgument(word string) bool {
	if strings.HasPrefix(word, "check_") && (strings.HasSuffix(word, "_access") || strings.HasSuffix(word, "_maps")) {
		return true
	}
	switch word {
	case "check_policy_service", "reject_rbl_client", "reject_rbl", "reject_rhsbl_client", "reject_rhsbl_helo", "reject_rhsbl_reverse_client",
		"reject_rhsbl_sender", "reject_rhsbl_recipient", "permit_dnswl_client", "permit_rhswl_client", "sleep":
		return true
	}
	return false
}

// splitRestrictions splits a list of restrictions; what belongs together stays together: "check_client_access cidr:/file".
func splitRestrictions(s string) ([]string, error) {
	words, err := table.Split(s)
	if err != nil {
		return nil, err
	}
	var out []string
	for i := 0; i < len(words); i++ {
		item := words[i]
		for (words[i] == "warn_if_reject" || withArgument(words[i])) && i+1 < len(words) {
			i++
			item += " " + words[i]
		}
		out = append(out, item)
	}
	return out, nil
}
