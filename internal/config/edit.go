package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// entry is a key in the text of a configuration, with the lines that it takes.
type entry struct {
	key        string
	table      string // of the header above it; "" before the first
	start, end int    // offsets: from the beginning of its line to the end of its last line, line feed included
	value      int    // where its value begins
	after      int    // where its value ends
}

// outline is what stands where in the text of a configuration.
type outline struct {
	entries []entry
	headers map[string]int // table → offset behind its header's line
	first   int            // offset of the first header's line; the text's length if there is none
}

// Edit puts values (TOML) into the text of a configuration, and takes those keys out whose value is "". All else in the text,
// comments too, stays as it is. The result is the caller's to parse.
func Edit(text string, changes map[string]string) (string, error) {
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		o, err := outlineOf(text)
		if err != nil {
			return "", err
		}
		if text, err = o.put(text, key, changes[key]); err != nil {
			return "", err
		}
	}
	return text, nil
}

// put changes one key.
func (o *outline) put(text, key, value string) (string, error) {
	section, name := "", key
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		section, name = key[:i], key[i+1:]
	}
	dotted := entry{} // the last key of the section that is written with its section's name
	last := o.headers[section]
	for _, e := range o.entries {
		switch {
		case e.key == key && value == "":
			return text[:e.start] + text[e.end:], nil
		case e.key == key:
			return text[:e.value] + value + text[e.after:], nil
		case strings.HasPrefix(key, e.key+"."):
			return "", errInline(key, e.key)
		case strings.HasPrefix(e.key, section+".") && section != "" && (e.table == "" || strings.HasPrefix(section, e.table+".")):
			dotted = e
		case e.table == section && e.end > last:
			last = e.end
		}
	}
	_, header := o.headers[section]
	switch {
	case value == "":
		return text, nil
	case section == "" && last == 0: // no key stands before the first header
		return o.insert(text, o.first, key+" = "+value+"\n\n"), nil
	case section == "":
		return o.insert(text, last, key+" = "+value+"\n"), nil
	case header:
		return o.insert(text, last, name+" = "+value+"\n"), nil
	case dotted.key != "":
		return o.insert(text, dotted.end, strings.TrimPrefix(key, dotted.table+".")+" = "+value+"\n"), nil
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if text != "" {
		text += "\n"
	}
	return text + "[" + section + "]\n" + name + " = " + value + "\n", nil
}

func errInline(key, table string) error {
	return fmt.Errorf("%s stands in the inline table %s: change it by hand", key, table)
}

// insert puts a line into the text; the line before it may lack its end.
func (o *outline) insert(text string, at int, line string) string {
	if at > 0 && text[at-1] != '\n' {
		line = "\n" + line
	}
	return text[:at] + line + text[at:]
}

// outlineOf finds keys and headers.
func outlineOf(text string) (*outline, error) {
	var doc unstable.Parser
	doc.Reset([]byte(text))
	o := &outline{headers: map[string]int{}, first: len(text)}
	table := ""
	for doc.NextExpression() {
		e := doc.Expression()
		it := e.Key()
		if !it.Next() {
			continue
		}
		at := int(it.Node().Raw.Offset)
		parts := []string{string(it.Node().Data)}
		end := at + int(it.Node().Raw.Length)
		for it.Next() {
			parts = append(parts, string(it.Node().Data))
			end = int(it.Node().Raw.Offset + it.Node().Raw.Length)
		}
		start := strings.LastIndexByte(text[:at], '\n') + 1
		key := strings.Join(parts, ".")
		if e.Kind == unstable.ArrayTable {
			return nil, fmt.Errorf("[[%s]]: no key is a list of tables", key)
		}
		if e.Kind != unstable.KeyValue {
			table = key
			o.headers[table] = lineEnd(text, end)
			o.first = min(o.first, start)
			continue
		}
		value := end + strings.IndexByte(text[end:], '=') + 1
		for value < len(text) && (text[value] == ' ' || text[value] == '\t') {
			value++
		}
		after := valueEnd(text, value)
		o.entries = append(o.entries, entry{join(table, key), table, start, lineEnd(text, after), value, after})
	}
	return o, doc.Error()
}

func lineEnd(text string, at int) int {
	if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(text)
}

// valueEnd finds the end of a value in a text that is known to be TOML.
func valueEnd(text string, at int) int {
	depth := 0
	for i := at; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' || c == '\'':
			if i = stringEnd(text, i); depth == 0 {
				return i
			}
			i--
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		case c == '#' && depth > 0:
			i = lineEnd(text, i) - 1
		case depth == 0 && (c == '\n' || c == '\r' || c == '#'):
			return at + len(strings.TrimRight(text[at:i], " \t"))
		}
	}
	return at + len(strings.TrimRight(text[at:], " \t"))
}

// stringEnd finds the end of a string: basic or literal, on one line or several.
func stringEnd(text string, at int) int {
	quote := text[at : at+1]
	mark := quote
	if strings.HasPrefix(text[at:], strings.Repeat(quote, 3)) {
		mark = strings.Repeat(quote, 3)
	}
	for i := at + len(mark); i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote == `"`:
			i++
		case strings.HasPrefix(text[i:], mark):
			i += len(mark)
			for len(mark) == 3 && i < len(text) && text[i] == quote[0] { // """a"""" ends with a quote of its own
				i++
			}
			return i
		}
	}
	return len(text)
}

// CommentOut puts a # in front of the lines of keys, so that their defaults hold.
func CommentOut(text string, keys map[string]string) (string, error) {
	o, err := outlineOf(text)
	if err != nil {
		return "", err
	}
	for _, e := range o.entries {
		for key := range keys {
			if strings.HasPrefix(key, e.key+".") {
				return "", errInline(key, e.key)
			}
		}
	}
	for _, e := range slices.Backward(o.entries) {
		if _, wanted := keys[e.key]; wanted {
			lines := "#" + strings.ReplaceAll(strings.TrimSuffix(text[e.start:e.end], "\n"), "\n", "\n#")
			text = text[:e.start] + lines + strings.Repeat("\n", strings.Count(text[e.end-1:e.end], "\n")) + text[e.end:]
		}
	}
	return text, nil
}
