package config

// Filters is what looks into messages: milters, checks, content filters (docs/filters.md).
type Filters struct {
	// Milters for mail that comes by SMTP: "inet:host:port" or "unix:/path", with settings in braces.
	SmtpdMilters []string `toml:"smtpd_milters"`
}
