package config

// Config is the whole configuration. The comment of a field is the text that operators read.
type Config struct {
	// The name of this host: in the greeting, in EHLO, in Received fields and message ids. Empty: the system's name.
	Hostname string `toml:"hostname" form:"host"`
	// The host's own domain: mail for it is delivered here, and postmaster@ of it exists. Empty: the host name.
	Domain string `toml:"domain" form:"host"`
	// Where all state is kept: database, message packs, keys.
	DataDir string `toml:"data_dir" apply:"restart"`
	// Where sockets are. Empty: /run/postrider for the default data_dir, else the folder run in data_dir.
	RunDir string `toml:"run_dir" apply:"restart"`

	Database   Database   `toml:"database"`
	Listeners  Listeners  `toml:"listeners"`
	TLS        TLS        `toml:"tls"`
	DNS        DNS        `toml:"dns"`
	SMTP       SMTP       `toml:"smtp"`
	Submission Submission `toml:"submission"`
	Access     Access     `toml:"access"`
	Screen     Screen     `toml:"screen"`
	Greylist   Greylist   `toml:"greylist"`
	Rates      Rates      `toml:"rates"`
	Bans       Bans       `toml:"bans"`
	Filters    Filters    `toml:"filters"`
	Edges      Edges      `toml:"edges"`
	Notices    Notices    `toml:"notices"`
	Routing    Routing    `toml:"routing"`
	Delivery   Delivery   `toml:"delivery"`
	MTA        MTA        `toml:"mta"`
	Queue      Queue      `toml:"queue"`
	IMAP       IMAP       `toml:"imap"`
	POP3       POP3       `toml:"pop3"`
	HTTP       HTTP       `toml:"http"`
	Setup      Setup      `toml:"setup"`
	Auth       Auth       `toml:"auth"`
	Sendmail   Sendmail   `toml:"sendmail"`
	Helper     Helper     `toml:"helper"`
	Log        Log        `toml:"log"`
	Metrics    Metrics    `toml:"metrics"`
	Trace      Trace      `toml:"trace"`
	Store      Store      `toml:"store"`
	Limits     Limits     `toml:"limits"`

	Suppression Suppression `toml:"suppression"`

	// Programs that get mail, each under a name of its own. An example of the table of one.
	Pipes map[string]*Pipe `toml:"pipes"`
	// What sites are given.
	Sites map[string]*Site `toml:"sites"`
	// Pools of addresses that mail leaves from.
	Egress map[string]*Egress `toml:"egress"`
}

// Database is where the state besides the messages themselves is kept.
type Database struct {
	// sqlite: a file in data_dir. postgres: a database of its own on a PostgreSQL server, 15 or later. Chosen before the
	// first start; messages lie in data_dir either way.
	Engine string `toml:"engine" enum:"sqlite,postgres" apply:"restart"`
	// The PostgreSQL database, as a URL or a list of keywords and values as libpq takes them, without a password.
	URL string `toml:"url" apply:"restart"`
	// A file with the same, where a password is needed.
	URLFile string `toml:"url_file" apply:"restart"`
}

// Listeners are the sockets of each service.
type Listeners struct {
	// Mail from the internet (RFC 5321).
	SMTP Listener `toml:"smtp"`
	// Mail from our users: STARTTLS, then AUTH (RFC 6409).
	Submission Listener `toml:"submission"`
	// Mail from our users: TLS from the first byte (RFC 8314).
	Submissions Listener `toml:"submissions"`
	// Mail from a relay of our own for delivery here (RFC 2033). It has no authentication: loopback only.
	LMTP Listener `toml:"lmtp"`
	// Mail that comes back from a content filter (docs/filters.md). No milters, no checks: loopback only, for
	// filters.reinject_networks.
	Reinject Listener `toml:"reinject"`
	// Mail reading with STARTTLS (RFC 9051, RFC 3501).
	IMAP Listener `toml:"imap"`
	// Mail reading with TLS from the first byte (RFC 8314).
	IMAPS Listener `toml:"imaps"`
	// Mail fetching with STLS (RFC 1939, RFC 2595).
	POP3 Listener `toml:"pop3"`
	// Mail fetching with TLS from the first byte (RFC 8314).
	POP3S Listener `toml:"pop3s"`
	// Logins for other mail servers of ours, in the words of Dovecot's auth protocol (docs/edges.md).
	Auth Listener `toml:"auth"`
	// Plain HTTP: client set-up, ACME's http-01, and for operators /healthz, /readyz and /metrics.
	HTTP Listener `toml:"http"`
	// The same with TLS.
	HTTPS Listener `toml:"https"`
}

