package postfix

import (
	"slices"
	"strings"
)

// rule is the fate of parameters that have no key of their name, or that need more than that.
type rule struct {
	names string // parameters, parted by blanks; "x_*" stands for all that begin so and stand in no other rule
	fate  Fate   // if do is nil
	text  string // why it is meaningless, or what to do; what do does
	keys  string // the keys that do may write, parted by blanks
	do    func(*move, *param) verdict
}

// ruleIndex finds a rule by its parameter.
func ruleIndex() map[string]*rule {
	index := map[string]*rule{}
	for _, r := range rules() {
		for name := range strings.FieldsSeq(r.names) {
			if !strings.HasSuffix(name, "*") {
				index[name] = &r
			}
		}
	}
	return index
}

// prefixRule finds the rule of the longest beginning.
func prefixRule(name string) (found *rule) {
	length := 0
	for _, r := range rules() {
		for pattern := range strings.FieldsSeq(r.names) {
			if start, ok := strings.CutSuffix(pattern, "*"); ok && strings.HasPrefix(name, start) && len(start) > length {
				found, length = &r, len(start)
			}
		}
	}
	return found
}

// Reasons that many parameters share.
const (
	oneProgram  = "one program does the work of Postfix's processes"
	ownQueue    = "the queue is our own"
	ownFiles    = "our files have places of their own"
	ownLog      = "the log is our own: log.level, log.format = \"maillog\" for tools that read Postfix's"
	ownTLS      = "Go's TLS chooses ciphers, curves and sessions; what is weak is not offered"
	ownMail     = "mail is kept in our own store; mailboxes are moved in, see docs/migrate-postfix.md"
	ownAccounts = "users are our accounts, for mail and for AUTH; see import.sh"
	safeHere    = "it is so here in any case"
	noWay       = "there is no counterpart; see whether you need it"
)

func rules() []rule {
	return slices.Concat(convertRules(), tlsRules(), meaninglessRules(), unsupportedRules(), moreRules())
}

