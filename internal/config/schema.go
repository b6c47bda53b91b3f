package config

import (
	"embed"
	"encoding"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
)

// source is the files of the keys themselves: the comments of their fields are the keys' texts, so that they are written
// once.
//
//go:embed keys*.go
var source embed.FS

// leaf is one key with its place in a Config.
type leaf struct {
	key   string // "smtp.max_recipients"
	value reflect.Value
	field reflect.StructField
	owner string // Go name of the struct that holds the field
}

// section is a table of keys: a struct in a Config.
type section struct {
	key   string
	field reflect.StructField
	owner string
}

// walk visits the keys of c in the order of keys.go; enter, if not nil, is called before the keys of each section.
func walk(c *Config, enter func(section), visit func(leaf)) {
	walkStruct(reflect.ValueOf(c).Elem(), "", enter, visit)
}

// walkStruct visits a struct's own keys before its sections: in TOML a key after a header belongs to that header.
func walkStruct(v reflect.Value, prefix string, enter func(section), visit func(leaf)) {
	t := v.Type()
	for i := range t.NumField() {
		if f := t.Field(i); !isSection(f.Type) && !isNamed(f.Type) {
			visit(leaf{key: join(prefix, f.Tag.Get("toml")), value: v.Field(i), field: f, owner: t.Name()})
		}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if !isSection(f.Type) {
			continue
		}
		key := join(prefix, f.Tag.Get("toml"))
		if enter != nil {
			enter(section{key, f, t.Name()})
		}
		walkStruct(v.Field(i), key, enter, visit)
	}
	for i := range t.NumField() {
		if f := t.Field(i); isNamed(f.Type) {
			walkNamed(v.Field(i), join(prefix, f.Tag.Get("toml")), section{field: f, owner: t.Name()}, enter, visit)
		}
	}
}

// isSection tells a struct of keys from a value.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

// Keys returns the names of all keys, in the order of the example.
func Keys() []string {
	var keys []string
	walk(Defaults(), nil, func(l leaf) { keys = append(keys, l.key) })
	return keys
}

// texts maps "Struct.Field" and "Struct" to their comments, as lines without the comment marks.
func texts() (map[string][]string, error) {
	files, err := source.ReadDir(".")
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, file := range files {
		text, err := source.ReadFile(file.Name())
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file.Name(), text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		textsOf(f, out)
	}
	return out, nil
}

// textsOf adds the comments of one file.
func textsOf(f *ast.File, out map[string][]string) {
	for _, d := range f.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range gen.Specs {
			spec, ok := s.(*ast.TypeSpec)
			if !ok {
				continue
			}
			out[spec.Name.Name] = lines(gen.Doc)
			if st, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range st.Fields.List {
					for _, name := range field.Names {
						out[spec.Name.Name+"."+name.Name] = lines(field.Doc)
					}
				}
			}
		}
	}
}

func lines(g *ast.CommentGroup) []string {
	if g == nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(g.Text()), "\n")
}
