package lookup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/agent/lookup/nettab"
	"github.com/postrider/postrider/internal/decide/table"
)

// Opener opens tables. A table that several settings name is opened once.
type Opener struct {
	Dir  string           // relative paths start here: the folder of the configuration
	Now  func() time.Time // the clock
	Intn func(n int) int  // a random number below n
	Log  *slog.Logger

	depth int // of tables that the files of tables name

	mu   sync.Mutex
	open map[opened]table.Table
}

type opened struct {
	spec    string
	aliases bool
}

// maxDepth bounds how far files of tables name files of tables: one that names itself ends there.
const maxDepth = 3

// maxTables bounds the tables of one setting, and of a table of tables.
const maxTables = 100

// List opens the tables that a setting names: one or more, separated by blanks or commas.
func (o *Opener) List(setting string) (table.List, error) { return o.list(setting, false) }

// Aliases opens the tables that a setting names as those of aliases(5): text files are read as such, all other types
// answer with destinations like any table.
func (o *Opener) Aliases(setting string) (table.List, error) { return o.list(setting, true) }

func (o *Opener) list(setting string, aliases bool) (table.List, error) {
	names, err := table.Split(setting)
	if err != nil {
		return nil, err
	}
	return o.all(names, aliases)
}

func (o *Opener) all(names []string, aliases bool) (table.List, error) {
	if len(names) > maxTables {
		return nil, fmt.Errorf("%d tables: more than %d in one list", len(names), maxTables)
	}
	var all table.List
	var errs []error
	for _, name := range names {
		t, err := o.one(name, aliases)
		all, errs = append(all, t), append(errs, err)
	}
	return all, errors.Join(errs...)
}

func (o *Opener) one(spec string, aliases bool) (table.Table, error) {
	if o.depth > maxDepth {
		return nil, fmt.Errorf("table %q: files of tables name each other in more than %d steps", spec, maxDepth)
	}
	id := opened{spec, aliases}
	o.mu.Lock()
	t := o.open[id]
	o.mu.Unlock()
	if f, ok := t.(*File); ok {
		if err := f.again(); err != nil {
			return nil, fmt.Errorf("table %q: %w", spec, err)
		}
	}
	if t != nil {
		return t, nil
	}
	t, err := o.build(spec, aliases)
	if err != nil {
		return nil, fmt.Errorf("table %q: %w", spec, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		o.open = map[opened]table.Table{}
	}
	o.open[id] = t
	return t, nil
}

// Types are the types of tables that can be opened.
func Types() []string {
	return []string{"btree", "cdb", "cidr", "dbm", "environ", "fail", "hash", "inline", "ldap", "lmdb", "memcache", "mysql", "pcre", "pgsql", "pipemap",
		"proxy", "randmap", "redis", "regexp", "socketmap", "sqlite", "static", "tcp", "texthash", "unionmap"}
}

func (o *Opener) build(spec string, aliases bool) (table.Table, error) {
	kind, name, ok := strings.Cut(spec, ":")
	if !ok {
		return nil, fmt.Errorf("expected is type:name, as in texthash:%s", spec)
	}
	switch kind {
	case "inline":
		return table.Inline(name)
	case "static":
		return table.NewStatic(name)
	case "fail":
		return failing(name), nil
	case "environ":
		return environ{}, nil
	case "proxy": // a process of Postfix's that many share; here all share tables anyway
		return o.one(name, aliases)
	case "tcp":
		return nettab.TCP(name, o.env())
	case "socketmap":
		return nettab.Socketmap(name, o.env())
	case "unionmap", "pipemap", "randmap":
		return o.combined(kind, name, aliases)
	}
	if !filepath.IsAbs(name) && name != "" {
		name = filepath.Join(o.Dir, name)
	}
	parse := o.parser(kind, name, aliases)
	if parse == nil {
		return nil, fmt.Errorf("unknown type %q; known are %s", kind, strings.Join(Types(), ", "))
	}
	if name == "" {
		return nil, fmt.Errorf("after %s: the path of the file is missing", kind)
	}
	return o.file(name, parse)
}

func (o *Opener) combined(kind, name string, aliases bool) (table.Table, error) {
	parts, err := table.Braced(name)
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("the list in braces is empty")
	}
	if kind == "randmap" {
		for i, part := range parts {
			if parts[i], err = table.Unbrace(part); err != nil {
				return nil, err
			}
		}
		return table.Rand{Values: parts, Intn: o.Intn}, nil
	}
	all, err := o.all(parts, aliases)
	if err != nil {
		return nil, err
	}
	if kind == "unionmap" {
		return table.Union(all), nil
	}
	return table.Pipe(all), nil
}

// failing is a table that can never be asked: a temporary failure for every key.
type failing string

func (f failing) Lookup(context.Context, string) (string, bool, error) {
	return "", false, fmt.Errorf("table fail:%s always fails", string(f))
}

func (failing) Pattern() bool { return false }

// Files are the open tables that are files.
func (o *Opener) Files() (files []*File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.open {
		if f, ok := t.(*File); ok {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b *File) int { return strings.Compare(a.path, b.path) })
	return files
}
