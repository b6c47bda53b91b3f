package config

import (
	"fmt"
	"slices"
	"strings"
)

// RecipientMacros are those that differ from recipient to recipient: an argument that has one is given once for each.
func RecipientMacros() []string {
	return []string{"recipient", "original_recipient", "user", "extension", "mailbox", "domain"}
}

// MessageMacros are the same for all recipients of a message.
func MessageMacros() []string {
	return []string{"sender", "nexthop", "queue_id", "size", "envid", "client_address", "client_helo", "client_hostname", "client_port",
		"client_protocol", "sasl_username"}
}

// MacrosOf lists the macros in an argument of [pipes.NAME] argv, pipe(8): ${name}, $(name), $name; $$ is a dollar sign.
func MacrosOf(item string) (used []string, err error) {
	_, err = ExpandMacros(item, func(name string) string {
		used = append(used, name)
		return ""
	})
	for _, name := range used {
		if err == nil && !slices.Contains(RecipientMacros(), name) && !slices.Contains(MessageMacros(), name) {
			err = fmt.Errorf("%q: there is no macro $%s; those are %s, %s", item, name, strings.Join(RecipientMacros(), ", "), strings.Join(MessageMacros(), ", "))
		}
	}
	return used, err
}

// ExpandMacros puts values in the places of macros.
func ExpandMacros(item string, value func(name string) string) (string, error) {
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(item, "$")
		b.WriteString(plain)
		if !found {
			return b.String(), nil
		}
		name, ok := "", true
		switch {
		case strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			item = rest[1:]
			continue
		case strings.HasPrefix(rest, "{"):
			name, rest, ok = strings.Cut(rest[1:], "}")
		case strings.HasPrefix(rest, "("):
			name, rest, ok = strings.Cut(rest[1:], ")")
		default:
			name = leading(rest, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' })
			rest = rest[len(name):]
		}
		if !ok || name == "" {
			return "", fmt.Errorf("%q: a $ begins a macro, ${name}; a dollar sign is $$", item)
		}
		b.WriteString(value(name))
		item = rest
	}
}
