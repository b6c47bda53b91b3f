package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// document walks a TOML text that is known to be well formed and puts each value into its field. at makes the place of
// a line.
func (p *parse) document(text []byte, at func(line int) string) {
	var doc unstable.Parser
	doc.Reset(text)
	a := assigner{parse: p, doc: &doc, at: at}
	table := ""
	for doc.NextExpression() {
		e := doc.Expression()
		switch e.Kind {
		case unstable.Table:
			table = a.keyOf(e, "")
			a.checkTable(table, a.line(e))
		case unstable.ArrayTable:
			table = a.keyOf(e, "")
			p.fail(at(a.line(e)), table, "no key is a list of tables")
		case unstable.KeyValue:
			a.assign(a.keyOf(e, table), e)
		}
	}
	if err := doc.Error(); err != nil {
		p.fail(at(1), "", "%v", err)
	}
}

type assigner struct {
	parse *parse
	doc   *unstable.Parser
	at    func(line int) string
}

// keyOf joins the dotted key of an expression to the table it stands in.
func (a *assigner) keyOf(e *unstable.Node, table string) string {
	key := table
	for it := e.Key(); it.Next(); {
		key = join(key, string(it.Node().Data))
	}
	return key
}

// line finds where an expression's key stands.
func (a *assigner) line(e *unstable.Node) int {
	it := e.Key()
	if !it.Next() {
		return 1
	}
	return a.doc.Shape(it.Node().Raw).Start.Line
}

// assign puts a key's value into its field.
func (a *assigner) assign(key string, e *unstable.Node) {
	where := a.at(a.line(e))
	value := e.Value()
	ensure(a.parse.config, key)
	target, isTable := find(a.parse.config, key)
	switch {
	case isTable && value.Kind == unstable.InlineTable:
		for it := value.Children(); it.Next(); {
			a.assign(a.keyOf(it.Node(), key), it.Node())
		}
	case isTable:
		a.parse.fail(where, key, "is a table of keys, not a value; its first key is %q", firstKey(key))
	case !target.IsValid():
		a.unknown(where, key)
	default:
		if err := decode(target, value); err != nil {
			a.parse.fail(where, key, "%v", err)
			return
		}
		a.parse.where[key] = where
	}
}

func (a *assigner) checkTable(key string, line int) {
	ensure(a.parse.config, key)
	switch target, isTable := find(a.parse.config, key); {
	case isTable:
	case target.IsValid():
		a.parse.fail(a.at(line), key, "is a key, not a table")
	default:
		a.unknownTable(a.at(line), key)
	}
}

func (a *assigner) unknown(where, key string) {
	if near := nearestKey(key, a.parse.config); near != "" {
		a.parse.fail(where, "", "unknown key %q; did you mean %q?", key, near)
		return
	}
	a.parse.fail(where, "", "unknown key %q", key)
}

func (a *assigner) unknownTable(where, key string) {
	var tables []string
	walk(withNames(a.parse.config, key), func(s section) { tables = append(tables, s.key) }, func(leaf) {})
	if near := Nearest(key, tables); near != "" {
		a.parse.fail(where, "", "unknown table [%s]; did you mean [%s]?", key, near)
		return
	}
	a.parse.fail(where, "", "unknown table [%s]", key)
}

// find returns the field of a key, or tells that the key is a table. Neither: an invalid value and false.
func find(c *Config, key string) (target reflect.Value, isTable bool) {
	walk(c, func(s section) { isTable = isTable || s.key == key }, func(l leaf) {
		if l.key == key {
			target = l.value
		}
	})
	return target, isTable || isNamedTable(key)
}

func firstKey(table string) string {
	for _, k := range allKeys(withNames(Defaults(), table)) {
		if strings.HasPrefix(k, table+".") {
			return k
		}
	}
	return ""
}

// decode reads one TOML value into a field; the error says what the field wants.
func decode(target reflect.Value, n *unstable.Node) error {
	if u, ok := target.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if n.Kind == unstable.String || (n.Kind == unstable.Integer && target.Type() == reflect.TypeFor[Size]()) {
			return u.UnmarshalText(n.Data)
		}
		return fmt.Errorf("wants a string such as %s, not %s", example(target.Type()), article(n.Kind))
	}
	switch target.Kind() {
	case reflect.String:
		if n.Kind != unstable.String {
			return fmt.Errorf("wants a string in quotes, not %s", article(n.Kind))
		}
		target.SetString(string(n.Data))
	case reflect.Bool:
		if n.Kind != unstable.Bool {
			return fmt.Errorf("wants true or false, not %s", article(n.Kind))
		}
		target.SetBool(string(n.Data) == "true")
	case reflect.Int:
		if n.Kind != unstable.Integer {
			return fmt.Errorf("wants a whole number, not %s", article(n.Kind))
		}
		i, err := strconv.ParseInt(strings.ReplaceAll(string(n.Data), "_", ""), 0, 64)
		if err != nil {
			return fmt.Errorf("the number %s is out of range", n.Data)
		}
		target.SetInt(i)
	case reflect.Slice:
		return decodeList(target, n)
	default:
		return fmt.Errorf("has the type %s, which no value can have", target.Type())
	}
	return nil
}

// decodeList replaces a list as a whole, so that an empty one can be said.
func decodeList(target reflect.Value, n *unstable.Node) error {
	if n.Kind == unstable.String && target.Type().Elem().Kind() == reflect.String { // a list of one, as --set has it
		list := reflect.MakeSlice(target.Type(), 1, 1)
		if err := decode(list.Index(0), n); err != nil {
			return err
		}
		target.Set(list)
		return nil
	}
	if n.Kind != unstable.Array {
		return fmt.Errorf("wants a list in brackets, not %s", article(n.Kind))
	}
	list := reflect.MakeSlice(target.Type(), 0, 4)
	for it := n.Children(); it.Next(); {
		if it.Node().Kind == unstable.Comment {
			continue
		}
		item := reflect.New(target.Type().Elem()).Elem()
		if err := decode(item, it.Node()); err != nil {
			return fmt.Errorf("item %d: %w", list.Len()+1, err)
		}
		list = reflect.Append(list, item)
	}
	target.Set(list)
	return nil
}

func example(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Duration]():
		return `"90s" or "5d"`
	case reflect.TypeFor[Size]():
		return `"50MiB"`
	}
	return `"192.0.2.0/24"`
}

func article(k unstable.Kind) string {
	switch k {
	case unstable.String:
		return "a string"
	case unstable.Bool:
		return "true or false"
	case unstable.Integer, unstable.Float:
		return "a number"
	case unstable.Array:
		return "a list"
	case unstable.InlineTable:
		return "a table"
	}
	return "a date or time"
}
