package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// validate checks every key against its tags, then the rules between keys.
func (p *parse) validate() {
	walk(p.config, nil, func(l leaf) {
		if err := checkLeaf(l); err != nil {
			p.fail(p.where[l.key], l.key, "%v", err)
		}
	})
	for _, r := range rules(p.config) {
		if r.broken {
			p.fail(p.where[r.key], r.key, "%s", r.msg)
		}
	}
}

type rule struct {
	broken bool
	key    string
	msg    string
}

// rules are what must hold between keys.
func rules(c *Config) []rule {
	relay := c.MTA.SmartHost
	rs := []rule{
		{c.DataDir == "" || !filepath.IsAbs(c.DataDir), "data_dir", "wants an absolute path"},
		{c.RunDir == "" || !filepath.IsAbs(c.RunDir), "run_dir", "wants an absolute path"},
		{relay.User != "" && relay.PasswordFile == "", "mta.smart_host.user", "needs mta.smart_host.password_file too"},
		{relay.User != "" && (relay.TLS == "none" || relay.TLS == "may"), "mta.smart_host.tls",
			"a password is sent only under TLS: use \"verify\" or \"encrypt\""},
		{c.Auth.System == "shadow" && !c.Helper.Enabled, "auth.system",
			"\"shadow\" is read by the helper, as root: set helper.enabled = true and start postrider-helper.socket, or use \"saslauthd\""},
		{c.Auth.System == "saslauthd" && !filepath.IsAbs(c.Auth.SaslauthdSocket), "auth.saslauthd_socket", "wants an absolute path"},
		{c.Helper.Socket != "" && !filepath.IsAbs(c.Helper.Socket), "helper.socket", "wants an absolute path"},
		{len(c.MTA.Retry) == 0, "mta.retry", "wants at least one time"},
		{len(c.Delivery.RecipientDelimiter) > 1 || strings.ContainsAny(c.Delivery.RecipientDelimiter, "@ \"\\"),
			"delivery.recipient_delimiter", "wants one character that may stand in a local part, or none"},
	}
	rs = append(rs, screenRules(c)...)
	for _, m := range c.Auth.MasterUsers {
		rs = append(rs, rule{m == "" || strings.ContainsAny(m, "* \t"), "auth.master_users", fmt.Sprintf("%q is not an account's address", m)})
	}
	rs = append(rs, proxyRules(c)...)
	rs = append(append(rs, noticeRules(c)...), suppressionRules(c)...)
	rs = append(rs, filterRules(c)...)
	rs = append(rs, routingRules(c)...)
	rs = append(rs, deliveryRules(c)...)
	rs = append(rs, pipeRules(c)...)
	rs = append(rs, queueRules(c)...)
	for _, a := range c.Listeners.LMTP.Addresses {
		// LMTP has no authentication, and its clients decide who receives.
		rs = append(rs, rule{c.Listeners.LMTP.Enabled && !isLoopback(a), "listeners.lmtp.addresses",
			fmt.Sprintf("%q is not a loopback address; LMTP has no authentication", a)})
	}
	return append(append(append(append(rs, aliasRules(c)...), databaseRules(c.Database)...), tlsRules(c)...), clashes(c)...)
}

// clashes finds services that have no address, and addresses that two services want.
func clashes(c *Config) []rule {
	taken := map[string]string{}
	var rs []rule
	take := func(key string, addresses []string) {
		for _, a := range addresses {
			if strings.HasSuffix(a, ":0") {
				continue // the system chooses a free port
			}
			if other, ok := taken[a]; ok {
				rs = append(rs, rule{true, key, fmt.Sprintf("%q is taken by %s", a, other)})
			}
			taken[a] = key
		}
	}
	v := reflect.ValueOf(c.Listeners)
	for i := range v.NumField() {
		if l := v.Field(i).Interface().(Listener); l.Enabled {
			key := "listeners." + v.Type().Field(i).Tag.Get("toml") + ".addresses"
			rs = append(rs, rule{len(l.Addresses) == 0, key, "is empty, and the service is enabled"})
			take(key, l.Addresses)
		}
	}
	take("metrics.listen", c.Metrics.Listen)
	return rs
}

