package config

import "time"

// Filters is what looks into messages: milters, checks, content filters (docs/filters.md).
type Filters struct {
	// Milters for mail that comes by SMTP, from the internet and from users, in order: "inet:host:port" or "unix:/path"; or in
	// braces with settings of its own: "{ inet:host:port, connect_timeout=10s, default_action=accept }".
	SmtpdMilters []string `toml:"smtpd_milters"`
	// Milters for mail of programs of this host, by sendmail(1).
	NonSmtpdMilters []string `toml:"non_smtpd_milters"`
	// What takes the place of a milter that cannot be asked: accept, reject, tempfail, quarantine (put on hold), shutdown.
	MilterDefaultAction string `toml:"milter_default_action" enum:"accept,reject,tempfail,quarantine,shutdown"`
	// The newest version of the protocol that is offered, 2 to 6.
	MilterProtocol string `toml:"milter_protocol" enum:"2,3,4,5,6"`
	// How long a connection to a milter may take.
	MilterConnectTimeout Duration `toml:"milter_connect_timeout" min:"1s" max:"1h"`
	// How long a milter may take to answer to an SMTP command.
	MilterCommandTimeout Duration `toml:"milter_command_timeout" min:"1s" max:"1h"`
	// How long it may take to answer to a piece of the message, or to its end. A sign of life begins it anew.
	MilterContentTimeout Duration `toml:"milter_content_timeout" min:"1s" max:"1h"`
	// The macro {daemon_name}. Empty: hostname.
	MilterMacroDaemonName string `toml:"milter_macro_daemon_name"`
	// The macro v. Empty: Postrider and its version.
	MilterMacroV string `toml:"milter_macro_v"`
	// Macros that are sent when a client connects, to milters that do not ask for others.
	MilterConnectMacros []string `toml:"milter_connect_macros"`
	// The same for HELO and EHLO.
	MilterHeloMacros []string `toml:"milter_helo_macros"`
	// The same for MAIL.
	MilterMailMacros []string `toml:"milter_mail_macros"`
	// The same for RCPT.
	MilterRcptMacros []string `toml:"milter_rcpt_macros"`
	// The same for DATA.
	MilterDataMacros []string `toml:"milter_data_macros"`
	// The same for the end of the header.
	MilterEndOfHeaderMacros []string `toml:"milter_end_of_header_macros"`
	// The same for the end of the message.
	MilterEndOfDataMacros []string `toml:"milter_end_of_data_macros"`
	// Tables that header fields added by milters are looked up in, header_checks(5).
	MilterHeaderChecks []string `toml:"milter_header_checks"`

	// Tables for the lines of the message's header, header_checks(5): "pcre:/etc/postrider/header_checks".
	HeaderChecks []string `toml:"header_checks"`
	// Tables for MIME fields, of the message and of its parts. Empty: header_checks.
	MimeHeaderChecks []string `toml:"mime_header_checks"`
	// Tables for the header fields of attached messages, but for MIME fields. Empty: header_checks.
	NestedHeaderChecks []string `toml:"nested_header_checks"`
	// Tables for the lines of the body.
	BodyChecks []string `toml:"body_checks"`
	// How much of the body, and of each of its parts, body_checks looks at.
	BodyChecksSizeLimit Size `toml:"body_checks_size_limit" min:"0B" max:"1GiB"`
	// Tables for the header of messages that leave by SMTP, but for MIME fields; of the actions those that concern one line.
	SmtpHeaderChecks []string `toml:"smtp_header_checks"`

	// Where accepted mail goes to be filtered, as transport:nexthop: "smtp:[127.0.0.1]:10026" or "lmtp:…". It comes back by
	// listeners.reinject. Empty: nowhere.
	ContentFilter string `toml:"content_filter"`
	// A filter before the queue: messages go there by SMTP, "host:port", before the client has its answer, which is the
	// filter's; and come back by listeners.reinject. Empty: none.
	SmtpdProxyFilter string `toml:"smtpd_proxy_filter" form:"hostport"`
	// How long that filter may take for a connection, and for each answer.
	SmtpdProxyTimeout Duration `toml:"smtpd_proxy_timeout" min:"1s" max:"1h"`
	// The name in EHLO to that filter. Empty: hostname.
	SmtpdProxyEhlo string `toml:"smtpd_proxy_ehlo" form:"host"`
	// Clients of listeners.reinject: the filters. None by default.
	ReinjectNetworks Networks `toml:"reinject_networks"`
}

func defaultFilters() Filters {
	return Filters{MilterDefaultAction: "tempfail", MilterProtocol: "6", MilterConnectTimeout: Duration(30 * time.Second),
		MilterCommandTimeout: Duration(30 * time.Second), MilterContentTimeout: Duration(5 * time.Minute),
		MilterConnectMacros:     []string{"j", "{daemon_name}", "{daemon_addr}", "v", "_"},
		MilterHeloMacros:        []string{"{tls_version}", "{cipher}", "{cipher_bits}", "{cert_subject}", "{cert_issuer}"},
		MilterMailMacros:        []string{"i", "{auth_type}", "{auth_authen}", "{auth_author}", "{mail_addr}", "{mail_host}", "{mail_mailer}"},
		MilterRcptMacros:        []string{"i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"},
		MilterDataMacros:        []string{"i"},
		MilterEndOfHeaderMacros: []string{"i"}, MilterEndOfDataMacros: []string{"i"},
		BodyChecksSizeLimit: 50 * kib, SmtpdProxyTimeout: Duration(100 * time.Second), ReinjectNetworks: nil}
}
