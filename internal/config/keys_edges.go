package config

// Edges is what stands before us and beside us: proxies, and mail servers that use our accounts (docs/edges.md).
type Edges struct {
	// Clients that may use XCLIENT.
	XclientHosts Networks `toml:"smtpd_authorized_xclient_hosts"`
}
