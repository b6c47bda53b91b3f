package config

import "time"

// Screen is what clients that nobody knows must pass on port 25, before the greeting and after it (docs/screen.md).
type Screen struct {
	// Whether clients are tested.
	Enabled bool `toml:"enabled"`
	// Networks whose clients are never tested nor greylisted, beyond limits.exempt_networks.
	ExemptNetworks Networks `toml:"exempt_networks"`
	// How long a network that we sent mail to, or where one of our users logged in, counts as known. 0s: not at all.
	Acquaintance Duration `toml:"acquaintance" min:"0s" max:"365d"`
	// Who is not tested, or refused, in order: permit_mynetworks (access.mynetworks, submission.trusted_networks), permit, reject,
	// or tables of addresses such as "cidr:/etc/postrider/screen.cidr" with permit, reject or dunno.
	AccessList []string `toml:"postscreen_access_list"`
	// What is done with those that the access list rejects: ignore; enforce (refuse each recipient); drop (hang up).
	DenylistAction string `toml:"postscreen_denylist_action" enum:"ignore,enforce,drop"`
	// How long a client must be silent before it is greeted. 0s: no such test.
	GreetWait Duration `toml:"postscreen_greet_wait" min:"0s" max:"1m"`
	// What is done with those that are not.
	GreetAction string `toml:"postscreen_greet_action" enum:"ignore,enforce,drop"`
	// How long one that was need not wait again.
	GreetTTL Duration `toml:"postscreen_greet_ttl" min:"1s" max:"365d"`

	// DNS lists, "domain=filter*weight": "bl.example=127.0.0.[2..11]*2". None by default: most want to be asked before they are used.
	DNSBLSites []string `toml:"postscreen_dnsbl_sites"`
	// Sum of the weights from which a client is refused.
	DNSBLThreshold int `toml:"postscreen_dnsbl_threshold" min:"1" max:"1000000"`
	// Sum down to which a client is not tested any further: below 0; 0: none.
	DNSBLAllowlistThreshold int `toml:"postscreen_dnsbl_allowlist_threshold" min:"-1000000" max:"0"`
	// What is done with those that are refused.
	DNSBLAction string `toml:"postscreen_dnsbl_action" enum:"ignore,enforce,drop"`
	// How long all lists together may take; those that have not answered then list nobody.
	DNSBLTimeout Duration `toml:"postscreen_dnsbl_timeout" min:"100ms" max:"1m"`
	// Shortest time for which the lists' word is taken, whatever their TTL is.
	DNSBLMinTTL Duration `toml:"postscreen_dnsbl_min_ttl" min:"1s" max:"1d"`
	// Longest.
	DNSBLMaxTTL Duration `toml:"postscreen_dnsbl_max_ttl" min:"1s" max:"30d"`
	// Tables of what lists are called in replies, by their domain: for domains with a password in them.
	DNSBLReplyMap []string `toml:"postscreen_dnsbl_reply_map"`

	// Test whether clients send commands together where they may not: after EHLO before its reply, after HELO, after DATA.
	PipeliningEnable bool `toml:"postscreen_pipelining_enable"`
	// What is done with those that do.
	PipeliningAction string `toml:"postscreen_pipelining_action" enum:"ignore,enforce,drop"`
	// How long one that did not is not tested again.
	PipeliningTTL Duration `toml:"postscreen_pipelining_ttl" min:"1s" max:"365d"`
	// Test whether clients speak HTTP. Whether or not, their connection is closed.
	NonSMTPCommandEnable bool `toml:"postscreen_non_smtp_command_enable"`
	// What is done with those that do.
	NonSMTPCommandAction string `toml:"postscreen_non_smtp_command_action" enum:"ignore,enforce,drop"`
	// How long one that did not is not tested again.
	NonSMTPCommandTTL Duration `toml:"postscreen_non_smtp_command_ttl" min:"1s" max:"365d"`
	// Test whether clients end lines with LF alone. Whether or not, such a line is refused; see smtp.bare_newline_networks.
	BareNewlineEnable bool `toml:"postscreen_bare_newline_enable"`
	// What is done with those that do.
	BareNewlineAction string `toml:"postscreen_bare_newline_action" enum:"ignore,enforce,drop"`
	// How long one that did not is not tested again.
	BareNewlineTTL Duration `toml:"postscreen_bare_newline_ttl" min:"1s" max:"365d"`

	// How long a client is remembered after its tests are over.
	CacheRetentionTime Duration `toml:"postscreen_cache_retention_time" min:"0s" max:"365d"`
	// How many clients, and networks, are remembered.
	CacheClients int `toml:"cache_clients" min:"100" max:"10000000"`
	// Clients that may wait for the greeting at a time; further ones are answered 421.
	PreQueueLimit int `toml:"postscreen_pre_queue_limit" min:"1" max:"1000000"`
	// Of one address, or IPv6 /64.
	ClientConnectionCountLimit int `toml:"postscreen_client_connection_count_limit" min:"1" max:"1000000"`
}

