package config

import "time"

// Access is who may send what through us, in the words of Postfix (docs/access.md).
type Access struct {
	// Networks whose clients may relay: permit_mynetworks. None by default, loopback neither.
	Mynetworks Networks `toml:"mynetworks"`
	// Lists of restrictions with names of their own, "name = restriction, ...": to be used in lists and in access tables.
	RestrictionClasses []string `toml:"restriction_classes"`
	// Tables of sender addresses and the logins that own them. Empty: whoever owns the address in the directory.
	SmtpdSenderLoginMaps []string `toml:"smtpd_sender_login_maps"`
	// Refuse sender addresses of our domains that do not exist.
	SmtpdRejectUnlistedSender bool `toml:"smtpd_reject_unlisted_sender"`
	// Tables of the fingerprints (SHA-256) of client certificates that permit_tls_clientcerts lets relay.
	RelayClientcerts []string `toml:"relay_clientcerts"`
	// Networks of the first mail exchangers for which permit_mx_backup takes mail. Empty: of any.
	PermitMXBackupNetworks Networks `toml:"permit_mx_backup_networks"`
	// Settings in whose tables a domain stands for what is below it too; others want ".domain" for that.
	ParentDomainMatchesSubdomains []string `toml:"parent_domain_matches_subdomains"`
	// What the null sender is looked up as in access tables.
	SmtpdNullAccessLookupKey string `toml:"smtpd_null_access_lookup_key"`
	// Whether the names of clients are looked up in the DNS. Without it every client is unknown by name.
	SmtpdPeernameLookup bool `toml:"smtpd_peername_lookup"`
	// Answer 4xx wherever a session would be refused with 5xx: to try rules out without losing mail.
	SoftBounce bool `toml:"soft_bounce"`
	// The reply for a client on a DNS list, with $rbl_code, $rbl_class, $rbl_what, $rbl_domain, $rbl_reason, $rbl_txt, ...
	DefaultRBLReply string `toml:"default_rbl_reply"`
	// Tables of replies for single DNS lists, by their domain.
	RBLReplyMaps []string `toml:"rbl_reply_maps"`

	// Replies of the restrictions.
	Codes AccessCodes `toml:"codes"`
	// Restrictions of mail from the internet, on port 25.
	SMTP AccessLists `toml:"smtp"`
	// Restrictions of mail from our users, on the submission ports.
	Submission AccessLists `toml:"submission"`
	// How reject_unverified_sender and reject_unverified_recipient find out whether an address exists.
	Verify AddressVerify `toml:"verify"`
	// How the servers of check_policy_service are asked.
	PolicyService PolicyService `toml:"policy_service"`
}

// AccessLists are the restrictions of a service, stage by stage.
type AccessLists struct {
	// Judge client, HELO and sender when the first recipient is named, so that the log has all of it and the client learns
	// the reason in a reply that it will show.
	SmtpdDelayReject bool `toml:"smtpd_delay_reject"`
	// For the client as it connects.
	SmtpdClientRestrictions []string `toml:"smtpd_client_restrictions"`
	// For what it calls itself.
	SmtpdHeloRestrictions []string `toml:"smtpd_helo_restrictions"`
	// For the sender.
	SmtpdSenderRestrictions []string `toml:"smtpd_sender_restrictions"`
	// For each recipient, first: who may send elsewhere.
	SmtpdRelayRestrictions []string `toml:"smtpd_relay_restrictions"`
	// For each recipient, then: what is spam.
	SmtpdRecipientRestrictions []string `toml:"smtpd_recipient_restrictions"`
	// For DATA, with all recipients known.
	SmtpdDataRestrictions []string `toml:"smtpd_data_restrictions"`
	// For the message once it is here; its size is known.
	SmtpdEndOfDataRestrictions []string `toml:"smtpd_end_of_data_restrictions"`
}

