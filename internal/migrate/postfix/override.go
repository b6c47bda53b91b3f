package postfix

import (
	"slices"
	"strings"
)

// cosmetic are -o that change nothing of what becomes of mail, or that hold here in any case.
var cosmetic = map[string]string{
	"milter_macro_daemon_name":                  "the macro {daemon_name} tells the service's own name",
	"smtpd_reject_unlisted_recipient":           "addresses of ours that do not exist are refused on every service",
	"smtpd_relay_before_recipient_restrictions": "relay restrictions come first in any case",
	"cleanup_service_name":                      oneProgram,
}

// override judges an -o. decided is false for what is judged as in main.cf.
func (m *move) override(p *param) (v verdict, decided bool) {
	of := m.listener(*p.service)
	main, _, _ := m.expanded(p.name, nil)
	equal := sameValue(p.value, strings.Trim(main, blanks))
	switch {
	case of == "reinject":
		return meaningless("mail that comes back from the filter is not judged again"), true
	case cosmetic[p.name] != "":
		return meaningless("%s", cosmetic[p.name]), true
	case p.service.Type != "inet" && m.feedsFilter(p.service.Name):
		return meaningless("mail to the content filter needs no settings of its own"), true
	case strings.HasPrefix(p.name, "smtpd_tls_") || p.name == "smtpd_sasl_auth_enable":
		if r := m.rules[p.name]; r != nil && (r.do == nil || p.name == "smtpd_sasl_auth_enable" || p.name == "smtpd_tls_security_level" || p.name == "smtpd_tls_wrappermode") {
			return verdict{}, false
		}
	}
	if r := m.rules[p.name]; r != nil && r.fate == Meaningless && r.do == nil {
		return meaningless("%s", r.text), true
	}
	if p.service.Type == "inet" || p.service == m.smtpd() {
		for _, key := range m.byName[p.name] {
			if strings.HasPrefix(key, ofSMTP) && p.service == m.smtpd() || strings.HasPrefix(key, ofSubmission) && p.service == m.submission() {
				return m.named(p, m.byName[p.name]), true
			}
			if strings.HasPrefix(key, ofSubmission) && strings.HasPrefix(of, "submission") {
				other, _ := m.Value(p.name, m.submission())
				equal = sameValue(p.value, other)
			}
		}
	}
	switch _, known := m.Default(p.name); {
	case equal:
		return same("as for all services"), true
	case !known && m.user(p.name) != "":
		return meaningless("a name of your own; its value went to where it is used: %s", m.user(p.name)), true
	case !known:
		return m.unknown(p), true
	case p.service.Type != "inet" && isDelivery(p.service.Command) && !isDelivery(p.service.Name) && !m.transportUsed(p.service.Name):
		return meaningless("nothing sends mail to this service"), true
	case strings.HasPrefix(of, "submission") && slices.ContainsFunc(m.byName[p.name], func(key string) bool { return strings.HasPrefix(key, ofSubmission) }):
		return unsupported("submission and submissions share [access.submission], which has what %s says", m.submission().Label()), true
	case len(m.byName[p.name]) > 0:
		return unsupported("%s cannot be said for this service alone", strings.Join(m.byName[p.name], ", ")), true
	}
	return unsupported("it cannot be said for this service alone"), true
}
