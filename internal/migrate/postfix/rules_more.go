package postfix

// moreRules are parameters that are seldom set.
func moreRules() []rule {
	return []rule{
		{names: "virtual_maps", keys: "routing.virtual_alias_maps", do: newName("virtual_alias_maps"), text: "an older name of virtual_alias_maps"},
		{names: "postscreen_blacklist_action", keys: "screen.postscreen_denylist_action", do: newName("postscreen_denylist_action"), text: "an older name of postscreen_denylist_action"},
		{names: "postscreen_dnsbl_whitelist_threshold", keys: "screen.postscreen_dnsbl_allowlist_threshold", do: newName("postscreen_dnsbl_allowlist_threshold"),
			text: "an older name of postscreen_dnsbl_allowlist_threshold"},
		{names: "smtpd_client_connection_limit_exceptions", keys: "rates.smtpd_client_event_limit_exceptions", do: newName("smtpd_client_event_limit_exceptions"),
			text: "an older name of smtpd_client_event_limit_exceptions"},
		{names: "address_verify_*", fate: Meaningless, text: "probes go the way that mail would go; access.verify has what can be said of them"},
		{names: "postscreen_*", fate: Meaningless, text: "who passes goes on to the same server, so what holds there holds for all"},
		{names: "smtp_pix_* lmtp_pix_*", fate: Meaningless, text: "there are no work-arounds for old firewalls"},
		{names: "initial_destination_concurrency", keys: "queue.initial_destination_concurrency", do: number("queue.initial_destination_concurrency", 1)},
		{names: "default_destination_concurrency_failed_cohort_limit smtp_destination_concurrency_failed_cohort_limit",
			keys: "queue.destination_concurrency_failed_cohort_limit", do: forSMTP("queue.destination_concurrency_failed_cohort_limit", 1),
			text: "attempts count here, not cohorts"},
		{names: "default_destination_concurrency_negative_feedback default_destination_concurrency_positive_feedback destination_concurrency_feedback_debug",
			fate: Meaningless, text: "a site's limit grows by one for each success, is halved when it was too much, and grows slowly from then on"},
		{names: "default_destination_rate_delay default_transport_rate_delay", fate: Unsupported, text: "[sites.NAME] message_rate_limit bounds the messages to one site in a time (docs/queue.md)"},
		{names: "defer_transports", fate: Unsupported, text: "put mail on hold instead: postrider queue hold"},
		{names: "authorized_submit_users", fate: Unsupported, text: "every user of the host may send by sendmail(1); sendmail.enabled = false stops it, sendmail.max_messages_per_hour bounds it"},
		{names: "authorized_mailq_users authorized_flush_users", fate: Meaningless, text: "root and the server's own user see the queue"},
		{names: "smtp_data_init_timeout smtp_quit_timeout smtp_rset_timeout smtp_starttls_timeout smtp_xforward_timeout", fate: Meaningless, text: "mta.command_timeout holds for every command"},
		{names: "smtpd_starttls_timeout smtpd_min_data_rate smtpd_per_record_deadline smtpd_per_request_deadline smtpd_upstream_proxy_timeout smtp_min_data_rate " +
			"smtp_per_record_deadline smtp_per_request_deadline", fate: Meaningless, text: "smtp.transaction_timeout and mta.data_timeout bound what is slow"},
		{names: "smtp_mx_address_limit smtp_mx_session_limit smtp_line_length_limit", fate: Meaningless, text: "we have limits of our own"},
		{names: "smtp_connection_cache_destinations smtp_connection_cache_on_demand smtp_connection_reuse_time_limit", fate: Meaningless,
			text: "connections are used again as long as there is mail, and for mta.idle_timeout"},
		{names: "frozen_delivered_to prepend_delivered_header header_from_format message_drop_headers reset_owner_alias", fate: Meaningless,
			text: "Return-Path and Delivered-To are written at delivery"},
		{names: "enable_original_recipient", fate: Meaningless, text: "X-Original-To is not written; Delivered-To is"},
		{names: "strict_7bit_headers strict_8bitmime strict_8bitmime_body strict_mime_encoding_domain disable_mime_input_processing disable_mime_output_conversion " +
			"force_mime_input_conversion", fate: Meaningless, text: "eight-bit mail is taken, and sent as mta.eightbit says"},
		{names: "tcp_windowsize known_tcp_ports dns_ncache_ttl_fix_enable dnssec_probe dnsblog_reply_delay sendmail_fix_line_endings enable_idna2003_compatibility", fate: Meaningless,
			text: "it is a matter of the system, or of Postfix's own parts"},
		{names: "smtpd_relay_before_recipient_restrictions", fate: Meaningless, text: "relay restrictions come first in any case"},
		{names: "smtpd_delay_open_until_valid_rcpt smtp_send_dummy_mail_auth smtp_bind_address_enforce smtp_cname_overrides_servername", fate: Meaningless, text: safeHere},
		{names: "smtpd_reject_unlisted_recipient", fate: Unsupported, text: "addresses of ours that do not exist are refused in any case"},
		{names: "smtpd_reject_footer smtpd_reject_footer_maps smtpd_reject_filter_maps", fate: Unsupported, text: "replies have no footer; the texts in access tables can say more"},
		{names: "smtpd_discard_ehlo_keywords smtpd_discard_ehlo_keyword_address_maps", fate: Unsupported, text: "extensions cannot be hidden from clients; all that are offered work"},
		{names: "smtp_discard_ehlo_keywords smtp_discard_ehlo_keyword_address_maps", fate: Unsupported, text: "extensions that servers offer are used; those that break them cannot be named"},
		{names: "smtpd_forbidden_commands", fate: Meaningless, text: "clients that speak HTTP are cut off by [screen]"},
		{names: "smtpd_command_filter smtpd_noop_commands smtp_reply_filter smtpd_dns_reply_filter smtp_dns_reply_filter default_delivery_status_filter " +
			"local_delivery_status_filter pipe_delivery_status_filter smtp_delivery_status_filter virtual_delivery_status_filter", fate: Unsupported,
			text: "commands, replies and outcomes cannot be rewritten"},
		{names: "fallback_transport_maps", fate: Unsupported, text: "mail for local names that do not exist can go to routing.fallback_transport or routing.luser_relay"},
		{names: "command_execution_directory command_expansion_filter execution_directory_expansion_filter forward_expansion_filter local_command_shell allow_min_user", fate: Meaningless,
			text: "programs of aliases are run without a shell, in an empty environment (docs/aliases.md)"},
		{names: "disable_dns_lookups smtp_host_lookup", fate: Unsupported, text: "mail exchangers are asked of the DNS; routing.relayhost with an address in brackets needs none"},
		{names: "smtp_dns_support_level smtp_dns_resolver_options smtp_tls_dane_insecure_mx_policy smtp_tls_force_insecure_host_tlsa_lookup", fate: Unsupported,
			text: "DANE is not verified yet; mta.tls says whether TLS is wanted"},
		{names: "smtp_tls_block_early_mail_reply smtp_tls_enforce_peername smtp_tls_fingerprint_cert_match smtp_tls_secure_cert_match smtp_tls_servername " +
			"smtp_tls_trust_anchor_file smtp_tls_verify_cert_match", fate: Unsupported, text: "what certificates must be for is said in smtp_tls_policy_maps: match=, servername="},
		{names: "smtp_tlsrpt_* smtp_tls_enable_rpk smtpd_tls_enable_rpk", fate: Unsupported, text: "not there yet"},
		{names: "smtp_address_preference", fate: Unsupported, text: "IPv6 and IPv4 are both tried; mta.inet_protocols names one of them"},
		{names: "notify_classes", keys: "notices.notify_classes", do: notifyClasses, text: "2bounce, bounce and delay; the other classes are in the log and in the metrics"},
		{names: "authorized_verp_clients", fate: Unsupported, text: "name them in notices.smtpd_authorized_verp_clients"},
		{names: "disable_verp_bounces default_verp_delimiters verp_delimiter_filter", fate: Meaningless, text: "clients name the delimiters; without any they are +="},
		{names: "unknown_relay_recipient_reject_code unknown_virtual_alias_reject_code unknown_virtual_mailbox_reject_code", fate: Unsupported, text: "it is 550 in any case"},
		{names: "reject_tempfail_action unknown_address_tempfail_action unknown_helo_hostname_tempfail_action unverified_recipient_tempfail_action " +
			"unverified_sender_tempfail_action", fate: Unsupported, text: "what cannot be found out for now is answered 450 if nothing else refuses"},
		{names: "maps_rbl_domains check_relay_domains require_mx_backup", fate: Unsupported, text: "older words: use reject_rbl_client, reject_unauth_destination, permit_mx_backup"},
		{names: "use_srv_lookup allow_srv_lookup_fallback ignore_srv_lookup_error", fate: Unsupported, text: "SRV records are not asked when mail leaves"},
		{names: "sender_canonical_classes recipient_canonical_classes", fate: Unsupported, text: "the maps change envelopes and headers, each of its kind; routing.canonical_classes holds for canonical_maps only"},
		{names: "smtp_mime_header_checks smtp_nested_header_checks smtp_body_checks", fate: Unsupported, text: "when mail leaves only its header is looked at (smtp_header_checks)"},
		{names: "smtpd_milter_maps", fate: Unsupported, text: "all clients have the same milters"},
		{names: "local_login_sender_maps", fate: Unsupported, text: "users of the host may send with any address by sendmail(1)"},
	}
}

// newName gives an older name's value to the keys of the newer name.
func newName(name string) func(*move, *param) verdict {
	return func(m *move, p *param) verdict {
		if m.IsSet(name) {
			return meaningless("%s counts", name)
		}
		q := *p
		q.name = name
		v := m.fate(&q)
		p.doubts = q.doubts
		return v
	}
}
