package table

import (
	"context"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/cases"
)

// Table answers for a key.
type Table interface {
	// Lookup returns the value for key; found is false if there is none. An error says that the table could not be asked:
	// a temporary failure. Tables of fixed strings fold the case of the key.
	Lookup(ctx context.Context, key string) (value string, found bool, err error)
	// Pattern tells a table of patterns: it is asked for whole keys only, never for a domain alone or an address without
	// its extension.
	Pattern() bool
}

// Problem is a line that could not be used.
type Problem struct {
	Line int // from 1
	Text string
}

func (p Problem) String() string { return fmt.Sprintf("line %d: %s", p.Line, p.Text) }

// List is the value of a setting that takes tables: several, asked in order.
type List []Table

// Lookup asks the tables in order and returns the first answer. A partial key is not asked of tables of patterns.
func (l List) Lookup(ctx context.Context, key string, partial bool) (value string, found bool, err error) {
	for _, t := range l {
		if partial && t.Pattern() {
			continue
		}
		if value, found, err = t.Lookup(ctx, key); found || err != nil {
			return value, found, err
		}
	}
	return "", false, nil
}

// First asks for each key in turn, and returns the first answer with the key that had it.
func (l List) First(ctx context.Context, keys []Key) (value string, at Key, found bool, err error) {
	for _, k := range keys {
		if value, found, err = l.Lookup(ctx, k.Text, k.Partial); found || err != nil {
			return value, k, found, err
		}
	}
	return "", Key{}, false, nil
}

// Fold brings a key to the form in which tables of fixed strings are asked: case folded.
func Fold(s string) string { return fold(s) }

// fold brings a key of a table of fixed strings to the form in which it is kept: case folded, of Unicode too where the key is
// UTF-8 (as Postfix does with smtputf8_enable).
func fold(s string) string {
	upper := false
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			if utf8.ValidString(s) {
				return cases.Fold().String(s)
			}
			return lowerASCII(s)
		}
		upper = upper || 'A' <= s[i] && s[i] <= 'Z'
	}
	if upper {
		return lowerASCII(s)
	}
	return s
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + ('a' - 'A')
		}
	}
	return string(b)
}
