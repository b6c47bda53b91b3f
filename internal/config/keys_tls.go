package config

// TLS is the certificate that all services show.
type TLS struct {
	// PEM file of the certificate, intermediates after it. Empty, with tls.key: a self-signed one made in data_dir.
	Cert string `toml:"cert"`
	// PEM file of the certificate's private key.
	Key string `toml:"key"`
	// PEM file of authorities trusted when we connect out, beside the system's.
	CA string `toml:"ca"`
	// Lowest version that we accept: "1.0" and "1.1" only for peers that cannot do better (RFC 8996).
	MinVersion string `toml:"min_version" enum:"1.0,1.1,1.2,1.3"`
}
