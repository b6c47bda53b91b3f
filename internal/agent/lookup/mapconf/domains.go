package mapconf

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/postrider/postrider/internal/decide/table"
)

// Domains is the parameter domain: only addresses in these are asked for. The nil one takes every key.
type Domains struct {
	names  map[string]bool // false: after an exclamation mark
	tables []named
}

type named struct {
	table table.List
	not   bool
}

// maxTables bounds the tables in the list.
const maxTables = 10

// maxDomainFile bounds a file that the parameter names, bytes.
const maxDomainFile = 16 << 20

// NewDomains reads the list: names, !names, /files of such a list, and tables that have the domain as a key.
func NewDomains(words []string, open func(setting string) (table.List, error)) (*Domains, error) {
	if len(words) == 0 {
		return nil, nil
	}
	d := &Domains{names: map[string]bool{}}
	return d, d.add(words, open, 0)
}

func (d *Domains) add(words []string, open func(string) (table.List, error), depth int) error {
	for _, word := range words {
		word, not := strings.CutPrefix(word, "!")
		switch {
		case strings.HasPrefix(word, "/"):
			if depth > 0 || not {
				return fmt.Errorf("%s: a file of domains names no file, and has no ! before it", word)
			}
			text, err := os.ReadFile(word)
			if err != nil {
				return err
			}
			if len(text) > maxDomainFile {
				return fmt.Errorf("%s is longer than %d bytes", word, maxDomainFile)
			}
			if err := d.add(listed(string(text)), open, depth+1); err != nil {
				return err
			}
		case strings.Contains(word, ":") && len(d.tables) == maxTables:
			return fmt.Errorf("more than %d tables of domains", maxTables)
		case strings.Contains(word, ":"):
			t, err := open(word)
			if err != nil {
				return err
			}
			d.tables = append(d.tables, named{t, not})
		default:
			if _, have := d.names[strings.ToLower(word)]; !have { // the first one decides
				d.names[strings.ToLower(word)] = !not
			}
		}
	}
	return nil
}

// listed are the words of a file, without its comments.
func listed(text string) (words []string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words = append(words, strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) })...)
	}
	return words
}

// Takes tells whether a key is asked for: with a list only an address with a local part, and a domain of the list.
func (d *Domains) Takes(ctx context.Context, key string) (bool, error) {
	if d == nil {
		return true, nil
	}
	i := strings.LastIndexByte(key, '@')
	if i <= 0 || i == len(key)-1 {
		return false, nil
	}
	domain := key[i+1:]
	if takes, have := d.names[strings.ToLower(domain)]; have {
		return takes, nil
	}
	for _, t := range d.tables {
		_, found, err := t.table.Lookup(ctx, domain, false)
		if found || err != nil {
			return !t.not, err
		}
	}
	return false, nil
}