// Listener is where one service listens.
type Listener struct {
	// Whether the service is offered.
	Enabled bool `toml:"enabled" apply:"restart"`
	// Where it listens: "host:port", "[v6]:port", or ":port" for all addresses.
	Addresses []string `toml:"addresses" form:"hostport" apply:"restart"`
	// Whether connections from edges.proxy_networks begin with the PROXY protocol's header.
	ProxyProtocol bool `toml:"proxy_protocol" apply:"restart"`
}

// DNS is how names are looked up.
type DNS struct {
	// Resolvers to ask, in turn: "address:port". Empty: those of /etc/resolv.conf.
	Resolvers []string `toml:"resolvers" form:"resolver"`
	// How long one question to one resolver may take.
	Timeout Duration `toml:"timeout" min:"100ms" max:"1m"`
	// How often the list of resolvers is gone through before a look-up fails, for now.
	Attempts int `toml:"attempts" min:"1" max:"10"`
	// How many answers are remembered.
	CacheEntries int `toml:"cache_entries" min:"0" max:"10000000"`
	// The longest an answer is remembered, whatever its TTL.
	CacheMaxTTL Duration `toml:"cache_max_ttl" min:"0s" max:"7d"`
}

// SMTP is what holds for mail coming in, from the internet and from users.
type SMTP struct {
	// Largest message taken (RFC 1870).
	MaxMessageSize Size `toml:"max_message_size" min:"64KiB" max:"2GiB"`
	// Most recipients of one transaction; RFC 5321 §4.5.3.1.8 wants at least 100.
	MaxRecipients int `toml:"max_recipients" min:"100" max:"100000"`
	// Received fields a message may have before it is taken for a loop (RFC 5321 §6.3).
	MaxReceived int `toml:"max_received" min:"10" max:"1000"`
	// Connections at once, all clients together.
	MaxConnections int `toml:"max_connections" min:"1" max:"1000000"`
	// Connections at once from one address (a /64 in IPv6).
	MaxConnectionsPerAddress int `toml:"max_connections_per_address" min:"1" max:"1000000"`
	// Commands refused in one session before it is ended.
	MaxErrors int `toml:"max_errors" min:"1" max:"10000"`
	// Transactions in one session before the client must connect again (RFC 9422 MAILMAX).
	MaxTransactions int `toml:"max_transactions" min:"1" max:"1000000"`
	// How long we wait for a command (RFC 5321 §4.5.3.2.7).
	CommandTimeout Duration `toml:"command_timeout" min:"1s" max:"1h"`
	// How long we wait for the next piece of a message.
	DataTimeout Duration `toml:"data_timeout" min:"1s" max:"1h"`
	// How long a whole message may take to arrive.
	TransactionTimeout Duration `toml:"transaction_timeout" min:"10s" max:"1d"`
	// Networks of old devices that end lines with a bare LF. From all others a bare CR or LF is refused.
	BareNewlineNetworks Networks `toml:"bare_newline_networks"`
}

// Submission is what holds for mail from our users only.
type Submission struct {
	// Networks that may submit without AUTH: printers, applications. None by default, loopback neither.
	TrustedNetworks Networks `toml:"trusted_networks"`
	// Refuse a sender address that the account does not own.
	RequireSenderOwnership bool `toml:"require_sender_ownership"`
	// How long a client may have us keep a message back before it is sent (FUTURERELEASE, RFC 4865). 0s: not at all.
	FutureReleaseMax Duration `toml:"future_release_max" min:"0s" max:"365d"`
}

// Delivery is how mail gets into mailboxes.
type Delivery struct {
	// Character after which the local part of an address is detail: user+detail@ is delivered to user@. Empty: none.
	RecipientDelimiter string `toml:"recipient_delimiter"`
}

