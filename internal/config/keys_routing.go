package config

// Routing is where mail goes, in the words of Postfix (docs/routing.md).
type Routing struct {
	// Tables of addresses and what they stand for, virtual(5).
	VirtualAliasMaps []string `toml:"virtual_alias_maps"`
}
