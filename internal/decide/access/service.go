package access

import (
	"crypto/tls"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/decide/gate"
)

// runService asks a policy server: SMTPD_POLICY_README. A session that is only thought of is not told to it, since it would
// remember.
func runService(e *eval, r *rule) outcome {
	if e.session.conn.Dry {
		return pass
	}
	action, err := e.policy.opt.Servers.Ask(e.ctx, r.arg, e.attributes())
	if err != nil {
		return e.misconfigured(r, err)
	}
	return e.act(r, e.about(), action)
}

// attributes are those of a policy request, with Postfix's names. What is not known is empty.
func (e *eval) attributes() []Attribute {
	c := e.session.conn
	all := []Attribute{
		{"request", "smtpd_access_policy"}, {"protocol_state", e.state()}, {"protocol_name", protocol(c)},
		{"client_address", e.addr().String()}, {"client_name", e.session.name()}, {"client_port", strconv.Itoa(int(c.Client.Addr.Port()))},
		{"reverse_client_name", orUnknown(c.Reverse)}, {"server_address", c.Local.Addr().Unmap().String()},
		{"server_port", strconv.Itoa(int(c.Local.Port()))}, {"helo_name", c.Client.Helo},
	}
	sender, recipient, count, instance, id := "", "", 0, c.Session, ""
	if e.tx != nil {
		sender, id = e.tx.Envelope.From.String(), e.tx.ID.String()
		instance += "." + id
		if e.stage != gate.AtRcpt { // Postfix tells the number when it is final
			if count = len(e.tx.Envelope.Recipients); count == 1 {
				recipient = e.tx.Envelope.Recipients[0].To.String()
			}
		}
	}
	if e.rcpt != nil {
		recipient = e.rcpt.To.String()
	}
	all = append(all, Attribute{"sender", sender}, Attribute{"recipient", recipient}, Attribute{"recipient_count", strconv.Itoa(count)},
		Attribute{"queue_id", id}, Attribute{"instance", instance}, Attribute{"size", strconv.FormatInt(e.messageSize(), 10)},
		Attribute{"etrn_domain", ""}, Attribute{"stress", ""}, Attribute{"sasl_method", c.Mechanism}, Attribute{"sasl_username", c.Client.Login},
		Attribute{"sasl_sender", ""}, Attribute{"policy_context", ""})
	all = append(all, e.tlsAttributes()...)
	for i := range all { // a line is a line
		all[i].Value = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return '?'
			}
			return r
		}, all[i].Value)
	}
	return all
}

func (e *eval) tlsAttributes() []Attribute {
	subject, issuer, print, key, version, cipher, bits := "", "", "", "", "", "", 0
	if cert := e.certificate(); cert != nil {
		prints := fingerprints(cert)
		subject, issuer, print, key = cert.Subject.CommonName, cert.Issuer.CommonName, prints[0].Text, prints[1].Text
	}
	if t := e.session.conn.TLS; t != nil {
		version, cipher = strings.ReplaceAll(tls.VersionName(t.Version), "TLS 1", "TLSv1"), tls.CipherSuiteName(t.CipherSuite)
		if bits = 128; strings.Contains(cipher, "256_GCM") || strings.Contains(cipher, "CHACHA20") || strings.Contains(cipher, "AES_256") {
			bits = 256
		}
	}
	return []Attribute{{"ccert_subject", subject}, {"ccert_issuer", issuer}, {"ccert_fingerprint", print}, {"ccert_pubkey_fingerprint", key},
		{"encryption_protocol", version}, {"encryption_cipher", cipher}, {"encryption_keysize", strconv.Itoa(bits)}}
}

func (e *eval) messageSize() int64 {
	if e.size == 0 && e.tx != nil {
		return e.tx.Envelope.Size // as MAIL declared it
	}
	return e.size
}

// state is the command that is being judged.
func (e *eval) state() string {
	switch e.stage {
	case gate.AtConnect:
		return "CONNECT"
	case gate.AtHello:
		if e.session.conn.Extended {
			return "EHLO"
		}
		return "HELO"
	case gate.AtMail:
		return "MAIL"
	case gate.AtData:
		return "DATA"
	case gate.AtMessage:
		return "END-OF-MESSAGE"
	}
	return "RCPT"
}

func protocol(c *gate.Conn) string {
	if c.Extended {
		return "ESMTP"
	}
	return "SMTP"
}

func orUnknown(name string) string {
	if name == "" {
		return unknown
	}
	return name
}
