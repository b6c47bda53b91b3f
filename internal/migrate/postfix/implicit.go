package postfix

// implicit are parameters that count though no line sets them: Postfix's default differs from ours, and mail would be
// treated otherwise.
var implicit = []string{
	"message_size_limit", "recipient_delimiter", "mynetworks", "mydestination", "local_recipient_maps", "alias_maps", "relay_domains",
	"smtpd_relay_restrictions", "myorigin",
}

// implicit writes Postfix's defaults where they count.
func (m *move) implicit() {
	for _, name := range implicit {
		if m.IsSet(name) {
			continue
		}
		p := &param{name: name}
		value, _, err := m.expanded(name, nil)
		if name == "mynetworks" {
			value = m.ownNetworks()
		}
		if p.value = value; err != nil || value == "" && name != "recipient_delimiter" {
			continue
		}
		m.looked["optional"] = ""
		if v := m.fate(p); v.fate == Translated || len(p.doubts) > 0 || v.fate == Unsupported {
			m.tell(p, v.with("Postfix's default, which no line sets"))
		}
	}
	if m.submission() != nil && !m.checksLogin() {
		p := &param{name: "smtpd_sender_restrictions"}
		if v := m.put(p, "submission.require_sender_ownership", false); v.fate == Translated {
			m.tell(p, v.with("it does not compare senders with who logged in (reject_sender_login_mismatch); better set it to true"))
		}
	}
}

// ownNetworks is what mynetworks is where only its style is known: loopback; the networks of the interfaces cannot be known.
func (m *move) ownNetworks() string { return "127.0.0.0/8 [::1]/128" }
