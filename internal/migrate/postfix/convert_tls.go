package postfix

import "strings"

// snakeoil is the certificate that Debian makes for every host, and that nobody trusts.
const snakeoil = "snakeoil"

// certificate takes the certificate that is shown first.
func certificate(m *move, p *param) verdict {
	words := strings.FieldsFunc(p.value, listSeparator)
	if len(words) == 0 || p.value == "none" {
		return same("no certificate: we make one")
	}
	cert := m.absolute(words[len(words)-1]) // of a chain's files the last holds the certificate, or all
	key := ""
	if p.name == "smtpd_tls_chain_files" {
		if len(words) > 1 {
			key, cert = m.absolute(words[0]), m.absolute(words[1])
		}
		if len(words) > 2 {
			p.doubt("only the first two files were taken, as key and certificate; further certificates: tls.certificates")
		}
	} else {
		if m.IsSet("smtpd_tls_chain_files") {
			return meaningless("smtpd_tls_chain_files counts")
		}
		key, _ = m.Value("smtpd_tls_key_file", nil)
		if key = m.absolute(key); key == cert {
			key = ""
		}
	}
	if strings.Contains(cert, snakeoil) {
		return meaningless("Debian's certificate of its own making, which nobody trusts: ours is as good; better set tls.acme.enabled")
	}
	v := m.put(p, "tls.cert", cert)
	if key != "" {
		v = merge(v, m.put(p, "tls.key", key))
	}
	return v
}

func withCertificate(m *move, p *param) verdict {
	if cert, _ := m.Value("smtpd_tls_cert_file", nil); cert == "" {
		return unsupported("smtpd_tls_cert_file is missing")
	}
	return meaningless("with smtpd_tls_cert_file")
}

func otherCertificate(m *move, p *param) verdict {
	if strings.HasSuffix(p.name, "key_file") {
		return meaningless("with the certificate")
	}
	if p.value == "" {
		return same("none")
	}
	cert := m.absolute(p.value)
	key, _ := m.Value(strings.Replace(p.name, "cert_file", "key_file", 1), nil)
	return m.addCertificate(p, cert, m.absolute(key))
}

// addCertificate adds to tls.certificates.
func (m *move) addCertificate(p *param, cert, key string) verdict {
	pair := cert
	if key != "" && key != cert {
		pair += " " + key
	}
	m.certificates = append(m.certificates, pair)
	return m.put(p, "tls.certificates", m.certificates)
}

func sniMaps(m *move, p *param) verdict {
	v := same("none")
	for _, item := range strings.FieldsFunc(p.value, listSeparator) {
		kind, path, _ := strings.Cut(item, ":")
		if !isText(kind) || kind == "pcre" || kind == "regexp" {
			p.doubt("%s cannot be listed; name the certificates in tls.certificates", item)
			continue
		}
		text, err := readTable(m.At(path))
		if err != nil {
			p.doubt("%s cannot be read: %s", item, reason(err))
			continue
		}
		lines, _ := logicalLines(string(text))
		for _, l := range lines {
			files := strings.FieldsFunc(l.text, listSeparator)
			switch len(files) {
			case 2:
				v = merge(v, m.addCertificate(p, files[1], ""))
			case 3:
				v = merge(v, m.addCertificate(p, files[2], files[1])) // the key comes first there
			default:
				p.doubt("%s line %d names no key and certificate", item, l.line)
			}
		}
	}
	return v
}

func clientCA(m *move, p *param) verdict {
	if ask, _ := m.Value("smtpd_tls_ask_ccert", nil); ask != "yes" {
		return meaningless("no client is asked for a certificate")
	}
	return m.put(p, "tls.client_ca", m.absolute(p.value))
}

func askCert(m *move, p *param) verdict {
	if p.value == "no" {
		return same("as here")
	}
	if ca, _ := m.Value("smtpd_tls_CAfile", nil); ca == "" {
		return unsupported("set tls.client_ca to the authority of the clients' certificates")
	}
	return meaningless("with smtpd_tls_CAfile: tls.client_ca")
}