func convertRules() []rule {
	return []rule{
		{names: "myhostname", keys: "hostname", do: hostname, text: "the name of this host"},
		{names: "mydomain", do: mydomain, text: "it went to where $mydomain is used"},
		{names: "inet_interfaces", keys: "listeners.smtp.addresses", do: interfaces, text: "the addresses of the listeners, with the ports of master.cf"},
		{names: "inet_protocols", keys: "mta.inet_protocols", do: protocols, text: "ipv4 or ipv6 alone; the listeners follow"},
		{names: "mynetworks", keys: "access.mynetworks submission.trusted_networks", do: mynetworks, text: "the networks, files and tables that it names included"},
		{names: "mynetworks_style", do: mynetworksStyle, text: "mynetworks is written out"},
		{names: "message_size_limit", keys: "smtp.max_message_size", do: sizeLimit, text: "0 is our largest, 2GiB"},
		{names: "smtpd_recipient_limit", keys: "smtp.max_recipients", do: number("smtp.max_recipients", 100)},
		{names: "hopcount_limit", keys: "smtp.max_received", do: number("smtp.max_received", 10)},
		{names: "smtpd_hard_error_limit", keys: "smtp.max_errors", do: number("smtp.max_errors", 1)},
		{names: "smtpd_timeout", keys: "smtp.command_timeout", do: span("smtp.command_timeout")},
		{names: "smtp_connect_timeout", keys: "mta.connect_timeout", do: span("mta.connect_timeout")},
		{names: "smtp_helo_timeout smtp_mail_timeout smtp_rcpt_timeout", keys: "mta.command_timeout", do: span("mta.command_timeout"), text: "the last one set counts"},
		{names: "smtp_data_xfer_timeout", keys: "mta.data_timeout", do: span("mta.data_timeout")},
		{names: "smtp_data_done_timeout", keys: "mta.data_done_timeout", do: span("mta.data_done_timeout")},
		{names: "smtp_connection_cache_time_limit", keys: "mta.idle_timeout", do: span("mta.idle_timeout")},
		{names: "maximal_queue_lifetime", keys: "mta.expire_after", do: span("mta.expire_after")},
		{names: "bounce_queue_lifetime", keys: "mta.bounce_expire_after", do: span("mta.bounce_expire_after")},
		{names: "minimal_backoff_time maximal_backoff_time", keys: "mta.retry", do: backoff, text: "waiting times that double from the one to the other"},
		{names: "delay_warning_time", keys: "queue.delay_warning_time", do: span("queue.delay_warning_time")},
		{names: "queue_run_delay", fate: Meaningless, text: "every message has its own time; mta.retry"},
		{names: "default_destination_concurrency_limit smtp_destination_concurrency_limit", keys: "mta.concurrency_per_destination",
			do: forSMTP("mta.concurrency_per_destination", 1), text: "that of smtp counts before the default"},
		{names: "default_destination_recipient_limit smtp_destination_recipient_limit", keys: "mta.max_recipients",
			do: forSMTP("mta.max_recipients", 1), text: "that of smtp counts before the default"},
		{names: "recipient_delimiter", keys: "delivery.recipient_delimiter", do: delimiter, text: "one character; of several the first"},
		{names: "smtp_bind_address", keys: "mta.source_ipv4", do: text("mta.source_ipv4")},
		{names: "smtp_bind_address6", keys: "mta.source_ipv6", do: text("mta.source_ipv6")},
		{names: "smtp_helo_name", keys: "mta.helo_name", do: heloName},
		{names: "smtp_tcp_port", keys: "mta.port", do: port},
		{names: "queue_minfree", keys: "limits.disk_reserve", do: size("limits.disk_reserve")},
		{names: "smtpd_forbid_bare_newline_exclusions", keys: "smtp.bare_newline_networks", do: bareNewline},
		{names: "relayhost", keys: "routing.relayhost mta.smart_host.host mta.smart_host.port mta.smart_host.tls", do: relayhost, text: "mta.smart_host where it wants a password or its certificate is verified"},
		{names: "smtp_sasl_auth_enable", do: saslEnable, text: "with smtp_sasl_password_maps"},
		{names: "smtp_sasl_password_maps", keys: "mta.smart_host.user mta.smart_host.password_file mta.smtp_sasl_password_maps", do: saslPasswords, text: "name and password for the relay of relayhost, the password in a file of its own; the tables where they have more"},
		{names: "smtpd_sender_login_maps", keys: "access.smtpd_sender_login_maps submission.require_sender_ownership", do: loginMaps, text: "who logs in may use the senders that the tables give to their name"},
		{names: "virtual_mailbox_domains", keys: "import.sh routing.virtual_mailbox_domains", do: mailboxDomains, text: "import.sh adds them; with --keep-mailboxes they go to the key"},
		{names: "virtual_mailbox_maps", keys: "import.sh routing.virtual_mailbox_maps", do: mailboxes, text: "import.sh adds the accounts; with --keep-mailboxes the tables go to the key"},
		{names: "local_recipient_maps", keys: "import.sh routing.local_recipient_maps", do: localRecipients, text: "import.sh adds the users of the system"},
		{names: "virtual_transport mailbox_transport local_transport", keys: "routing.virtual_transport routing.mailbox_transport routing.local_transport", do: deliverTo, text: "mail is kept here; with --keep-mailboxes it goes on as before"},
		{names: "mailbox_command home_mailbox", keys: "routing.mailbox_command routing.home_mailbox helper.enabled", do: userMailbox, text: "mail is kept here; with --keep-mailboxes it goes on as before, by the helper"},
		{names: "mailbox_size_limit virtual_mailbox_limit", keys: "routing.mailbox_size_limit", do: mailboxLimit, text: "room is said for each account: postrider account set --quota"},
		{names: "smtpd_client_connection_count_limit", keys: "smtp.max_connections_per_address", do: connectionCount},
		{names: "smtpd_sasl_auth_enable", do: saslServer, text: "AUTH is offered on submission and submissions, under TLS"},
		{names: "compatibility_level", fate: Meaningless, text: "the values that it stands for are written out"},
		{names: "smtpd_restriction_classes", keys: "access.restriction_classes", do: restrictionClasses, text: "the classes with their lists"},
		{names: "mydestination", keys: "routing.mydestination", do: mydestination, text: "the host's own domain is local in any case"},
		{names: "virtual_alias_domains", keys: "routing.virtual_alias_domains", do: aliasDomains, text: "none at all is none.invalid, since empty means the keys of virtual_alias_maps"},
		{names: "myorigin", keys: "domain routing.myorigin", do: myorigin, text: "the host's own domain, if mydestination has it; files such as /etc/mailname are read"},
		{names: "dovecot_destination_recipient_limit virtual_destination_recipient_limit local_destination_recipient_limit local_destination_concurrency_limit " +
			"virtual_destination_concurrency_limit lmtp_destination_recipient_limit lmtp_destination_concurrency_limit", fate: Meaningless, text: ownMail},
	}
}

