package config

// Edges is what stands before us and beside us: proxies, and mail servers that use our accounts (docs/edges.md).
type Edges struct {
	// Proxies whose connections begin with the header of the PROXY protocol, version 1 or 2, on listeners with proxy_protocol.
	// Connections from elsewhere are taken as they are.
	ProxyNetworks Networks `toml:"proxy_networks"`
	// Hosts that may say by XCLIENT for which client they speak; everything is then judged by what they say. On the submission
	// services they may also say who has logged in.
	XclientHosts Networks `toml:"smtpd_authorized_xclient_hosts"`
	// Hosts that may say by XFORWARD where a message came from, for log and queue; nothing is judged by it.
	XforwardHosts Networks `toml:"smtpd_authorized_xforward_hosts"`
	// A socket where mail servers on this host ask about logins, in the words of Dovecot's auth protocol. Empty: none.
	AuthSocket string `toml:"auth_socket" apply:"restart"`
	// The group that may open it. Empty: nobody but root and the server's own user.
	AuthSocketGroup string `toml:"auth_socket_group" apply:"restart"`
	// Hosts that may ask on the addresses of listeners.auth.
	AuthNetworks Networks `toml:"auth_networks"`
	// Whether logins count that the asking server's client made without TLS.
	AuthPlaintext bool `toml:"auth_plaintext"`
}
