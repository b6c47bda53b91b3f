package config

import "time"

// Rates are the limits in time: of connections, messages, recipients, bytes (docs/limits.md). 0 is no limit.
type Rates struct {
	// Connections that one address (a /64 in IPv6) may begin on port 25 and the submission ports within anvil_rate_time_unit.
	ClientConnections int `toml:"smtpd_client_connection_rate_limit" min:"0" max:"1000000000"`
	// Messages that one address may begin (MAIL) within anvil_rate_time_unit, whether or not they are accepted.
	ClientMessages int `toml:"smtpd_client_message_rate_limit" min:"0" max:"1000000000"`
	// Recipients that one address may name (RCPT) within anvil_rate_time_unit, whether or not they are accepted.
	ClientRecipients int `toml:"smtpd_client_recipient_rate_limit" min:"0" max:"1000000000"`
	// TLS sessions that one address may begin within anvil_rate_time_unit, in all mail protocols; resumed ones do not count.
	ClientTLS int `toml:"smtpd_client_new_tls_session_rate_limit" min:"0" max:"1000000000"`
	// Logins that one address may try within anvil_rate_time_unit, in all protocols, with the right password or not.
	ClientAuth int `toml:"smtpd_client_auth_rate_limit" min:"0" max:"1000000000"`
	// The time of these limits.
	TimeUnit Duration `toml:"anvil_rate_time_unit" min:"1s" max:"7d"`
	// Networks whose clients these limits do not hold for, beyond limits.exempt_networks and access.mynetworks.
	Exceptions Networks `toml:"smtpd_client_event_limit_exceptions"`

	// Connections that one address may begin to read mail, by IMAP and POP3 together, within anvil_rate_time_unit.
	ReaderConnections int `toml:"reader_connection_rate_limit" min:"0" max:"1000000000"`
	// smtpd_client_connection_rate_limit for a whole network: a /24, a /48 in IPv6.
	NetworkConnections int `toml:"network_connection_rate_limit" min:"0" max:"1000000000"`
	// smtpd_client_message_rate_limit for a whole network.
	NetworkMessages int `toml:"network_message_rate_limit" min:"0" max:"1000000000"`
	// smtpd_client_recipient_rate_limit for a whole network.
	NetworkRecipients int `toml:"network_recipient_rate_limit" min:"0" max:"1000000000"`
	// Bytes of messages that one address may send in an hour.
	ClientBytesPerHour Size `toml:"client_bytes_per_hour"`
	// Bytes of messages that one network may send in an hour.
	NetworkBytesPerHour Size `toml:"network_bytes_per_hour"`

	// Messages that one account may send in an hour, by submission. What is refused before its end does not count, here and below.
	AccountMessagesPerHour int `toml:"account_messages_per_hour" min:"0" max:"1000000000"`
	// Messages that one account may send in a day.
	AccountMessagesPerDay int `toml:"account_messages_per_day" min:"0" max:"1000000000"`
	// Recipients that one account may send to in an hour.
	AccountRecipientsPerHour int `toml:"account_recipients_per_hour" min:"0" max:"1000000000"`
	// Recipients that one account may send to in a day.
	AccountRecipientsPerDay int `toml:"account_recipients_per_day" min:"0" max:"1000000000"`
	// Bytes that one account may send in a day.
	AccountBytesPerDay Size `toml:"account_bytes_per_day"`
	// Accounts that the limits of one account do not hold for: newsletters. Those of the tenant do.
	UnlimitedAccounts []string `toml:"unlimited_accounts"`
	// Messages that all accounts of a tenant together may send in a day.
	TenantMessagesPerDay int `toml:"tenant_messages_per_day" min:"0" max:"1000000000"`
	// Recipients that all accounts of a tenant together may send to in a day.
	TenantRecipientsPerDay int `toml:"tenant_recipients_per_day" min:"0" max:"1000000000"`
	// Messages that may come in an hour from one domain, by the reverse-path.
	SenderDomainMessagesPerHour int `toml:"sender_domain_messages_per_hour" min:"0" max:"1000000000"`
	// Messages that may come in an hour for one recipient.
	RecipientMessagesPerHour int `toml:"recipient_messages_per_hour" min:"0" max:"1000000000"`
}

// Bans are clients that are not let in for a while, and what is done about failed logins (docs/limits.md).
type Bans struct {
	// Whether clients are banned by themselves: with too many failures. Bans of `postrider ban add` hold in any case.
	Enabled bool `toml:"enabled"`
	// Networks that are never banned and whose failures do not count, beyond limits.exempt_networks, access.mynetworks,
	// submission.trusted_networks and proxies.
	ExemptNetworks Networks `toml:"exempt_networks"`
	// How long a ban lasts.
	Time Duration `toml:"time" min:"1s" max:"365d"`
	// How long failures are remembered.
	Window Duration `toml:"window" min:"1s" max:"1d"`
	// Failed logins from one address (a /64 in IPv6) that end in a ban. The same wrong password again is not counted. 0: never.
	MaxAuthFailures int `toml:"max_auth_failures" min:"0" max:"1000000"`
	// Failed logins from one network (a /24; a /48 in IPv6) after which it may log in only to accounts that have logged in from
	// the same address before. 0: never.
	MaxNetworkAuthFailures int `toml:"max_network_auth_failures" min:"0" max:"1000000"`
	// Sessions of one address, ended for too many errors, that end in a ban. 0: never.
	MaxErrorSessions int `toml:"max_error_sessions" min:"0" max:"1000000"`
	// Sessions of one address, in which it talked before the greeting, that end in a ban ([screen]). 0: never.
	MaxPregreetSessions int `toml:"max_pregreet_sessions" min:"0" max:"1000000"`
	// The same of sessions in which DNS lists scored it screen.postscreen_dnsbl_threshold or more.
	MaxDNSBLSessions int `toml:"max_dnsbl_sessions" min:"0" max:"1000000"`
	// The longest that a login waits after failed ones. 0s: none waits.
	MaxLoginDelay Duration `toml:"max_login_delay" min:"0s" max:"1m"`
}

func defaultRates() Rates { return Rates{TimeUnit: Duration(time.Minute)} }

func defaultBans() Bans {
	return Bans{Enabled: true, ExemptNetworks: loopback(), Time: Duration(time.Hour), Window: Duration(10 * time.Minute),
		MaxAuthFailures: 20, MaxNetworkAuthFailures: 60, MaxErrorSessions: 30, MaxLoginDelay: Duration(15 * time.Second)}
}