// MTA is how mail leaves.
type MTA struct {
	// The port that delivery to mail exchangers connects to.
	Port int `toml:"port" min:"1" max:"65535"`
	// A relay that takes all outgoing mail.
	SmartHost SmartHost `toml:"smart_host"`
	// TLS to hosts that mail leaves to: none; may (use it if offered, verify nothing: RFC 7435); encrypt (no mail without it);
	// verify (the certificate must be the host's); secure (it must be for the domain that the mail is for).
	TLS string `toml:"tls" enum:"none,may,encrypt,verify,secure"`
	// Tables of TLS by destination: "encrypt", "secure match=.example.net", "fingerprint match=…"; docs/delivery.md.
	SMTPTLSPolicyMaps []string `toml:"smtp_tls_policy_maps"`
	// PEM file of the certificate that we show to hosts that ask for one, intermediates after it. Empty: none.
	SMTPTLSCertFile string `toml:"smtp_tls_cert_file"`
	// PEM file of its private key. Empty: it stands in the file of the certificate.
	SMTPTLSKeyFile string `toml:"smtp_tls_key_file"`
	// Tables of name:password by host, next hop as it is written, or sender. A password is sent under TLS only.
	SMTPSASLPasswordMaps []string `toml:"smtp_sasl_password_maps"`
	// The sender's address is looked up first in them, for relays that we chose ourselves.
	SMTPSenderDependentAuthentication bool `toml:"smtp_sender_dependent_authentication"`
	// Where mail goes that its destination does not take for now: "[host]:port", or "domain" for its mail exchangers; in order.
	SMTPFallbackRelay []string `toml:"smtp_fallback_relay"`
	// Messages that go over one connection. 0: no limit.
	SMTPConnectionReuseCountLimit int `toml:"smtp_connection_reuse_count_limit" min:"0" max:"100000"`
	// Waiting times before the next try after a temporary failure; the last one repeats.
	Retry []Duration `toml:"retry" min:"1s" max:"7d"`
	// How long we try before the message is returned to its sender (RFC 5321 §4.5.4.1: at least 4 to 5 days). 0s: one try.
	ExpireAfter Duration `toml:"expire_after" min:"0s" max:"30d"`
	// The same for bounces, which have nobody to return to.
	BounceExpireAfter Duration `toml:"bounce_expire_after" min:"0s" max:"30d"`
	// Connections at once, all destinations together.
	Concurrency int `toml:"concurrency" min:"1" max:"100000"`
	// Connections at once to one destination.
	ConcurrencyPerDestination int `toml:"concurrency_per_destination" min:"1" max:"10000"`
	// Recipients in one outgoing transaction (RFC 5321 §4.5.3.1.8: receivers take at least 100).
	MaxRecipients int `toml:"max_recipients" min:"1" max:"10000"`
	// IP versions used: all, ipv4, ipv6.
	InetProtocols string `toml:"inet_protocols" enum:"all,ipv4,ipv6"`
	// Local IPv4 address to connect from. Empty: the system's choice.
	SourceIPv4 string `toml:"source_ipv4" form:"ipv4"`
	// Local IPv6 address to connect from. Empty: the system's choice.
	SourceIPv6 string `toml:"source_ipv6" form:"ipv6"`
	// The name in EHLO. Empty: hostname.
	HeloName string `toml:"helo_name" form:"host"`
	// Eight-bit mail for a host without 8BITMIME: as-is (send it all the same) or bounce (5.6.3, RFC 6152).
	EightBit string `toml:"eightbit" enum:"as-is,bounce"`
	// How long a connection may take to be made.
	ConnectTimeout Duration `toml:"connect_timeout" min:"1s" max:"10m"`
	// How long we wait for a greeting or for the reply to a command (RFC 5321 §4.5.3.2: 5 minutes).
	CommandTimeout Duration `toml:"command_timeout" min:"1s" max:"1h"`
	// How long a piece of a message may take to be sent (RFC 5321 §4.5.3.2.5: 3 minutes).
	DataTimeout Duration `toml:"data_timeout" min:"1s" max:"1h"`
	// How long we wait for the reply to the end of a message (RFC 5321 §4.5.3.2.6: 10 minutes).
	DataDoneTimeout Duration `toml:"data_done_timeout" min:"1s" max:"1h"`
	// How long an idle connection is kept for the next message.
	IdleTimeout Duration `toml:"idle_timeout" min:"0s" max:"5m"`
}

// SmartHost is a relay for all outgoing mail.
type SmartHost struct {
	// Name or [address] of the relay; a name's MX records are not asked. Empty: no relay, mail goes to each domain's MX.
	Host string `toml:"host"`
	// Its port: 25, 587 (STARTTLS) or 465 (TLS from the first byte).
	Port int `toml:"port" min:"1" max:"65535"`
	// Name for AUTH. Empty: no AUTH.
	User string `toml:"user"`
	// File that holds the password.
	PasswordFile string `toml:"password_file"`
	// TLS to the relay: none, may, encrypt, or verify (encrypt, and the certificate must be right). AUTH needs verify
	// or encrypt.
	TLS string `toml:"tls" enum:"none,may,encrypt,verify"`
}

