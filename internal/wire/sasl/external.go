package sasl

import (
	"context"
	"crypto/tls"
	"strings"
	"unicode/utf8"
)

// External is RFC 4422 Appendix A: TLS has proven who the client is, by its certificate.
const External = "EXTERNAL"

// CertificateName is the name that a client has proven by a certificate, verified in the handshake: its first e-mail
// address (rfc822Name, RFC 5280 §4.2.1.6), else its common name if that is an address. "": there is none.
func CertificateName(s *tls.ConnectionState) string {
	if s == nil || len(s.VerifiedChains) == 0 || len(s.VerifiedChains[0]) == 0 {
		return ""
	}
	leaf := s.VerifiedChains[0][0]
	name := leaf.Subject.CommonName
	if len(leaf.EmailAddresses) > 0 {
		name = leaf.EmailAddresses[0]
	}
	if local, domain, ok := strings.Cut(name, "@"); !ok || local == "" || domain == "" || !isName(name) {
		return ""
	}
	return name
}

// isName tells whether an authenticator may be asked for a name.
func isName(s string) bool {
	return s != "" && len(s) <= MaxName && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// Offered returns the names to advertise to a client, in order of preference: EXTERNAL first, where it has proven a name.
// The slice must not be changed.
func (s *Server) Offered(o Origin) []string {
	if s.opt.External == nil || o.Certificate == "" {
		return s.opt.Mechanisms
	}
	return append([]string{External}, s.opt.Mechanisms...)
}

// external takes an authorization identity, which is empty or the name in the certificate.
func (x *Exchange) external(ctx context.Context, response []byte) ([]byte, bool, error) {
	name := OriginOf(ctx).Certificate
	if name == "" {
		return nil, false, ErrMechanism // not offered to this client
	}
	x.name = name
	if authzid := string(response); authzid != "" && !isName(authzid) {
		return nil, false, ErrMalformed
	} else if authzid != "" && !strings.EqualFold(authzid, name) {
		return nil, false, ErrAuthzid
	}
	id, err := x.server.opt.External(ctx, name)
	if err != nil {
		return nil, false, err
	}
	x.id = id
	return nil, true, nil
}
