package postfix

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/config"
)

// fileName is what our configuration is called in the report.
const fileName = "postrider.toml"

// maxRefusals bounds how often a key that our configuration refuses is taken out.
const maxRefusals = 200

// render writes postrider.toml, and takes out what our own reading of it refuses.
func (m *move) render() (string, error) {
	entries, err := config.Reference()
	if err != nil {
		return "", err
	}
	entries = append(entries, m.pipeEntries(entries)...)
	refused := map[string]string{}
	for range maxRefusals {
		text := m.write(entries, refused)
		_, err = config.Parse(fileName, []byte(text), nil)
		var wrong config.Errors
		if err == nil {
			return text, nil
		}
		if !errors.As(err, &wrong) {
			return "", err
		}
		if !m.refuse(wrong, refused) {
			return "", fmt.Errorf("the configuration that was made is refused: %w", err)
		}
	}
	return "", errors.New("the configuration that was made is refused again and again")
}

// refuse takes out the keys that are wrong, and tells so.
func (m *move) refuse(wrong config.Errors, refused map[string]string) (any bool) {
	for _, e := range wrong {
		key := e.Key
		if _, ours := m.set[key]; !ours { // a rule between keys: the one of them that we wrote
			section := key[:max(0, strings.LastIndexByte(key, '.'))]
			key = ""
			for k := range m.set {
				if strings.HasPrefix(k, section+".") && refused[k] == "" && (key == "" || k < key) {
					key = k
				}
			}
		}
		if key == "" || refused[key] != "" {
			continue
		}
		refused[key], any = e.Msg, true
		told := false
		for i, l := range m.lines {
			if slices.Contains(l.Keys, key) {
				told = true
				m.lines[i].Fate = Unsupported
				m.lines[i].Text = strings.TrimSuffix(fmt.Sprintf("%s refuses it: %s; %s", key, e.Msg, l.Text), "; ")
				m.lines[i].Keys = slices.DeleteFunc(slices.Clone(l.Keys), func(k string) bool { return k == key })
			}
		}
		if !told {
			m.lines = append(m.lines, Line{File: fileName, Fate: Unsupported, Text: fmt.Sprintf("%s: %s", key, e.Msg)})
		}
	}
	return any
}

// write is the text, in the style of `config default`, with only what differs from the defaults. Keys that were refused are
// comments.
func (m *move) write(entries []config.Entry, refused map[string]string) string {
	var b strings.Builder
	b.WriteString("# Configuration of Postrider, made from one of Postfix. Only what differs from the defaults is here;\n" +
		"# postrider config default shows every key. Tables whose names are relative are beside this file.\n")
	section, written := "", "-"
	for _, e := range entries {
		if e.Section {
			section = e.Name
			continue
		}
		a, ok := m.set[e.Name]
		if !ok || a.literal == m.schema[e.Name].Default {
			continue
		}
		of := ""
		if i := strings.LastIndexByte(e.Name, '.'); i >= 0 {
			of = section
		}
		if of != written {
			if written = of; of != "" {
				fmt.Fprintf(&b, "\n[%s]\n", of)
			}
		}
		b.WriteString("\n")
		for _, t := range e.Text {
			b.WriteString("# " + t + "\n")
		}
		for _, from := range a.from {
			b.WriteString("# From " + comment(from) + "\n")
		}
		name := e.Name[strings.LastIndexByte(e.Name, '.')+1:]
		if msg := refused[e.Name]; msg != "" {
			b.WriteString("# Refused: " + comment(msg) + "\n#")
		}
		fmt.Fprintf(&b, "%s = %s\n", name, wrap(a.literal))
	}
	return b.String()
}

// comment keeps text from elsewhere on one line of printable characters.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\ufffd' {
			return '?'
		}
		return r
	}, s)
}

// wrap puts each item of a long list of texts on a line of its own.
func wrap(literal string) string {
	if len(literal) < 100 || !strings.HasPrefix(literal, `["`) {
		return literal
	}
	inner := strings.TrimSuffix(strings.TrimPrefix(literal, "["), "]")
	var b strings.Builder
	b.WriteString("[\n")
	quoted, escaped, start := false, false, 0
	for i := range len(inner) {
		switch c := inner[i]; {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			b.WriteString("  " + strings.TrimSpace(inner[start:i]) + ",\n")
			start = i + 1
		}
	}
	b.WriteString("  " + strings.TrimSpace(inner[start:]) + ",\n]")
	return b.String()
}
