package postfix

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/table"
)

// renamed are parameters whose key has another name, and means the same.
func renamed() map[string]string {
	return map[string]string{
		"myhostname": "hostname", "data_directory": "data_dir", "message_size_limit": "smtp.max_message_size", "smtpd_recipient_limit": "smtp.max_recipients",
		"hopcount_limit": "smtp.max_received", "smtpd_hard_error_limit": "smtp.max_errors", "smtpd_timeout": "smtp.command_timeout",
		"smtpd_client_connection_count_limit": "smtp.max_connections_per_address", "smtpd_forbid_bare_newline_exclusions": "smtp.bare_newline_networks",
		"recipient_delimiter": "delivery.recipient_delimiter", "queue_minfree": "limits.disk_reserve",
		"smtp_connect_timeout": "mta.connect_timeout", "smtp_mail_timeout": "mta.command_timeout", "smtp_data_xfer_timeout": "mta.data_timeout",
		"smtp_data_done_timeout": "mta.data_done_timeout", "smtp_connection_cache_time_limit": "mta.idle_timeout",
		"maximal_queue_lifetime": "mta.expire_after", "bounce_queue_lifetime": "mta.bounce_expire_after",
		"delay_warning_time":                    "queue.delay_warning_time",
		"default_destination_concurrency_limit": "mta.concurrency_per_destination", "default_destination_recipient_limit": "mta.max_recipients",
		"smtp_bind_address": "mta.source_ipv4", "smtp_bind_address6": "mta.source_ipv6", "smtp_helo_name": "mta.helo_name", "smtp_tcp_port": "mta.port",
		"smtp_tls_security_level": "mta.tls", "smtp_tls_CAfile": "tls.ca", "smtpd_tls_cert_file": "tls.cert", "smtpd_tls_key_file": "tls.key",
		"smtpd_tls_CAfile": "tls.client_ca", "initial_destination_concurrency": "queue.initial_destination_concurrency",
	}
}

// Parameters are our settings under Postfix's names: what postconf prints and changes.
type Parameters struct {
	keys     map[string]config.Key // parameter → its key
	defaults map[string]string     // of Postfix, for the units of times
}

// NewParameters finds the key of each parameter: the one of its name, that of port 25 where each service has one, or of another
// name that means the same.
func NewParameters() *Parameters {
	m := newMove(&Origin{defaults: Defaults()}, Options{})
	p := &Parameters{keys: map[string]config.Key{}, defaults: m.defaults}
	for name, keys := range m.byName {
		for _, key := range keys {
			if _, taken := p.keys[name]; !taken || strings.HasPrefix(key, ofSMTP) {
				p.keys[name] = m.schema[key]
			}
		}
	}
	for name, key := range renamed() {
		if k, ok := m.schema[key]; ok {
			p.keys[name] = k
		}
	}
	return p
}

// Names lists the parameters that have a key, sorted.
func (p *Parameters) Names() []string { return slices.Sorted(maps.Keys(p.keys)) }

// Key returns the key of a parameter.
func (p *Parameters) Key(name string) (string, bool) {
	k, ok := p.keys[name]
	return k.Name, ok
}

// Why tells why a parameter of Postfix has no key: what the report of a migration says. ok is false where Postfix has none of
// that name either.
func Why(name string) (text string, ok bool) {
	_, known := Defaults()[name]
	r := ruleIndex()[name]
	if r == nil {
		r = prefixRule(name)
	}
	if r != nil && (known || r.text != "") {
		return r.text, true
	}
	return noCounterpart, known
}

// Values writes the values of a configuration as Postfix would: parameter → value. changed are those that differ from defaults.
func (p *Parameters) Values(c *config.Config) (values map[string]string, changed map[string]bool) {
	byKey := map[string]config.Value{}
	for _, v := range config.Values(c) {
		byKey[v.Key] = v
	}
	values, changed = map[string]string{}, map[string]bool{}
	for name, k := range p.keys {
		v, ok := byKey[k.Name]
		if !ok {
			continue
		}
		values[name] = written(v.Value, k)
		changed[name] = !v.Default
	}
	return values, changed
}