// checkLeaf checks a value against the tags of its field; of a list, each item.
func checkLeaf(l leaf) error {
	if l.value.Kind() != reflect.Slice {
		return checkValue(l.value, l.field.Tag)
	}
	for i := range l.value.Len() {
		if err := checkValue(l.value.Index(i), l.field.Tag); err != nil {
			return fmt.Errorf("item %d: %w", i+1, err)
		}
	}
	return nil
}

func checkValue(v reflect.Value, tag reflect.StructTag) error {
	if words := tag.Get("enum"); words != "" {
		list := strings.Split(words, ",")
		if slices.Contains(list, v.String()) {
			return nil
		}
		msg := fmt.Sprintf("%q is none of %s", v.String(), strings.Join(list, ", "))
		if near := Nearest(v.String(), list); near != "" {
			msg += fmt.Sprintf("; did you mean %q?", near)
		}
		return fmt.Errorf("%s", msg)
	}
	if err := checkBounds(v, tag.Get("min"), tag.Get("max")); err != nil {
		return err
	}
	if form := tag.Get("form"); form != "" && v.String() != "" {
		return checkForm(form, v.String())
	}
	return nil
}

// checkBounds compares numbers, sizes and durations with the texts of their bounds.
func checkBounds(v reflect.Value, lowest, highest string) error {
	if !v.CanInt() || lowest == "" {
		return nil
	}
	low, err := bound(v.Type(), lowest)
	if err != nil {
		return err
	}
	high, err := bound(v.Type(), highest)
	if err != nil {
		return err
	}
	if v.Int() < low || v.Int() > high {
		return fmt.Errorf("%v is not between %s and %s", v.Interface(), lowest, highest)
	}
	return nil
}

func bound(t reflect.Type, text string) (int64, error) {
	switch t {
	case reflect.TypeFor[Duration]():
		var d Duration
		err := d.UnmarshalText([]byte(text))
		return int64(d), err
	case reflect.TypeFor[Size]():
		var s Size
		err := s.UnmarshalText([]byte(text))
		return int64(s), err
	}
	return strconv.ParseInt(text, 10, 64)
}

func checkForm(form, s string) error {
	ok, want := true, ""
	switch form {
	case "host":
		ok, want = isHostname(s), "a host name"
	case "acmename":
		ok, want = isHostname(strings.TrimPrefix(s, "*.")), "a host name, or \"*.\" and a domain"
	case "hostport":
		ok, want = isHostPort(s), "\"host:port\", \"[v6]:port\" or \":port\""
	case "offer":
		host, _, err := net.SplitHostPort(s)
		ok, want = s == "none" || err == nil && host != "" && isHostPort(s) && !strings.HasSuffix(s, ":0"), "\"host:port\" or \"none\""
	case "baseurl":
		ok, want = isBaseURL(s), "the beginning of a URL, such as \"https://mail.example.org\""
	case "resolver":
		_, err := netip.ParseAddrPort(s)
		ok, want = err == nil, "\"address:port\", such as \"127.0.0.1:53\""
	case "ipv4":
		a, err := netip.ParseAddr(s)
		ok, want = err == nil && a.Is4(), "an IPv4 address"
	case "ipv6":
		a, err := netip.ParseAddr(s)
		ok, want = err == nil && a.Is6(), "an IPv6 address"
	}
	if !ok {
		return fmt.Errorf("%q is not %s", s, want)
	}
	return nil
}

// isHostname checks the form of RFC 1123 §2.1, with RFC 1035 §2.3.4's lengths.
func isHostname(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isDigit(c) && !isLetter(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || (n == 0 && port != "0") {
		return false
	}
	if host == "" || isHostname(host) {
		return true
	}
	_, err = netip.ParseAddr(host)
	return err == nil
}

// isBaseURL takes scheme and host, with or without a port.
func isBaseURL(s string) bool {
	host, ok := strings.CutPrefix(s, "https://")
	if !ok {
		host, ok = strings.CutPrefix(s, "http://")
	}
	return ok && (isHostname(host) || isHostPort(host) && !strings.HasPrefix(host, ":"))
}

func isLoopback(s string) bool {
	host, _, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && addr.IsLoopback())
}
