package config

// Trace is what `postrider trace` tells: what became of each connection and message (docs/trace.md).
type Trace struct {
	// Whether it is kept.
	Enabled bool `toml:"enabled"`
	// How long.
	Keep Duration `toml:"keep" min:"1h" max:"3650d"`
	// How much disk space it may take; beyond that the oldest goes first. A message takes about 300 bytes.
	MaxSize Size `toml:"max_size" min:"1MiB" max:"1TiB"`
}

func defaultTrace() Trace { return Trace{Enabled: true, Keep: Duration(14 * day), MaxSize: 1024 * mib} }