func tlsRules() []rule {
	return []rule{
		{names: "smtpd_tls_cert_file smtpd_tls_chain_files", keys: "tls.cert tls.key", do: certificate, text: "the first certificate; \"snakeoil\" of Debian is left out"},
		{names: "smtpd_tls_key_file", do: withCertificate, text: "with smtpd_tls_cert_file"},
		{names: "smtpd_tls_eccert_file smtpd_tls_eckey_file smtpd_tls_dcert_file smtpd_tls_dkey_file", keys: "tls.certificates", do: otherCertificate, text: "RSA and ECDSA may stand beside each other"},
		{names: "tls_server_sni_maps", keys: "tls.certificates", do: sniMaps, text: "the certificates that it names; their own names tell for whom"},
		{names: "smtpd_tls_CAfile", keys: "tls.client_ca", do: clientCA, text: "if client certificates are asked for (smtpd_tls_ask_ccert)"},
		{names: "smtpd_tls_ask_ccert smtpd_tls_req_ccert", do: askCert, text: "certificates of clients log in by the address in them (tls.client_ca)"},
		{names: "smtpd_tls_security_level smtpd_use_tls smtpd_enforce_tls smtpd_tls_wrappermode", do: serverTLS, text: "STARTTLS is always offered; submissions has TLS from the first byte"},
		{names: "smtpd_tls_auth_only", fate: Meaningless, text: "AUTH is only offered under TLS in any case"},
		{names: "smtpd_tls_protocols smtpd_tls_mandatory_protocols", keys: "tls.min_version", do: minVersion, text: "TLS 1.2 and later are spoken; 1.3 alone if that is what it says"},
		{names: "smtp_tls_security_level", keys: "mta.tls mta.smart_host.tls", do: clientTLS, text: "none, may, encrypt, verify, secure; dane became may, fingerprint encrypt"},
		{names: "smtp_use_tls smtp_enforce_tls", keys: "mta.tls", do: oldClientTLS, text: "older words for smtp_tls_security_level"},
		{names: "smtp_tls_wrappermode", do: wrapper, text: "the port 465 of the relay has TLS from the first byte"},
		{names: "smtp_tls_CAfile", keys: "tls.ca", do: clientCAFile, text: "the system's authorities are trusted in any case"},
		{names: "smtp_tls_CApath smtpd_tls_CApath lmtp_tls_CApath tls_append_default_CA", fate: Meaningless, text: "the system's authorities are trusted; others are named in tls.ca"},
		{names: "smtp_tls_protocols smtp_tls_mandatory_protocols lmtp_tls_protocols lmtp_tls_mandatory_protocols", do: oldProtocols, text: "TLS 1.2 and later are spoken"},
		{names: "smtp_tls_loglevel smtpd_tls_loglevel lmtp_tls_loglevel smtpd_tls_received_header smtp_tls_note_starttls_offer", fate: Meaningless, text: ownLog},
		{names: "smtpd_tls_ciphers smtpd_tls_mandatory_ciphers smtpd_tls_exclude_ciphers smtpd_tls_mandatory_exclude_ciphers smtpd_tls_eecdh_grade " +
			"smtpd_tls_dh1024_param_file smtpd_tls_dh512_param_file smtpd_tls_session_cache_database smtpd_tls_session_cache_timeout smtpd_tls_always_issue_session_ids " +
			"smtp_tls_ciphers smtp_tls_mandatory_ciphers smtp_tls_exclude_ciphers smtp_tls_mandatory_exclude_ciphers smtp_tls_session_cache_database " +
			"smtp_tls_session_cache_timeout smtp_tls_connection_reuse smtpd_tls_ccert_verifydepth smtp_tls_scert_verifydepth smtpd_tls_cipherlist smtp_tls_cipherlist " +
			"smtp_tls_fingerprint_digest smtpd_tls_fingerprint_digest tls_* tlsproxy_* tlsmgr_service_name openssl_path", fate: Meaningless, text: ownTLS},
	}
}

