package config

// Egress is a pool of this host's addresses that the mail of some senders leaves from (docs/delivery.md). They take turns.
type Egress struct {
	// Domains of senders; ".example.org" means those below it, "<>" the null sender. Empty: all whom no other pool names.
	SenderDomains []string `toml:"sender_domains"`
	// "address" or "address name": to connect from, and the name in EHLO that belongs to it.
	Addresses []string `toml:"addresses"`
}
