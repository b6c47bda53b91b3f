package milters

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Parse reads one item of smtpd_milters: "inet:host:port", "unix:/path", or the same in braces with settings of its own:
// "{ inet:host:port, connect_timeout=10s, default_action=accept }". What is not said is taken from base.
func Parse(item string, base Milter) (Milter, error) {
	m := base
	item = strings.TrimSpace(item)
	inside, braced := strings.CutPrefix(item, "{")
	if !braced {
		return m, m.address(item)
	}
	inside, ok := strings.CutSuffix(inside, "}")
	if !ok {
		return m, fmt.Errorf("milter %q: the closing brace is missing", item)
	}
	words := strings.FieldsFunc(inside, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
	if len(words) == 0 {
		return m, fmt.Errorf("milter %q: the braces are empty", item)
	}
	if err := m.address(words[0]); err != nil {
		return m, err
	}
	// "name = value" stands for "name=value".
	for rest := strings.NewReplacer(" = ", "=", " =", "=", "= ", "=").Replace(strings.Join(words[1:], " ")); rest != ""; {
		var word string
		word, rest, _ = strings.Cut(rest, " ")
		name, value, _ := strings.Cut(word, "=")
		if err := m.setting(name, value); err != nil {
			return m, fmt.Errorf("milter %q: %w", item, err)
		}
	}
	return m, nil
}

func (m *Milter) address(s string) error {
	kind, rest, _ := strings.Cut(s, ":")
	m.Name = s
	switch kind {
	case "unix", "local":
		m.Network, m.Address = "unix", rest
		if !strings.HasPrefix(rest, "/") {
			return fmt.Errorf("milter %q: the path of the socket must be absolute", s)
		}
		return nil
	case "inet":
		// Postfix: inet:host:port; Sendmail: inet:port@host.
		if port, host, ok := strings.Cut(rest, "@"); ok {
			rest = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		host, port, err := net.SplitHostPort(rest)
		if n, perr := strconv.Atoi(port); err != nil || host == "" || perr != nil || n < 1 || n > 65535 {
			return fmt.Errorf("milter %q: expected is inet:host:port", s)
		}
		m.Network, m.Address = "tcp", net.JoinHostPort(host, port)
		return nil
	}
	return fmt.Errorf("milter %q: expected is inet:host:port or unix:/path", s)
}

func (m *Milter) setting(name, value string) (err error) {
	switch name {
	case "connect_timeout":
		m.Connect, err = seconds(value)
	case "command_timeout":
		m.Command, err = seconds(value)
	case "content_timeout":
		m.Content, err = seconds(value)
	case "default_action":
		if m.Default = Action(value); !slices.Contains(Actions(), m.Default) {
			err = fmt.Errorf("default_action %q; there are accept, reject, tempfail, quarantine, shutdown", value)
		}
	case "protocol":
		m.Version, err = Protocol(value)
	default:
		err = fmt.Errorf("unknown setting %q; there are connect_timeout, command_timeout, content_timeout, default_action, protocol", name)
	}
	return err
}

// Actions lists the actions.
func Actions() []Action { return []Action{Accept, Reject, TempFail, Quarantine, Shutdown} }

// Protocol reads milter_protocol: a version. The further words that Postfix knows, such as no_connect, are not needed.
func Protocol(s string) (uint32, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 8)
	if err != nil || n < 2 || n > 6 {
		return 0, fmt.Errorf("protocol %q: expected is a version from 2 to 6", s)
	}
	return uint32(n), nil
}

// seconds reads Postfix's times: 30, 30s, 5m, 1h, 1d.
func seconds(s string) (time.Duration, error) {
	unit := time.Second
	for suffix, u := range map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour} {
		if digits, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = digits, u
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 20)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no time; write 30s or 5m", s)
	}
	return time.Duration(n) * unit, nil
}