func meaninglessRules() []rule {
	return []rule{
		{names: "smtpd_sasl_type smtpd_sasl_path smtpd_sasl_local_domain smtpd_sasl_service smtpd_sasl_application_name cyrus_sasl_config_path " +
			"smtpd_sasl_response_limit send_cyrus_sasl_authzid broken_sasl_auth_clients smtpd_sasl_mechanism_filter", fate: Meaningless, text: ownAccounts},
		{names: "smtpd_sasl_security_options smtpd_sasl_tls_security_options smtpd_sasl_authenticated_header smtpd_sasl_exceptions_networks", fate: Meaningless,
			text: "AUTH is offered under TLS only, never anonymous, and the name of who sent is not written into mail"},
		{names: "smtp_sasl_security_options smtp_sasl_tls_security_options smtp_sasl_tls_verified_security_options smtp_sasl_mechanism_filter smtp_sasl_type smtp_sasl_path " +
			"smtp_sasl_auth_cache_name smtp_sasl_auth_cache_time smtp_sasl_auth_soft_bounce", fate: Meaningless, text: "a password is sent to the relay under TLS only"},
		{names: "newaliases_path berkeley_db_create_buffer_size berkeley_db_read_buffer_size lmdb_map_size default_database_type proxy_read_maps proxy_write_maps",
			fate: Meaningless, text: "the text of a table is read; nothing is compiled, and nothing is asked through a proxy"},
		{names: "virtual_mailbox_base virtual_uid_maps virtual_gid_maps virtual_minimum_uid virtual_mailbox_lock mail_spool_directory mailbox_delivery_lock " +
			"mailbox_command_maps mailbox_transport_maps strict_mailbox_ownership deliver_lock_attempts deliver_lock_delay stale_lock_time dont_remove " +
			"require_home_directory virtual_mailbox_limit_maps virtual_mailbox_limit_override virtual_create_maildirsize virtual_maildir_extended virtual_overquota_bounce " +
			"virtual_trash_count sun_mailtool_compatibility", fate: Meaningless, text: ownMail},
		{names: "biff", fate: Meaningless, text: "mail clients are told by IMAP IDLE"},
		{names: "command_directory daemon_directory data_directory mailq_path sendmail_path html_directory manpage_directory readme_directory sample_directory queue_directory " +
			"config_directory meta_directory shlib_directory process_id_directory alternate_config_directories import_environment program_directory", fate: Meaningless, text: ownFiles},
		{names: "mail_owner setgid_group default_privs mail_name mail_version mail_release_date process_id process_name service_name", fate: Meaningless, text: "the server runs as the user postrider, without set-group-id programs"},
		{names: "syslog_facility syslog_name maillog_file* postlog* smtpd_client_port_logging info_log_address_format delay_logging_resolution_limit helpful_warnings " +
			"debug_peer_level debug_peer_list debugger_command smtpd_log_access_permit_actions respectful_logging show_user_unknown_table_name", fate: Meaningless, text: ownLog},
		{names: "default_process_limit max_idle max_use ipc_* service_throttle_time fork_* trigger_timeout daemon_timeout application_event_drain_time " +
			"master_service_disable qmgr_* default_delivery_slot_* default_minimum_delivery_slots default_extra_recipient_limit default_recipient_* " +
			"anvil_* connection_cache_* transport_retry_time in_flow_delay daemon_table_open_error_is_fatal " +
			"bounce_service_name cleanup_service_name defer_service_name dnsblog_service_name error_service_name flush_service_name pickup_service_name proxymap_service_name " +
			"proxywrite_service_name queue_service_name rewrite_service_name showq_service_name trace_service_name " +
			"smtpd_service_name postscreen_watchdog_timeout stress export_environment postmulti_* multi_instance_* fault_injection_code", fate: Meaningless, text: oneProgram},
		{names: "hash_queue_depth hash_queue_names queue_file_attribute_count_limit enable_long_queue_ids fast_flush_* flush_* smtpd_etrn_restrictions", fate: Meaningless, text: ownQueue},
		{names: "smtpd_forbid_bare_newline smtpd_forbid_bare_newline_reject_code smtpd_forbid_unauth_pipelining cleanup_replace_stray_cr_lf", fate: Meaningless,
			text: "a bare CR or LF, and commands before their time, are refused in any case"},
		{names: "disable_vrfy_command", fate: Meaningless, text: "VRFY tells nothing in any case"},
		{names: "strict_rfc821_envelopes smtpd_helo_required", fate: Meaningless, text: "HELO or EHLO, and addresses in angle brackets, are demanded in any case"},
		{names: "smtputf8_* strict_smtputf8", fate: Meaningless, text: "SMTPUTF8 is offered and used in any case"},
		{names: "smtp_always_send_ehlo smtp_never_send_ehlo smtp_always_send_helo", fate: Meaningless, text: "EHLO is said first, HELO if that is refused"},
		{names: "undisclosed_recipients_header", fate: Meaningless, text: "no To field is made up"},
		{names: "detect_8bit_encoding_header smtp_quote_rfc821_envelope smtp_skip_5xx_greeting smtp_skip_4xx_greeting smtp_skip_quit_response " +
			"smtpd_peername_lookup smtp_randomize_addresses smtp_balance_inet_protocols", fate: Meaningless, text: safeHere},
		{names: "duplicate_filter_limit virtual_alias_address_length_limit virtual_alias_expansion_limit virtual_alias_recursion_limit header_address_token_limit " +
			"header_size_limit line_length_limit mime_boundary_length_limit mime_nesting_limit body_checks_size_limit message_strip_characters " +
			"smtpd_history_flush_threshold smtpd_junk_command_limit smtpd_soft_error_limit smtpd_error_sleep_time smtpd_recipient_overshoot_limit", fate: Meaningless, text: "we have limits of our own"},
		{names: "smtpd_banner postscreen_greet_banner", fate: Meaningless, text: "the greeting names the host, and nothing else"},
		{names: "append_at_myorigin append_dot_mydomain local_header_rewrite_clients remote_header_rewrite_domain always_add_missing_headers", fate: Meaningless,
			text: "addresses in mail from users and programs are completed with our domain, and mapped by canonical and masquerading rules; others are left as they are"},
		{names: "proxy_interfaces", fate: Meaningless, text: "loops are seen by address and port"},
		{names: "lmtp_* qmqpd_*", fate: Meaningless, text: "mail is delivered to our own mailboxes; LMTP to others has the settings of [mta]"},
		{names: "error_notice_recipient", fate: Meaningless, text: "sessions with trouble in them are in the log and in the metrics"},
		{names: "double_bounce_sender backwards_bounce_logfile_compatibility empty_address_recipient", fate: Meaningless, text: "returned mail has an empty sender"},
	}
}

