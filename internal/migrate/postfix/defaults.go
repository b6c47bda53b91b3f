package postfix

import (
	_ "embed"
	"maps"
	"slices"
	"strings"
)

// defaultsText is "name = default" for each parameter of Postfix 3.7 as Debian builds it; a test compares it with postconf -d.
//
//go:embed defaults.txt
var defaultsText string

// newer are parameters that came after 3.7, with their defaults.
const newer = `allow_srv_lookup_fallback = no
force_mime_input_conversion = no
ignore_srv_lookup_error = no
lmtp_tls_enable_rpk = no
smtp_tls_enable_rpk = no
smtp_tlsrpt_enable = no
smtp_tlsrpt_skip_reused_handshakes = yes
smtp_tlsrpt_socket_name =
smtpd_hide_client_session = no
smtpd_reject_filter_maps =
smtpd_tls_enable_rpk = no
tls_ffdhe_auto_groups = ffdhe2048 ffdhe3072
tls_required_enable = yes
use_srv_lookup =
`

// older are names of before 3.7 that Postfix still obeys or once obeyed; it tells no default of them.
var older = []string{
	"authorized_verp_clients", "fallback_relay", "lmtp_per_record_deadline", "lmtp_cache_connection", "lmtp_sasl_tls_security_options",
	"postscreen_blacklist_action", "postscreen_dnsbl_ttl", "postscreen_dnsbl_whitelist_threshold", "postscreen_whitelist_interfaces",
	"smtp_per_record_deadline", "smtpd_client_connection_limit_exceptions", "smtpd_per_record_deadline", "smtpd_tls_dh1024_param_file",
	"tlsproxy_client_level", "tlsproxy_client_policy", "virtual_maps", "smtpd_sasl_application_name", "smtpd_tls_cipherlist",
	"smtp_tls_cipherlist", "virtual_mailbox_limit_maps", "virtual_mailbox_limit_override", "virtual_create_maildirsize",
	"virtual_maildir_extended", "virtual_overquota_bounce", "virtual_trash_count", "permit_mx_backup_networks", "require_mx_backup",
	"smtp_skip_4xx_greeting", "check_relay_domains", "smtp_always_send_helo", "program_directory", "transport_null_address_lookup_key",
}

// perTransport are the endings of parameters that every delivery transport of master.cf has: smtp_destination_rate_delay.
// Their default is the parameter default_… with the same ending.
var perTransport = []string{
	"_delivery_slot_cost", "_delivery_slot_discount", "_delivery_slot_loan", "_minimum_delivery_slots",
	"_destination_concurrency_failed_cohort_limit", "_destination_concurrency_limit", "_destination_concurrency_negative_feedback",
	"_destination_concurrency_positive_feedback", "_destination_rate_delay", "_destination_recipient_limit", "_extra_recipient_limit",
	"_recipient_limit", "_recipient_refill_delay", "_recipient_refill_limit", "_transport_rate_delay", "_initial_destination_concurrency",
	"_time_limit",
}

// Defaults returns the parameters that Postfix has with their defaults, as they are written: with $ in them.
func Defaults() map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(defaultsText + newer) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " =")
		all[name] = strings.TrimSpace(value)
	}
	for _, name := range older {
		if _, ok := all[name]; !ok {
			all[name] = ""
		}
	}
	return all
}

// Names are all parameters, sorted.
func Names() []string { return slices.Sorted(maps.Keys(Defaults())) }
