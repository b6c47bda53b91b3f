package postfix

import (
	"fmt"
	"slices"
	"strings"
)

// Entry is what becomes of a parameter of Postfix in general; the report tells what became of a value.
type Entry struct {
	Name string
	Fate Fate
	Keys []string
	Text string
}

// Catalogue tells the fate of every parameter that Postfix has, sorted by name.
func Catalogue() []Entry {
	m := newMove(&Origin{defaults: Defaults(), last: map[string]int{}}, Options{})
	var all []Entry
	for _, name := range Names() {
		all = append(all, m.entry(name))
	}
	return all
}

func (m *move) entry(name string) Entry {
	e := Entry{Name: name, Fate: Translated, Keys: m.byName[name]}
	r := m.rules[name]
	switch {
	case r != nil && r.do != nil:
		for key := range strings.FieldsSeq(r.keys) {
			if !slices.Contains(e.Keys, key) {
				e.Keys = append(slices.Clone(e.Keys), key)
			}
		}
		if e.Text = r.text; len(e.Keys) == 0 {
			e.Fate = Meaningless
		}
		return e
	case len(e.Keys) > 0:
		return e
	case r == nil:
		r = prefixRule(name)
	}
	if r == nil {
		r = &rule{fate: Unsupported, text: noCounterpart}
	}
	e.Fate, e.Text = r.fate, r.text
	return e
}

// Markdown is the table of docs/migrate-postfix.md.
func Markdown() string {
	var b strings.Builder
	byText := map[Fate]map[string][]string{Meaningless: {}, Unsupported: {}}
	n := map[Fate]int{}
	b.WriteString("### Translated\n\n| parameter | goes to | |\n|---|---|---|\n")
	for _, e := range Catalogue() {
		n[e.Fate]++
		if e.Fate == Translated {
			fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", e.Name, strings.Join(e.Keys, "` `"), e.Text)
			continue
		}
		byText[e.Fate][e.Text] = append(byText[e.Fate][e.Text], e.Name)
	}
	for _, of := range []struct {
		fate  Fate
		title string
	}{{Meaningless, "Meaningless here"}, {Unsupported, "Unsupported, if the value is not Postfix's own default"}} {
		fmt.Fprintf(&b, "\n### %s\n\n| parameters | |\n|---|---|\n", of.title)
		texts := byText[of.fate]
		order := make([]string, 0, len(texts))
		for text := range texts {
			order = append(order, text)
		}
		slices.SortFunc(order, func(x, y string) int { return strings.Compare(texts[x][0], texts[y][0]) })
		for _, text := range order {
			fmt.Fprintf(&b, "| `%s` | %s |\n", strings.Join(texts[text], "` `"), text)
		}
	}
	return fmt.Sprintf("Of %d parameters %d are translated, %d are meaningless here, %d have no counterpart.\n\n", len(Names()), n[Translated], n[Meaningless],
		n[Unsupported]) + b.String()
}
