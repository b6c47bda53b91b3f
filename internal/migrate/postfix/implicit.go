package postfix

import (
	"slices"
	"strings"
)

// implicit are parameters that count though no line sets them: Postfix's default differs from ours, and mail would be
// treated otherwise.
var implicit = []string{
	"message_size_limit", "recipient_delimiter", "mynetworks", "mydestination", "local_recipient_maps", "alias_maps", "relay_domains",
	"allow_percent_hack", "swap_bangpath", "resolve_dequoted_address",
}

// implicit writes Postfix's defaults where they count. Those of postscreen count if it is in front.
func (m *move) implicit() {
	names := slices.Clone(implicit)
	if m.postscreen() != nil {
		for name := range m.byName {
			if strings.HasPrefix(name, "postscreen_") {
				names = append(names, name)
			}
		}
		slices.Sort(names)
	}
	for _, name := range names {
		if m.IsSet(name) {
			continue
		}
		p := &param{name: name}
		value, _, err := m.expanded(name, nil)
		switch name {
		case "mynetworks": // the networks of the interfaces cannot be known
			value = "127.0.0.0/8 [::1]/128"
			if style, _ := m.Value("mynetworks_style", nil); style == "subnet" && !m.IsSet("mynetworks_style") {
				p.doubt("Postfix trusted the networks of the host's interfaces too: write those that you want into access.mynetworks")
			}
		case "alias_maps": // the compiled-in default has NIS in it
			if value = "hash:/etc/aliases"; !m.exists("/etc/aliases") {
				continue
			}
		}
		if p.value = value; err != nil || value == "" && name != "recipient_delimiter" {
			continue
		}
		if v := m.fate(p); v.fate != Same && v.fate != Meaningless || len(p.doubts) > 0 {
			m.tell(p, v.with("Postfix's default, which no line sets"))
		}
	}
	m.relaying()
	m.ownership()
	m.screening()
}

// relaying leaves smtpd_relay_restrictions empty where Postfix had none (compatibility_level below 1): the lists for
// recipients said who may send elsewhere, and may have let in clients by a table.
func (m *move) relaying() {
	value, err := m.Value("smtpd_relay_restrictions", m.smtpd())
	lists, _ := m.Value("smtpd_recipient_restrictions", m.smtpd())
	if m.IsSet("smtpd_relay_restrictions") || m.smtpd() == nil || err != nil || value != "" || lists == "" {
		return
	}
	p := &param{name: "smtpd_relay_restrictions"}
	if v := m.put(p, "access.smtp.smtpd_relay_restrictions", []string{}); v.fate == Translated {
		m.tell(p, v.with("Postfix's default without compatibility_level: smtpd_recipient_restrictions alone say who may send elsewhere"))
	}
}

// screening is off where no postscreen was in front: nobody was made to wait there.
func (m *move) screening() {
	if m.postscreen() != nil || len(m.Services) == 0 {
		return
	}
	p := &param{name: "postscreen"}
	if v := m.put(p, "screen.enabled", false); v.fate == Translated {
		m.tell(p, v.with("no service of master.cf is a postscreen; ours keeps much away, see docs/screen.md"))
	}
}

// ownership lets users send with any address where Postfix did not compare it with who logged in.
func (m *move) ownership() {
	if m.submission() == nil || m.checksLogin() {
		return
	}
	p := &param{name: "smtpd_sender_restrictions"}
	if v := m.put(p, "submission.require_sender_ownership", false); v.fate == Translated {
		m.tell(p, v.with("no restriction compares senders with who logged in (reject_sender_login_mismatch); better set it to true"))
	}
}
