package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Default returns the commented example: every key with its text and its default, commented out, so that the file is
// valid as it is and a later default takes effect.
func Default() (string, error) {
	docs, err := texts()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# Configuration of Postrider. Every key is shown with its default; remove the # to change it.\n")
	b.WriteString("# Durations: \"90s\", \"1h30m\", \"5d\". Sizes: \"50MiB\". Any key can be set on the command line: --set key=value.\n")
	said := map[string]bool{} // a text that several sections share, as the listeners do, is printed once
	say := func(name string) bool {
		if said[name] || len(docs[name]) == 0 {
			return false
		}
		said[name] = true
		for _, line := range docs[name] {
			b.WriteString("# " + line + "\n")
		}
		return true
	}
	mark := "#"
	walk(withNames(Defaults(), ""), func(s section) {
		b.WriteString("\n")
		if !say(s.owner + "." + s.field.Name) {
			say(s.field.Type.Name())
		}
		if mark = "#"; isNamed(s.field.Type) {
			mark = "# " // an example: there is no such table
			b.WriteString(mark)
		}
		fmt.Fprintf(&b, "[%s]\n", s.key)
	}, func(l leaf) {
		name := l.owner + "." + l.field.Name
		if !said[name] {
			b.WriteString("\n")
		}
		say(name)
		fmt.Fprintf(&b, "%s%s = %s\n", mark, l.field.Tag.Get("toml"), literal(l.value))
	})
	return b.String(), nil
}

// Show returns the configuration in force, every key with its value, as a file that would give the same.
func Show(c *Config) string {
	var b strings.Builder
	walk(c, func(s section) { fmt.Fprintf(&b, "\n[%s]\n", s.key) }, func(l leaf) {
		fmt.Fprintf(&b, "%s = %s\n", l.field.Tag.Get("toml"), literal(l.value))
	})
	return b.String()
}

// literal writes a value as TOML.
func literal(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, err := m.MarshalText()
		if err != nil {
			return quote(err.Error())
		}
		return quote(string(text))
	}
	switch v.Kind() {
	case reflect.String:
		return quote(v.String())
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = literal(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// quote writes a TOML basic string; Go's own quoting has escapes that TOML lacks.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			b.WriteString(`\u` + fmt.Sprintf("%04X", r))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Value is one key of a configuration with its value, for machines.
type Value struct {
	Key     string `json:"key"`
	Value   any    `json:"value"`
	Default bool   `json:"default"`
}

// Values lists all keys of c in the order of the example. Durations, sizes and networks are strings, as in the file.
func Values(c *Config) []Value {
	base := map[string]string{}
	defaults := Defaults()
	walk(defaults, nil, func(l leaf) { base[l.key] = literal(l.value) })
	var vs []Value
	walk(c, nil, func(l leaf) {
		vs = append(vs, Value{Key: l.key, Value: plain(l.value), Default: literal(l.value) == base[l.key]})
	})
	return vs
}

// plain turns a value into what encoding/json writes well.
func plain(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.Slice:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = plain(v.Index(i))
		}
		return items
	case v.Kind() == reflect.String, v.Kind() == reflect.Bool, v.Kind() == reflect.Int:
		return v.Interface()
	}
	s, err := strconv.Unquote(literal(v))
	if err != nil {
		return literal(v)
	}
	return s
}

// Entry is a key, or the head of a section, as a reference shows it.
type Entry struct {
	Section bool
	Name    string // with its section: "smtp.max_recipients"
	Default string // a TOML value; empty for a section
	Restart bool   // it changes only at a restart
	Text    []string
}

// Reference lists every section and key with its text and default, in the order of the example.
func Reference() ([]Entry, error) {
	docs, err := texts()
	if err != nil {
		return nil, err
	}
	var list []Entry
	walk(withNames(Defaults(), ""), func(s section) {
		text := docs[s.owner+"."+s.field.Name]
		if len(text) == 0 {
			text = docs[s.field.Type.Name()]
		}
		list = append(list, Entry{Section: true, Name: s.key, Text: text})
	}, func(l leaf) {
		list = append(list, Entry{Name: l.key, Default: literal(l.value), Restart: l.field.Tag.Get("apply") == "restart",
			Text: docs[l.owner+"."+l.field.Name]})
	})
	return list, nil
}
