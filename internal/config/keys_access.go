package config

// POP3 is what holds for mail fetching.
type POP3 struct {
	// Connections at once, all clients together.
	MaxConnections int `toml:"max_connections" min:"1" max:"1000000"`
	// Connections at once from one address (a /64 in IPv6).
	MaxConnectionsPerAddress int `toml:"max_connections_per_address" min:"1" max:"1000000"`
	// How long a session may stay before it has logged in.
	LoginTimeout Duration `toml:"login_timeout" min:"1s" max:"1h"`
	// How long a session may be silent; RFC 1939 §3 wants at least 10 minutes.
	IdleTimeout Duration `toml:"idle_timeout" min:"10m" max:"1d"`
	// Least time between two logins of an account (RFC 2449 §6.5). 0s: as often as they like.
	LoginDelay Duration `toml:"login_delay" min:"0s" max:"1d"`
	// Commands refused in one session before it is ended.
	MaxErrors int `toml:"max_errors" min:"1" max:"10000"`
}

// HTTP is what holds for the http and https listeners.
type HTTP struct {
	// Reverse proxies whose X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host and Forwarded (RFC 7239) we believe.
	TrustedProxies Networks `toml:"trusted_proxies"`
	// Connections at once, all clients together. One address, or IPv6 /64, that is no trusted proxy gets a tenth, or 10.
	MaxConnections int `toml:"max_connections" min:"1" max:"1000000"`
}

// Auth is who may log in, and how it is proven.
type Auth struct {
	// Accounts that may log in as any other: as "user*admin" with admin's password.
	MasterUsers []string `toml:"master_users"`
	// Connections at once of one account from one address (a /64 in IPv6), in each of IMAP, POP3 and submission. 0: any number.
	MaxConnectionsPerAccountAndAddress int `toml:"max_connections_per_account_and_address" min:"0" max:"100000"`
	// Where the passwords of accounts of system users are checked: none; shadow (through the helper); saslauthd (PAM).
	System string `toml:"system" enum:"none,shadow,saslauthd"`
	// The socket of saslauthd.
	SaslauthdSocket string `toml:"saslauthd_socket"`
}

// Sendmail is mail from programs of this host, through sendmail(1).
type Sendmail struct {
	// Whether run_dir/submit.sock and data_dir/drop take mail.
	Enabled bool `toml:"enabled" apply:"restart"`
	// Messages an hour from one user id; root's are not counted. 0: no limit.
	MaxMessagesPerHour int `toml:"max_messages_per_hour" min:"0" max:"1000000"`
}

// Helper is the small program that does what needs root.
type Helper struct {
	// Whether privhelper is asked.
	Enabled bool `toml:"enabled" apply:"restart"`
	// Its socket. Empty: /run/postrider-helper/helper.sock.
	Socket string `toml:"socket" apply:"restart"`
}
