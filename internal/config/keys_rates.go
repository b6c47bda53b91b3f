package config

// Rates are the limits in time: of connections, messages, recipients, bytes (docs/limits.md).
type Rates struct {
	// Whether they hold.
	Enabled bool `toml:"enabled"`
}

// Bans are clients that are not let in for a while (docs/limits.md).
type Bans struct {
	// Whether clients with too many failures are banned.
	Enabled bool `toml:"enabled"`
}