// AccessCodes are the reply codes of the restrictions; their names in Postfix end in _code.
type AccessCodes struct {
	// REJECT in an access table.
	AccessMapRejectCode int `toml:"access_map_reject_code" min:"400" max:"599"`
	// DEFER in an access table.
	AccessMapDeferCode int `toml:"access_map_defer_code" min:"400" max:"499"`
	// reject.
	RejectCode int `toml:"reject_code" min:"400" max:"599"`
	// defer.
	DeferCode int `toml:"defer_code" min:"400" max:"499"`
	// reject_invalid_helo_hostname.
	InvalidHostnameRejectCode int `toml:"invalid_hostname_reject_code" min:"400" max:"599"`
	// reject_rbl_client, reject_rhsbl_*.
	MapsRBLRejectCode int `toml:"maps_rbl_reject_code" min:"400" max:"599"`
	// reject_multi_recipient_bounce.
	MultiRecipientBounceRejectCode int `toml:"multi_recipient_bounce_reject_code" min:"400" max:"599"`
	// reject_non_fqdn_*.
	NonFQDNRejectCode int `toml:"non_fqdn_reject_code" min:"400" max:"599"`
	// reject_plaintext_session.
	PlaintextRejectCode int `toml:"plaintext_reject_code" min:"400" max:"599"`
	// reject_unauth_destination.
	RelayDomainsRejectCode int `toml:"relay_domains_reject_code" min:"400" max:"599"`
	// reject_unknown_sender_domain, reject_unknown_recipient_domain.
	UnknownAddressRejectCode int `toml:"unknown_address_reject_code" min:"400" max:"599"`
	// reject_unknown_client_hostname, reject_unknown_reverse_client_hostname.
	UnknownClientRejectCode int `toml:"unknown_client_reject_code" min:"400" max:"599"`
	// reject_unknown_helo_hostname.
	UnknownHostnameRejectCode int `toml:"unknown_hostname_reject_code" min:"400" max:"599"`
	// reject_unlisted_sender.
	UnknownLocalRecipientRejectCode int `toml:"unknown_local_recipient_reject_code" min:"400" max:"599"`
	// reject_unverified_sender, for an address that does not exist.
	UnverifiedSenderRejectCode int `toml:"unverified_sender_reject_code" min:"400" max:"599"`
	// reject_unverified_sender, as long as that is not known.
	UnverifiedSenderDeferCode int `toml:"unverified_sender_defer_code" min:"400" max:"499"`
	// reject_unverified_recipient, for an address that does not exist.
	UnverifiedRecipientRejectCode int `toml:"unverified_recipient_reject_code" min:"400" max:"599"`
	// reject_unverified_recipient, as long as that is not known.
	UnverifiedRecipientDeferCode int `toml:"unverified_recipient_defer_code" min:"400" max:"499"`
}

// AddressVerify is how addresses are probed.
type AddressVerify struct {
	// The local part, in the host's domain, of the sender of probes. Empty: the null sender.
	AddressVerifySender string `toml:"address_verify_sender"`
	// How long an address that exists is remembered.
	AddressVerifyPositiveExpireTime Duration `toml:"address_verify_positive_expire_time" min:"1m" max:"365d"`
	// How long one that does not exist is remembered.
	AddressVerifyNegativeExpireTime Duration `toml:"address_verify_negative_expire_time" min:"1s" max:"365d"`
	// How long a client waits for a probe before it is told to come again.
	Wait Duration `toml:"wait" min:"0s" max:"1m"`
}

func defaultAccess() Access {
	return Access{
		SmtpdNullAccessLookupKey: "<>", SmtpdPeernameLookup: true, DefaultRBLReply: defaultRBLReply,
		ParentDomainMatchesSubdomains: []string{"permit_mx_backup_networks", "relay_domains", "smtpd_access_maps"},
		Codes: AccessCodes{AccessMapRejectCode: 554, AccessMapDeferCode: 450, RejectCode: 554, DeferCode: 450, InvalidHostnameRejectCode: 501,
			MapsRBLRejectCode: 554, MultiRecipientBounceRejectCode: 550, NonFQDNRejectCode: 504, PlaintextRejectCode: 450,
			RelayDomainsRejectCode: 554, UnknownAddressRejectCode: 450, UnknownClientRejectCode: 450, UnknownHostnameRejectCode: 450,
			UnknownLocalRecipientRejectCode: 550, UnverifiedSenderRejectCode: 450, UnverifiedSenderDeferCode: 450,
			UnverifiedRecipientRejectCode: 450, UnverifiedRecipientDeferCode: 450},
		SMTP: AccessLists{SmtpdDelayReject: true,
			SmtpdRelayRestrictions: []string{"permit_mynetworks", "permit_sasl_authenticated", "reject_unauth_destination"}},
		Submission: AccessLists{SmtpdDelayReject: true,
			SmtpdRelayRestrictions: []string{"permit_mynetworks", "permit_sasl_authenticated", "reject"}},
		Verify: AddressVerify{AddressVerifySender: "double-bounce", AddressVerifyPositiveExpireTime: Duration(31 * day),
			AddressVerifyNegativeExpireTime: Duration(3 * day), Wait: Duration(6 * time.Second)},
		PolicyService: defaultPolicyService(),
	}
}

// defaultRBLReply is Postfix's.
const defaultRBLReply = "$rbl_code Service unavailable; $rbl_class [$rbl_what] blocked using $rbl_domain${rbl_reason?; $rbl_reason}"
