package config

// Change is a key whose value differs between two configurations.
type Change struct {
	Key     string `json:"key"`
	Old     string `json:"old"` // as TOML
	New     string `json:"new"`
	Restart bool   `json:"restart"` // a reload cannot apply it
}

// Diff lists what would change from old to updated, in the order of the example.
func Diff(old, updated *Config) []Change {
	olds := map[string]string{}
	walk(old, nil, func(l leaf) { olds[l.key] = literal(l.value) })
	var changes []Change
	walk(updated, nil, func(l leaf) {
		if was, is := olds[l.key], literal(l.value); was != is {
			changes = append(changes, Change{Key: l.key, Old: was, New: is, Restart: l.field.Tag.Get("apply") == "restart"})
		}
		delete(olds, l.key)
	})
	walk(old, nil, func(l leaf) { // keys of tables that are no longer there
		if was, gone := olds[l.key]; gone {
			changes = append(changes, Change{Key: l.key, Old: was, Restart: l.field.Tag.Get("apply") == "restart"})
		}
	})
	return changes
}

// NeedsRestart returns the keys among changes that a reload cannot apply; a reload that has any is refused as a whole.
func NeedsRestart(changes []Change) []string {
	var keys []string
	for _, c := range changes {
		if c.Restart {
			keys = append(keys, c.Key)
		}
	}
	return keys
}