// written is a value in Postfix's form.
func written(v any, k config.Key) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case int:
		return strconv.Itoa(v)
	case []any:
		words := make([]string, len(v))
		for i := range v {
			words[i] = fmt.Sprint(v[i])
		}
		if k.Kind == config.KindNetworks {
			return strings.Join(bracketed(words), " ")
		}
		return strings.Join(words, ", ")
	}
	text := fmt.Sprint(v)
	switch k.Kind {
	case config.KindDuration:
		var d config.Duration
		if d.UnmarshalText([]byte(text)) == nil {
			return inOneUnit(d.D())
		}
	case config.KindSize:
		var s config.Size
		if s.UnmarshalText([]byte(text)) == nil {
			return strconv.FormatInt(int64(s), 10)
		}
	}
	return text
}

// bracketed puts IPv6 networks into brackets, as Postfix's lists want them.
func bracketed(networks []string) []string {
	for i, n := range networks {
		if addr, bits, ok := strings.Cut(n, "/"); ok && strings.Contains(addr, ":") {
			networks[i] = "[" + addr + "]/" + bits
		}
	}
	return networks
}

// inOneUnit writes a time with the largest unit that divides it.
func inOneUnit(d time.Duration) string {
	for _, u := range []struct {
		span time.Duration
		unit string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= u.span && d%u.span == 0 {
			return strconv.FormatInt(int64(d/u.span), 10) + u.unit
		}
	}
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10) + "s"
}

// errNoKey refuses a change of a parameter that has no key.
var errNoKey = errors.New("has no counterpart here")

// Literal writes a value in Postfix's form as TOML, for the key of a parameter. $name in it stands for the value that values has
// now: our configuration has no such references.
func (p *Parameters) Literal(name, value string, values map[string]string) (key, literal string, err error) {
	k, ok := p.keys[name]
	if !ok {
		why, known := Why(name)
		if !known {
			return "", "", fmt.Errorf("%s: unknown parameter", name)
		}
		return "", "", fmt.Errorf("%s %w: %s", name, errNoKey, why)
	}
	if !utf8.ValidString(value) {
		return "", "", fmt.Errorf("%s: the value is not UTF-8", name)
	}
	unknown := ""
	value, err = config.ExpandMacros(value, func(of string) string {
		v, ok := values[of]
		if !ok && unknown == "" {
			unknown = of
		}
		return v
	})
	if err == nil && unknown != "" {
		err = fmt.Errorf("there is no $%s here; write its value", unknown)
	}
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", name, err)
	}
	typed, err := p.typed(name, strings.Trim(value, blanks), k)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", name, err)
	}
	return k.Name, config.Literal(typed), nil
}

// typed reads a value of Postfix's form.
func (p *Parameters) typed(name, value string, k config.Key) (any, error) {
	switch k.Kind {
	case config.KindBool:
		return parseBool(value)
	case config.KindInt:
		return parseInt(value)
	case config.KindSize:
		n, err := parseInt(value)
		return config.Size(n), err
	case config.KindDuration:
		return parseTime(value, unitOf(p.defaults[name]))
	case config.KindText:
		return value, nil
	case config.KindNetworks, config.KindList:
		split := table.Split
		if strings.HasSuffix(name, "_restrictions") || strings.HasSuffix(name, "_access_list") {
			split = splitRestrictions
		}
		items, err := split(value)
		if items == nil {
			items = []string{}
		}
		if k.Kind == config.KindNetworks {
			for i := range items {
				items[i] = strings.NewReplacer("[", "", "]", "").Replace(items[i])
			}
		}
		return items, err
	}
	return nil, fmt.Errorf("%s has a form of its own: write it by hand", k.Name)
}
