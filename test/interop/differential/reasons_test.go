package differential

import (
	"slices"
	"strings"
)

// The differences that are meant.
const (
	oneSyntax = "an unquoted local part has no @ (RFC 5321 §4.1.2): refused with 501; Postfix takes it unless strict_rfc821_envelopes is set"
	oneCopy   = "who is reached by several addresses gets one copy; Postfix sends one for each original recipient"
	itself    = "an alias that names itself keeps its other members and nothing bounces; Postfix bounces that member"
)

// reasonFor tells why the replies to a command may differ; empty: they may not.
func reasonFor(command string, _ dialogue) string {
	if to, ok := strings.CutPrefix(command, "RCPT TO:<"); ok && !strings.Contains(to, `"`) && !strings.HasPrefix(to, "@") && strings.Count(to, "@") > 1 {
		return oneSyntax
	}
	return ""
}

// endings takes out of a list of deliveries what may differ, and counts it.
func endings(explained map[string]int, d dialogue, list []string) []string {
	n := len(list)
	if list = slices.Compact(slices.Clone(list)); len(list) < n {
		explained[oneCopy]++
	}
	if slices.Contains(d.to, "same@alias.example") && d.from != "" {
		return slices.DeleteFunc(list, func(s string) bool {
			bounce := strings.Contains(s, " <> <")
			if bounce {
				explained[itself]++
			}
			return bounce
		})
	}
	return list
}
