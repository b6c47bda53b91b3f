package config

// Access is who may send what through us, in the words of Postfix (docs/access.md).
type Access struct {
	// Networks whose clients may relay: permit_mynetworks. None by default, loopback neither.
	Mynetworks Networks `toml:"mynetworks"`
}