// IMAP is what holds for mail reading.
type IMAP struct {
	// Connections at once, all clients together.
	MaxConnections int `toml:"max_connections" min:"1" max:"1000000"`
	// Connections at once from one address (a /64 in IPv6).
	MaxConnectionsPerAddress int `toml:"max_connections_per_address" min:"1" max:"1000000"`
	// Connections at once of one account, wherever they come from.
	MaxConnectionsPerAccount int `toml:"max_connections_per_account" min:"1" max:"100000"`
	// How long a session may stay before it has logged in.
	LoginTimeout Duration `toml:"login_timeout" min:"1s" max:"1h"`
	// How long a session may be silent; RFC 9051 §5.4 wants at least 30 minutes.
	IdleTimeout Duration `toml:"idle_timeout" min:"30m" max:"1d"`
	// Largest message that APPEND takes.
	MaxAppendSize Size `toml:"max_append_size" min:"64KiB" max:"2GiB"`
	// Longest command line, literals not counted.
	MaxCommandSize Size `toml:"max_command_size" min:"8KiB" max:"16MiB"`
	// Malformed commands in a row before a session is ended.
	MaxErrors int `toml:"max_errors" min:"1" max:"10000"`
}

// Log is the operator's log: one line for each outcome.
type Log struct {
	// Least severe level that is written.
	Level string `toml:"level" enum:"debug,info,warn,error"`
	// Form of the lines: text (key=value), json, or maillog (as Postfix and Dovecot write, for pflogsumm and fail2ban).
	Format string `toml:"format" enum:"text,json,maillog" apply:"restart"`
	// File to append to; opened anew at a reload, so that it can be rotated. Empty: standard error.
	File string `toml:"file" apply:"restart"`
}

// Metrics is what is measured.
type Metrics struct {
	// Addresses of plain HTTP with /metrics, /healthz and /readyz and nothing else, for whoever reaches them.
	Listen []string `toml:"listen" form:"hostport" apply:"restart"`
	// Networks whose clients get these pages on the http and https listeners too. To all others they do not exist.
	Networks Networks `toml:"networks"`
}

// Store is how long what was removed stays, and how its space comes back (docs/store.md).
type Store struct {
	// Whether the server looks after its packs by itself. Without it, `postrider store sweep` and `store compact` do.
	Upkeep bool `toml:"upkeep"`
	// Time between two rounds of it.
	UpkeepInterval Duration `toml:"upkeep_interval" min:"1s" max:"7d"`
	// How long messages that were expunged, and the mail of removed accounts, are kept before their space comes back.
	KeepExpunged Duration `toml:"keep_expunged" min:"0s" max:"3650d"`
	// How long a mailbox remembers which messages were expunged, for clients that ask what has changed (RFC 7162). Who was
	// away for longer compares everything. At least as long as keep_expunged in any case.
	KeepTombstones Duration `toml:"keep_tombstones" min:"0s" max:"3650d"`
	// A pack of which less than so many percent is still needed is compacted. 0: none is.
	CompactBelow int `toml:"compact_below" min:"0" max:"100"`
	// How old a pack must be before it is compacted.
	CompactAfter Duration `toml:"compact_after" min:"0s" max:"3650d"`
	// Bytes that compaction copies in a second at most; a quarter of it while mail is coming in. 0: no limit.
	CompactRate Size `toml:"compact_rate" min:"0B" max:"10GiB"`
	// Whether compaction stores messages compressed (zstd) where that saves an eighth or more.
	Compress bool `toml:"compress"`
}

// Limits are bounds of the whole server.
type Limits struct {
	// How long sessions and deliveries may take to end after TERM, before they are cut off.
	DrainTimeout Duration `toml:"drain_timeout" min:"0s" max:"10m"`
	// Space that must stay free in data_dir; below it mail is refused for now with 452 4.3.1.
	DiskReserve Size `toml:"disk_reserve" min:"0B" max:"1TiB"`
	// Messages on their way in by SMTP, LMTP and IMAP's APPEND at once; each needs up to half a MiB of memory, however large it is.
	// The next ones wait a little, then they are refused for now with 452 4.3.1, or NO [UNAVAILABLE]. One network, an IPv4 /24 or
	// IPv6 /48, gets half of them at most; private networks get any number.
	MessagesAtOnce int `toml:"messages_at_once" min:"1" max:"100000" apply:"restart"`
	// Networks that no limit for one address or network holds for: relays of our own, proxies of webmail, an office behind one address.
	ExemptNetworks Networks `toml:"exempt_networks"`
	// Whether serve confines itself to its own folders and to what the configuration names, by Landlock: auto (where the
	// kernel has it), require (not start without it), off.
	Sandbox string `toml:"sandbox" enum:"auto,require,off" apply:"restart"`
	// Passwords checked at once; each check costs 19 MiB for a moment. 0: one for each processor.
	PasswordChecks int `toml:"password_checks" min:"0" max:"256" apply:"restart"`
}