func serverTLS(m *move, p *param) verdict {
	if keys := m.byName[p.name]; len(keys) > 0 {
		return m.named(p, keys)
	}
	onSMTP := p.service == nil || p.service == m.smtpd()
	switch {
	case p.name == "smtpd_tls_wrappermode" && p.value == "yes" && p.service == nil:
		return unsupported("TLS from the first byte on all ports is not possible; submissions has it")
	case onSMTP && (p.value == "encrypt" || p.name == "smtpd_enforce_tls" && p.value == "yes"):
		return unsupported("port 25 cannot demand TLS of everyone; submission demands it before AUTH in any case")
	case p.value == "none" && onSMTP:
		return meaningless("STARTTLS is offered in any case; nobody must use it")
	}
	return meaningless("STARTTLS is offered in any case; submissions has TLS from the first byte")
}

func minVersion(m *move, p *param) verdict {
	only13 := strings.Contains(p.value, ">=TLSv1.3") || p.value == "TLSv1.3" || p.value == "=TLSv1.3" ||
		strings.Contains(p.value, "!TLSv1.2") && strings.Contains(p.value, "!TLSv1.1")
	if only13 && p.name == "smtpd_tls_protocols" {
		return m.put(p, "tls.min_version", "1.3")
	}
	if only13 {
		p.doubt("TLS 1.3 alone holds for all services here: set tls.min_version = \"1.3\" if you want that")
	}
	return same("TLS 1.2 and later")
}

func oldProtocols(m *move, p *param) verdict {
	if strings.Contains(p.value, "1.3") && strings.Contains(p.value, ">=") {
		return unsupported("outgoing connections use TLS 1.2 too")
	}
	return same("TLS 1.2 and later")
}

func clientTLS(m *move, p *param) verdict {
	relay, _ := m.Value("relayhost", nil)
	level := map[string]string{"": "none", "none": "none", "may": "may", "encrypt": "encrypt", "dane": "may", "dane-only": "encrypt",
		"verify": "verify", "secure": "secure", "fingerprint": "encrypt"}[p.value]
	if level == "" {
		return unsupported("%q is no level", clip(p.value))
	}
	if relay != "" && m.smartHost() { // told with relayhost
		v := m.put(p, "mta.smart_host.tls", m.relayTLS())
		if level != "none" && level != "may" { // for the hosts that transports lead to
			v = merge(v, m.put(p, "mta.tls", level))
		}
		return v
	}
	if level != p.value && p.value != "" {
		p.doubt("%s is not there as the level of all: it became %s; smtp_tls_policy_maps may name fingerprints", p.value, level)
	}
	return m.put(p, "mta.tls", level)
}

// relayTLS is the level of TLS to the relay of relayhost.
func (m *move) relayTLS() string {
	level, _ := m.Value("smtp_tls_security_level", nil)
	if level == "" {
		use, _ := m.Value("smtp_use_tls", nil)
		enforce, _ := m.Value("smtp_enforce_tls", nil)
		switch {
		case enforce == "yes":
			level = "verify"
		case use == "yes":
			level = "may"
		}
	}
	switch level {
	case "may", "encrypt":
		return level
	case "", "none":
		return "none"
	case "dane":
		return "may"
	case "dane-only", "fingerprint":
		return "encrypt"
	}
	return "verify"
}

func oldClientTLS(m *move, p *param) verdict {
	relay, _ := m.Value("relayhost", nil)
	if m.IsSet("smtp_tls_security_level") {
		return meaningless("smtp_tls_security_level counts")
	}
	switch {
	case p.value == "no":
		return same("as Postfix's own default")
	case relay != "" && m.smartHost() && p.name != "smtp_enforce_tls":
		return meaningless("with relayhost: mta.smart_host.tls")
	case p.name == "smtp_enforce_tls":
		return m.put(p, "mta.tls", "encrypt")
	}
	return m.put(p, "mta.tls", "may")
}

func wrapper(m *move, p *param) verdict {
	if p.value == "no" {
		return same("as Postfix's own default")
	}
	if relay, _ := m.Value("relayhost", nil); strings.HasSuffix(relay, ":465") || strings.HasSuffix(relay, ":smtps") || strings.HasSuffix(relay, ":submissions") {
		return meaningless("the relay's port 465 has TLS from the first byte")
	}
	return unsupported("TLS from the first byte is spoken to a relay's port 465 only")
}

// clientCAFile leaves out the file of the system's authorities, which are trusted in any case.
func clientCAFile(m *move, p *param) verdict {
	switch p.value {
	case "", "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem":
		return same("the system's authorities are trusted in any case")
	}
	return m.put(p, "tls.ca", m.absolute(p.value))
}
