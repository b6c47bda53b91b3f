package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Tables that operators give names to, [sites.google]: a field of Config of the type map[string]*Section. Such a Section may
// have a method setDefaults, which fills a new one.

// placeholder stands for the name in the example.
const placeholder = "NAME"

// maxNamed bounds the tables of one kind.
const maxNamed = 10_000

// isNamed tells a map of such tables.
func isNamed(t reflect.Type) bool {
	return t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Pointer && t.Elem().Elem().Kind() == reflect.Struct
}

// walkNamed visits the tables of a map by name.
func walkNamed(v reflect.Value, key string, s section, enter func(section), visit func(leaf)) {
	names := make([]string, 0, v.Len())
	for _, name := range v.MapKeys() {
		names = append(names, name.String())
	}
	slices.Sort(names)
	for _, name := range names {
		s.key = join(key, name)
		if enter != nil {
			enter(s)
		}
		walkStruct(v.MapIndex(reflect.ValueOf(name)).Elem(), s.key, enter, visit)
	}
}

// namedFields are the maps of a Config by their key.
func namedFields(c *Config) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if f := v.Type().Field(i); isNamed(f.Type) {
			fields[f.Tag.Get("toml")] = v.Field(i)
		}
	}
	return fields
}

// isNamedTable tells the key of the maps themselves: [sites].
func isNamedTable(key string) bool {
	_, ok := namedFields(&Config{})[key]
	return ok
}

// ensure makes the table that a key is in, if it is one with a name.
func ensure(c *Config, key string) {
	of, rest, _ := strings.Cut(key, ".")
	name, _, _ := strings.Cut(rest, ".")
	if field, ok := namedFields(c)[of]; ok && validName(name) && field.Len() < maxNamed {
		add(field, name)
	}
}

// add makes a table with its defaults, unless it is there.
func add(field reflect.Value, name string) {
	key := reflect.ValueOf(name)
	if field.MapIndex(key).IsValid() {
		return
	}
	if field.IsNil() {
		field.Set(reflect.MakeMap(field.Type()))
	}
	table := reflect.New(field.Type().Elem().Elem())
	if d, ok := table.Interface().(interface{ setDefaults() }); ok {
		d.setDefaults()
	}
	field.SetMapIndex(key, table)
}

// validName tells what needs no quotes in TOML.
func validName(name string) bool {
	const chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return name != "" && len(name) <= 60 && strings.Trim(name, chars) == ""
}

// withNames is a copy of c with a table of each kind more, so that its keys are seen: under the name that key has
// ("sites.google"), else the placeholder.
func withNames(c *Config, key string) *Config {
	copied := *c
	_, name, _ := strings.Cut(key, ".")
	if !validName(name) {
		name = placeholder
	}
	for _, field := range namedFields(&copied) {
		old := field.Interface()
		field.Set(reflect.MakeMap(field.Type()))
		for it := reflect.ValueOf(old).MapRange(); it.Next(); {
			field.SetMapIndex(it.Key(), it.Value())
		}
		add(field, name)
	}
	return &copied
}

// allKeys lists the keys of c.
func allKeys(c *Config) (keys []string) {
	walk(c, nil, func(l leaf) { keys = append(keys, l.key) })
	return keys
}

// names are the names of a map's tables, in order.
func names[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
