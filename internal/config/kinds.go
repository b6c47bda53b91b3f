package config

import (
	"encoding"
	"reflect"
)

// Key is a key with what a program must know to write it.
type Key struct {
	Name    string // with its section: "smtp.max_recipients"
	Kind    Kind
	Default string // a TOML value
	Enum    string // the words allowed, separated by commas; empty: any
}

// Kind is the form of a key's value.
type Kind string

// The forms.
const (
	KindBool     Kind = "bool"
	KindInt      Kind = "int"
	KindText     Kind = "text"
	KindDuration Kind = "duration"
	KindSize     Kind = "size"
	KindList     Kind = "list"     // of texts
	KindNetworks Kind = "networks" // a list
	KindOther    Kind = "other"    // a value, or list, with a form of its own
)

// Schema returns all keys in the order of the example.
func Schema() []Key {
	var keys []Key
	walk(Defaults(), nil, func(l leaf) {
		keys = append(keys, Key{Name: l.key, Kind: kindOf(l.value.Type()), Default: literal(l.value), Enum: l.field.Tag.Get("enum")})
	})
	return keys
}

func kindOf(t reflect.Type) Kind {
	switch t {
	case reflect.TypeFor[Duration]():
		return KindDuration
	case reflect.TypeFor[Size]():
		return KindSize
	case reflect.TypeFor[Networks]():
		return KindNetworks
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return KindOther
	}
	switch t.Kind() {
	case reflect.Bool:
		return KindBool
	case reflect.Int:
		return KindInt
	case reflect.String:
		return KindText
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			return KindList
		}
	}
	return KindOther
}

// Literal writes a text, a number, a truth, a Duration, a Size, Networks or a list of texts as a TOML value.
func Literal(value any) string { return literal(reflect.ValueOf(value)) }
