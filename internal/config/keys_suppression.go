package config

// Suppression is to whom no more is sent because it failed for good, or was complained of (docs/suppression.md).
type Suppression struct {
	// Which mail is not sent to who is listed: none; bulk (lists, newsletters, many recipients); all, also what people write.
	Mail string `toml:"mail" enum:"none,bulk,all"`
	// Whose list a bounce goes to: that of the sender's domain, or of the account that sent it.
	Scope string `toml:"scope" enum:"domain,account"`
	// What kinds of bounces make an entry: unknown (no such mailbox), inactive (it is closed), domain (no such domain).
	Classes []string `toml:"classes" enum:"unknown,inactive,domain"`
	// How long an entry of a bounce holds. 0s: bounces make none.
	KeepBounces Duration `toml:"keep_bounces" min:"0s" max:"3650d"`
	// How long an entry of a complaint holds.
	KeepComplaints Duration `toml:"keep_complaints" min:"1d" max:"3650d"`
	// Our addresses that providers send abuse reports to (ARF, RFC 5965). Empty: none.
	ComplaintAddresses []string `toml:"complaint_addresses"`
	// Networks whose clients are believed about complaints. Empty: all; then keep the addresses to yourself.
	ComplaintNetworks Networks `toml:"complaint_networks"`
}

func defaultSuppression() Suppression {
	return Suppression{Mail: "bulk", Scope: "domain", Classes: []string{"unknown", "inactive", "domain"}, KeepBounces: Duration(90 * day),
		KeepComplaints: Duration(365 * day)}
}
