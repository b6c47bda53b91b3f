package table

import (
	"context"
	"strings"
)

// Union is unionmap: it asks all its tables with the same key and joins what they answer with commas.
type Union []Table

// Lookup implements Table.
func (u Union) Lookup(ctx context.Context, key string) (string, bool, error) {
	var all []string
	for _, t := range u {
		value, found, err := t.Lookup(ctx, key)
		if err != nil {
			return "", false, err
		}
		if found {
			all = append(all, value)
		}
	}
	return strings.Join(all, ","), len(all) > 0, nil
}

// Pattern implements Table: where one table is asked for whole keys only, so are all.
func (u Union) Pattern() bool { return anyPattern(u) }

// Pipe is pipemap: the first table's answer is the second one's key, and so on; the last one answers.
type Pipe []Table

// Lookup implements Table.
func (p Pipe) Lookup(ctx context.Context, key string) (value string, found bool, err error) {
	for _, t := range p {
		if value, found, err = t.Lookup(ctx, key); !found || err != nil {
			return "", false, err
		}
		key = value
	}
	return value, found, nil
}

// Pattern implements Table.
func (p Pipe) Pattern() bool { return anyPattern(p) }

// Rand is randmap: any key is answered with one of the values.
type Rand struct {
	Values []string
	Intn   func(n int) int // a random number below n
}

// Lookup implements Table.
func (r Rand) Lookup(context.Context, string) (string, bool, error) {
	return r.Values[r.Intn(len(r.Values))], true, nil
}

// Pattern implements Table.
func (r Rand) Pattern() bool { return true }

func anyPattern(all []Table) bool {
	for _, t := range all {
		if t.Pattern() {
			return true
		}
	}
	return false
}
