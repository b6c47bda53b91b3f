// Package config holds Postrider's configuration as plain data: a struct per section, filled from defaults, a TOML file
// and overrides of the command line, in that order.
//
// An empty file is a valid configuration. Reading is strict: an unknown key, a value of the wrong form or a value out
// of bounds is an error that names file, line, key and, for a misspelt key, the nearest right one; all errors of a file
// are reported together. Secrets never stand in the file: keys that end in _file name a file that holds them.
//
// Each fact about a key is written once: its name, bounds and reload behaviour in the tags of its field, its text in
// the field's comment (keys*.go are embedded and read for it), its default in Defaults. Tags: toml (the key), enum (the
// words allowed), min and max (inclusive), form (addresses, host: what strings must look like), apply:"restart" (a
// reload refuses to change it).
//
//	keys.go, keys_*.go   every key with its text
//	defaults.go  Defaults
//	value.go     Duration, Size, Network
//	load.go      Load and Parse: file, --set, resolve, validate
//	assign.go    a TOML value into a field
//	validate.go  bounds of each key, and rules between keys (validate_tls.go those of [tls])
//	schema.go    walking the struct; texts of the keys
//	print.go     Default (commented example), Show (what is in force)
//	diff.go      what a reload would change
//	nearest.go   the nearest right word
//	system.go    host name, secrets: the only places that read something beside the configuration file
//
// The package knows no other package of Postrider and starts nothing.
package config
