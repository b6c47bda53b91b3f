package config

// TLS is the certificates that all services show, and those that clients may show.
type TLS struct {
	// PEM file of the certificate, intermediates after it; it is shown where the client names no host, or one that we have
	// no certificate for. Empty: the one by ACME, if that is enabled, else a self-signed one made in data_dir. Files are
	// read again by themselves when they change.
	Cert string `toml:"cert"`
	// PEM file of the certificate's private key. Empty: it stands in the file of the certificate.
	Key string `toml:"key"`
	// Further certificates, chosen by the name that the client asks for (SNI): each "CERT KEY", two PEM files, or one file
	// that holds both. RSA and ECDSA for the same name may stand beside each other.
	Certificates []string `toml:"certificates"`
	// PEM file of authorities trusted when we connect out, beside the system's.
	CA string `toml:"ca"`
	// PEM file of the authorities whose client certificates log users in (SASL EXTERNAL) on submission, imap and pop3. The
	// e-mail address in the certificate names the account. Empty: no client certificate is asked for.
	ClientCA string `toml:"client_ca"`
	// Lowest version that we accept.
	MinVersion string `toml:"min_version" enum:"1.2,1.3"`

	ACME ACME `toml:"acme"`
}

// ACME obtains certificates, and renews them, from an authority such as Let's Encrypt (RFC 8555). Enabling it means
// agreeing to the authority's terms. Names that a certificate file stands for are not asked for.
type ACME struct {
	// Whether certificates are obtained.
	Enabled bool `toml:"enabled"`
	// Address that the authority writes to when something is wrong. Empty: none.
	Email string `toml:"email"`
	// URL of the authority's directory.
	Directory string `toml:"directory"`
	// PEM file of authorities trusted for the directory's own HTTPS. Empty: the system's.
	CA string `toml:"ca"`
	// Names to obtain certificates for. Empty: hostname.
	Names []string `toml:"names" form:"acmename"`
	// How the authority is shown that the names are ours: tls-alpn-01 and http-01 over the network, or dns-01 alone.
	Challenges []string `toml:"challenges" enum:"tls-alpn-01,http-01,dns-01"`
	// The port here to which the authority's request to port 80 comes (http-01). If no listener of ours has it, it is opened
	// while a challenge runs.
	HTTPPort int `toml:"http_port" min:"1" max:"65535"`
	// The same for port 443 (tls-alpn-01).
	TLSALPNPort int `toml:"tls_alpn_port" min:"1" max:"65535"`

	DNS ACMEDNS `toml:"dns"`
}

// ACMEDNS is the name server that takes the records of dns-01 by dynamic update (RFC 2136), signed by TSIG (RFC 8945).
type ACMEDNS struct {
	// "address:port" of the zone's primary server.
	Server string `toml:"server" form:"hostport"`
	// The zone to update. Empty: the server is asked which one holds the name.
	Zone string `toml:"zone" form:"host"`
	// Name of the key that signs.
	KeyName string `toml:"key_name" form:"host"`
	// File that holds the key's secret in base64.
	KeySecretFile string `toml:"key_secret_file"`
	// The key's algorithm.
	KeyAlgorithm string `toml:"key_algorithm" enum:"hmac-sha256,hmac-sha384,hmac-sha512,hmac-sha224,hmac-sha1"`
	// Time to live of the record.
	TTL Duration `toml:"ttl" min:"0s" max:"1h"`
	// How long the record is given to reach the zone's other servers before the authority is told to look.
	Wait Duration `toml:"wait" min:"0s" max:"1h"`
}
