package config

// Setup is what mail clients are told about how to reach this host: autoconfig, autodiscover, profiles, SRV records.
//
// Each service is "host:port" as clients reach it from outside: needed where a proxy or another port stands before the
// listener. Empty: the host name and the listener's own port; for a listener on a loopback address only, localhost.
// "none": clients are not told of it.
type Setup struct {
	// Whether the pages for clients are served on http and https.
	Enabled bool `toml:"enabled"`
	// The name that clients show for this mail service. Empty: the domain of the address.
	Name string `toml:"name"`
	// Where the pages are reached from outside, as in "https://mail.example.org". Empty: the host name and https's port.
	URL string `toml:"url" form:"baseurl"`
	// Where clients reach imaps, as "host:port".
	IMAPS string `toml:"imaps" form:"offer"`
	// Where clients reach imap.
	IMAP string `toml:"imap" form:"offer"`
	// Where clients reach pop3s.
	POP3S string `toml:"pop3s" form:"offer"`
	// Where clients reach pop3.
	POP3 string `toml:"pop3" form:"offer"`
	// Where clients reach submissions.
	Submissions string `toml:"submissions" form:"offer"`
	// Where clients reach submission.
	Submission string `toml:"submission" form:"offer"`
}