// Greylist is whom we ask to come again (docs/screen.md).
type Greylist struct {
	// Whether mail is greylisted: first told 450, then taken when the same client, or its neighbour, tries again.
	Enabled bool `toml:"enabled"`
	// Who is greylisted, by points: 2 without a reverse name, 1 with one that does not lead back, 2 with one that looks like
	// that of a dial-up, 1 for each point of postscreen_dnsbl_sites. 0: everybody.
	SuspicionThreshold int `toml:"suspicion_threshold" min:"0" max:"1000000"`
	// How long one must wait before a second try counts.
	Delay Duration `toml:"delay" min:"1s" max:"1d"`
	// Within what time it must come.
	RetryWindow Duration `toml:"retry_window" min:"1m" max:"30d"`
	// How long a client that came again may send on, from its last message.
	Lifetime Duration `toml:"lifetime" min:"1h" max:"365d"`
	// After how many triplets that came again a client's network is not greylisted at all any more. 0: never.
	AutoAllowClients int `toml:"auto_allow_clients" min:"0" max:"1000000"`
	// Tables of client addresses and names that are not greylisted: each entry exempts, unless its value is "greylist".
	ExemptClients []string `toml:"exempt_clients"`
	// The same for senders: addresses, domains, and user@.
	ExemptSenders []string `toml:"exempt_senders"`
	// The same for recipients: those who want their mail at once.
	ExemptRecipients []string `toml:"exempt_recipients"`
	// How many triplets and networks are remembered.
	Entries int `toml:"entries" min:"100" max:"10000000"`
}

func defaultScreen() Screen {
	return Screen{
		Enabled: true, ExemptNetworks: loopback(), Acquaintance: Duration(30 * day),
		AccessList: []string{"permit_mynetworks"}, DenylistAction: "enforce",
		GreetWait: Duration(2 * time.Second), GreetAction: "enforce", GreetTTL: Duration(day),
		DNSBLThreshold: 1, DNSBLAction: "enforce", DNSBLTimeout: Duration(10 * time.Second),
		DNSBLMinTTL: Duration(time.Minute), DNSBLMaxTTL: Duration(time.Hour),
		PipeliningAction: "enforce", PipeliningTTL: Duration(30 * day),
		NonSMTPCommandAction: "drop", NonSMTPCommandTTL: Duration(30 * day),
		BareNewlineAction: "ignore", BareNewlineTTL: Duration(30 * day),
		CacheRetentionTime: Duration(7 * day), CacheClients: 100_000, PreQueueLimit: 10_000, ClientConnectionCountLimit: 50,
	}
}

func defaultGreylist() Greylist {
	return Greylist{SuspicionThreshold: 1, Delay: Duration(5 * time.Minute), RetryWindow: Duration(2 * day), Lifetime: Duration(35 * day),
		AutoAllowClients: 5, Entries: 200_000}
}
