package config

import (
	"net/netip"
	"time"
)

// DefaultDataDir is where the state of a system service lies.
const DefaultDataDir = "/var/lib/postrider"

// defaultRunDir goes with DefaultDataDir.
const defaultRunDir = "/run/postrider"

const (
	kib Size = 1 << 10
	mib Size = 1 << 20
	day      = 24 * time.Hour
)

// Defaults returns the configuration of an empty file, before host name and folders are resolved.
func Defaults() *Config {
	return &Config{
		DataDir:    DefaultDataDir,
		Database:   Database{Engine: "sqlite"},
		Listeners:  defaultListeners(),
		TLS:        defaultTLS(),
		DNS:        DNS{Timeout: Duration(5 * time.Second), Attempts: 2, CacheEntries: 10000, CacheMaxTTL: Duration(day)},
		SMTP:       defaultSMTP(),
		Submission: Submission{RequireSenderOwnership: true, FutureReleaseMax: Duration(7 * day)},
		Access:     defaultAccess(),
		Delivery:   Delivery{RecipientDelimiter: "+"},
		MTA:        defaultMTA(),
		Queue:      defaultQueue(),
		Routing:    defaultRouting(),
		IMAP: IMAP{
			MaxConnections: 10000, MaxConnectionsPerAddress: 200, MaxConnectionsPerAccount: 50,
			LoginTimeout: Duration(3 * time.Minute), IdleTimeout: Duration(35 * time.Minute),
			MaxAppendSize: 50 * mib, MaxCommandSize: 64 * kib, MaxErrors: 50,
		},
		POP3: POP3{
			MaxConnections: 10000, MaxConnectionsPerAddress: 50, LoginTimeout: Duration(3 * time.Minute),
			IdleTimeout: Duration(10 * time.Minute), MaxErrors: 20,
		},
		Edges:    Edges{AuthNetworks: loopback()},
		Notices:  defaultNotices(),
		Screen:   defaultScreen(),
		Greylist: defaultGreylist(),
		HTTP:     HTTP{MaxConnections: 1000},
		Rates:    defaultRates(),
		Filters:  defaultFilters(),
		Bans:     defaultBans(),
		Setup:    Setup{Enabled: true},
		Metrics:  Metrics{Networks: loopback()},
		Auth:     Auth{MaxConnectionsPerAccountAndAddress: 20, System: "none", SaslauthdSocket: "/run/saslauthd/mux"},
		Sendmail: Sendmail{Enabled: true, MaxMessagesPerHour: 1000},
		Log:      Log{Level: "info", Format: "text"},
		Trace:    defaultTrace(),
		Store: Store{Upkeep: true, UpkeepInterval: Duration(time.Hour), KeepExpunged: Duration(7 * day), KeepTombstones: Duration(30 * day),
			CompactBelow: 50, CompactAfter: Duration(day), CompactRate: 16 * mib, Compress: true},
		Suppression: defaultSuppression(),

		Limits: Limits{DrainTimeout: Duration(30 * time.Second), DiskReserve: 100 * mib, MessagesAtOnce: 1000, Sandbox: "auto"},
	}
}

// loopback is this host.
func loopback() Networks {
	return Networks{{netip.PrefixFrom(netip.AddrFrom4([4]byte{127}), 8)}, {netip.PrefixFrom(netip.IPv6Loopback(), 128)}}
}

func defaultTLS() TLS {
	return TLS{MinVersion: "1.2", ACME: ACME{
		Directory:  "https://acme-v02.api.letsencrypt.org/directory",
		Challenges: []string{"tls-alpn-01", "http-01"}, HTTPPort: 80, TLSALPNPort: 443,
		DNS: ACMEDNS{KeyAlgorithm: "hmac-sha256", TTL: Duration(time.Minute), Wait: Duration(5 * time.Second)},
	}}
}

func defaultListeners() Listeners {
	return Listeners{
		SMTP:        Listener{Enabled: true, Addresses: []string{":25"}},
		Submission:  Listener{Enabled: true, Addresses: []string{":587"}},
		Submissions: Listener{Enabled: true, Addresses: []string{":465"}},
		LMTP:        Listener{Addresses: []string{"127.0.0.1:24"}},
		Reinject:    Listener{Addresses: []string{"127.0.0.1:10026"}},
		IMAP:        Listener{Enabled: true, Addresses: []string{":143"}},
		IMAPS:       Listener{Enabled: true, Addresses: []string{":993"}},
		POP3:        Listener{Enabled: true, Addresses: []string{":110"}},
		POP3S:       Listener{Enabled: true, Addresses: []string{":995"}},
		Auth:        Listener{Addresses: []string{"127.0.0.1:12345"}},
		HTTP:        Listener{Addresses: []string{":80"}},
		HTTPS:       Listener{Addresses: []string{":443"}},
	}
}

func defaultSMTP() SMTP {
	return SMTP{
		MaxMessageSize: 50 * mib, MaxRecipients: 1000, MaxReceived: 100,
		MaxConnections: 2000, MaxConnectionsPerAddress: 100, MaxErrors: 20, MaxTransactions: 1000,
		CommandTimeout: Duration(5 * time.Minute), DataTimeout: Duration(5 * time.Minute),
		TransactionTimeout: Duration(time.Hour),
	}
}

func defaultMTA() MTA {
	return MTA{
		Port: 25, TLS: "may", SmartHost: SmartHost{Port: 587, TLS: "verify"},
		Retry: []Duration{
			Duration(5 * time.Minute), Duration(10 * time.Minute), Duration(20 * time.Minute), Duration(40 * time.Minute),
			Duration(80 * time.Minute), Duration(160 * time.Minute), Duration(4 * time.Hour),
		},
		ExpireAfter: Duration(5 * day), BounceExpireAfter: Duration(5 * day),
		Concurrency: 200, ConcurrencyPerDestination: 20, MaxRecipients: 100,
		InetProtocols: "all", EightBit: "as-is", SMTPConnectionReuseCountLimit: 100,
		ConnectTimeout: Duration(30 * time.Second), CommandTimeout: Duration(5 * time.Minute),
		DataTimeout: Duration(3 * time.Minute), DataDoneTimeout: Duration(10 * time.Minute), IdleTimeout: Duration(2 * time.Second),
	}
}