func unsupportedRules() []rule {
	return []rule{
		{names: "alias_database", keys: "routing.alias_database", do: aliasDatabase, text: "if it is not what alias_maps has"},
		{names: "receive_override_options", do: overrideOptions, text: "mail that comes back from a content filter is not judged again in any case"},
		{names: "fallback_relay best_mx_transport", fate: Unsupported, text: "name the relay in smtp_fallback_relay"},
		{names: "smtp_tls_per_site", fate: Unsupported, text: "write its lines as those of smtp_tls_policy_maps"},
		{names: "smtp_tls_eccert_file smtp_tls_eckey_file smtp_tls_dcert_file smtp_tls_dkey_file smtp_tls_chain_files", fate: Unsupported,
			text: "one certificate is shown when we connect out: mta.smtp_tls_cert_file and mta.smtp_tls_key_file"},
		{names: "relay_clientcerts", fate: Unsupported, text: "certificates log in by the address in them (tls.client_ca), not by fingerprint"},
		{names: "bounce_template_file", fate: Unsupported, text: "the texts of returned mail cannot be changed"},
		{names: "smtp_generic_maps", fate: Unsupported, text: "senders keep their addresses when mail leaves"},
		{names: "multi_instance_directories", fate: Unsupported, text: "move each instance by itself: --from its folder, to a data directory and a configuration of its own"},
		{names: "smtpd_upstream_proxy_protocol postscreen_upstream_proxy_protocol", fate: Unsupported, text: "see docs/edges.md: the networks of the proxies must be named"},
	}
}
