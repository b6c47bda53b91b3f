package config

// Routing is where mail goes, in the words of Postfix (docs/routing.md).
type Routing struct {
	// The domain of addresses that have none. Empty: the key domain, which alone is the host's own.
	Myorigin string `toml:"myorigin" form:"host"`
	// What append_dot_mydomain appends. Empty: the key domain.
	Mydomain string `toml:"mydomain" form:"host"`
	// Addresses without a domain in tables and settings are of myorigin; without this, of the host itself all the same, since no mail can go to them.
	AppendAtMyorigin bool `toml:"append_at_myorigin"`
	// A domain without a dot in tables and settings gets mydomain behind it.
	AppendDotMydomain bool `toml:"append_dot_mydomain"`
	// user%elsewhere@here means user@elsewhere, for domains of the local class.
	AllowPercentHack bool `toml:"allow_percent_hack"`
	// elsewhere!user@here means user@elsewhere, for domains of the local class.
	SwapBangpath bool `toml:"swap_bangpath"`
	// "user@elsewhere"@here means user@elsewhere, for domains of the local class.
	ResolveDequotedAddress bool `toml:"resolve_dequoted_address"`
	// user@192.0.2.1 means user@[192.0.2.1].
	ResolveNumericDomain bool `toml:"resolve_numeric_domain"`
	// Domains besides the host's own whose users are the host's own: names, tables, files; "!" in front takes out.
	Mydestination []string `toml:"mydestination"`
	// Tables of the recipients of the local class. Empty: aliases and the host's accounts.
	LocalRecipientMaps []string `toml:"local_recipient_maps"`
	// Where mail for the local class goes: "transport:nexthop". Empty, or "local": aliases(5) and our mailstore.
	LocalTransport string `toml:"local_transport"`
	// Tables of addresses and what they stand for, virtual(5). They hold for recipients of every class.
	VirtualAliasMaps []string `toml:"virtual_alias_maps"`
	// Domains whose addresses all stand for others: an address that virtual_alias_maps do not have is unknown. Empty: the domains that are keys of virtual_alias_maps.
	VirtualAliasDomains []string `toml:"virtual_alias_domains"`
	// Most addresses that one may stand for.
	VirtualAliasExpansionLimit int `toml:"virtual_alias_expansion_limit" min:"1" max:"100000"`
	// Most entries of virtual_alias_maps that lead to one another.
	VirtualAliasRecursionLimit int `toml:"virtual_alias_recursion_limit" min:"1" max:"1000"`
	// Domains with mailboxes besides those of the directory, delivered by virtual_transport.
	VirtualMailboxDomains []string `toml:"virtual_mailbox_domains"`
	// Tables of the recipients of virtual_mailbox_domains. Empty: every address is one.
	VirtualMailboxMaps []string `toml:"virtual_mailbox_maps"`
	// Where mail for domains with mailboxes goes, those of the directory too: "lmtp:unix:/path". Empty, or "virtual": our mailstore.
	VirtualTransport string `toml:"virtual_transport"`
	// Domains that mail is taken for to be delivered elsewhere (backup MX, gateway).
	RelayDomains []string `toml:"relay_domains"`
	// Tables of the recipients of relay_domains. Empty: every address is one.
	RelayRecipientMaps []string `toml:"relay_recipient_maps"`
	// How mail for relay_domains goes. Empty: "relay", which is smtp.
	RelayTransport string `toml:"relay_transport"`
	// How all other mail goes. Empty: "smtp".
	DefaultTransport string `toml:"default_transport"`
	// Transport and next hop by sender, for all other mail.
	SenderDependentDefaultTransportMaps []string `toml:"sender_dependent_default_transport_maps"`
	// Where mail that leaves goes instead of the domain's mail exchangers: "[host]:port", or "domain" for its mail exchangers. With AUTH use mta.smart_host instead; only one of them may be set.
	Relayhost string `toml:"relayhost"`
	// The same by sender.
	SenderDependentRelayhostMaps []string `toml:"sender_dependent_relayhost_maps"`
	// Transport and next hop by recipient, transport(5).
	TransportMaps []string `toml:"transport_maps"`
	// Addresses that have moved, and where to; mail for them is refused with that, relocated(5).
	RelocatedMaps []string `toml:"relocated_maps"`
	// Addresses for other addresses, canonical(5): of senders and recipients, in envelopes and in headers of our own mail.
	CanonicalMaps []string `toml:"canonical_maps"`
	// The same for senders only, and first.
	SenderCanonicalMaps []string `toml:"sender_canonical_maps"`
	// The same for recipients only, and first.
	RecipientCanonicalMaps []string `toml:"recipient_canonical_maps"`
	// What canonical_maps change.
	CanonicalClasses []string `toml:"canonical_classes" enum:"envelope_sender,envelope_recipient,header_sender,header_recipient"`
	// Domains that stand for the hosts below them: user@host.example.org becomes user@example.org; "!" in front: not below this one.
	MasqueradeDomains []string `toml:"masquerade_domains"`
	// Users to whom masquerade_domains does not apply.
	MasqueradeExceptions []string `toml:"masquerade_exceptions"`
	// What masquerade_domains changes.
	MasqueradeClasses []string `toml:"masquerade_classes" enum:"envelope_sender,envelope_recipient,header_sender,header_recipient"`
	// Where the extension of an address (user+extension) that a key lacks is put behind what the key stands for.
	PropagateUnmatchedExtensions []string `toml:"propagate_unmatched_extensions" enum:"canonical,virtual,alias,forward,include,generic"`
	// Addresses for other addresses in the envelopes of mail that leaves by smtp, generic(5).
	SMTPGenericMaps []string `toml:"smtp_generic_maps"`
	// An address that gets a copy of all mail.
	AlwaysBCC string `toml:"always_bcc"`
	// Addresses that get a copy, by sender.
	SenderBCCMaps []string `toml:"sender_bcc_maps"`
	// Addresses that get a copy, by recipient.
	RecipientBCCMaps []string `toml:"recipient_bcc_maps"`
	// A command that gets the mail of system users instead of their mailboxes here, as the user, with the eight variables of docs/aliases.md: "/usr/bin/procmail". Needs the helper.
	MailboxCommand string `toml:"mailbox_command"`
	// A file in the home of system users that gets their mail instead of their mailboxes here: "Maildir/", "mail/inbox". Needs the helper.
	HomeMailbox string `toml:"home_mailbox"`
	// Where mail for users of the local class goes once aliases(5) and .forward are done: "lmtp:unix:/path". Empty: our mailstore.
	MailboxTransport string `toml:"mailbox_transport"`
	// Where mail for local names that do not exist goes, before luser_relay: "smtp:[old.example.org]".
	FallbackTransport string `toml:"fallback_transport"`
	// Where mail for local names that do not exist goes; $user, $extension, $local, $domain, $recipient stand for parts of the address. Such as "$user@other.example".
	LuserRelay string `toml:"luser_relay"`
	// The local part whose mail is dropped: notifications about notifications.
	DoubleBounceSender string `toml:"double_bounce_sender"`
	// The domain of the reverse-paths that forwarded mail gets (SRS), one of ours with an MX. Empty: they stay, and the next host's SPF check may refuse the mail.
	SRSDomain string `toml:"srs_domain" form:"host"`
	// File of the secrets of SRS, one a line: the first signs, all verify. Put a new one in front, and take the old one out three weeks later.
	SRSSecretsFile string `toml:"srs_secrets_file"`
	// Domains whose senders SRS does not rewrite, besides our own.
	SRSExcludeDomains []string `toml:"srs_exclude_domains"`
	// Tables of aliases(5): what names of this host stand for (docs/aliases.md). Such as "hash:/etc/aliases"; none by default.
	AliasMaps []string `toml:"alias_maps"`
	// The tables that newaliases checks. Empty: those of alias_maps.
	AliasDatabase []string `toml:"alias_database"`
	// Where "|command" may stand: alias, forward. Nowhere by default; needs the helper, as root.
	AllowMailToCommands []string `toml:"allow_mail_to_commands" enum:"alias,forward"`
	// Where "/file/name" may stand: alias, forward. Nowhere by default; needs the helper, as root.
	AllowMailToFiles []string `toml:"allow_mail_to_files" enum:"alias,forward"`
	// Files in which system users say where their mail goes, the first that exists: such as "$home/.forward${recipient_delimiter}${extension}", "$home/.forward". None by default; needs the helper.
	ForwardPath []string `toml:"forward_path"`
	// The user who runs commands and writes files that an alias file of root's names. Never root.
	DefaultPrivs string `toml:"default_privs"`
	// The copies of an alias that has an owner-NAME come from owner-NAME; with this, from the address that owner-NAME stands for.
	ExpandOwnerAlias bool `toml:"expand_owner_alias"`
	// owner-NAME and NAME-request are not split at a recipient delimiter "-".
	OwnerRequestSpecial bool `toml:"owner_request_special"`
	// The longest that a command of an alias or .forward may take.
	CommandTimeLimit Duration `toml:"command_time_limit" min:"1s" max:"1h"`
	// The largest that a mailbox file may become, and any file that a command writes.
	MailboxSizeLimit Size `toml:"mailbox_size_limit" min:"1MiB" max:"1TiB"`
}
