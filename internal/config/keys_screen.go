package config

// Screen is what strangers must pass before they are greeted (docs/screen.md).
type Screen struct {
	// Whether clients are tested before the greeting.
	Enabled bool `toml:"enabled"`
}
