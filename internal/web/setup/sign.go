package setup

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/smallstep/pkcs7"
)

// Sign wraps a profile into signed data (RFC 5652 §5) with the certificate that the pages show: a device that trusts our
// certificate shows the profile as verified. An Ed25519 key, which Apple's devices do not know, is an error.
func Sign(profile []byte, cert *tls.Certificate) ([]byte, error) {
	chain := make([]*x509.Certificate, len(cert.Certificate))
	for i, der := range cert.Certificate {
		var err error
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("sign the profile: %w", err)
		}
	}
	signed, err := pkcs7.NewSignedData(profile)
	if err != nil {
		return nil, fmt.Errorf("sign the profile: %w", err)
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := signed.AddSignerChain(chain[0], cert.PrivateKey, chain[1:], pkcs7.SignerInfoConfig{}); err != nil {
		return nil, fmt.Errorf("sign the profile: %w", err)
	}
	return signed.Finish()
}
