package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/agent/lookup"
	tables "github.com/postrider/postrider/internal/decide/table"
)

// postmap is the program of that name for who knows it: it asks a table (-q), shows it (-s), or checks its text. Nothing is
// compiled: the text is what is in force. docs/tables.md has its options.
func postmap(a *app, args []string) int { return (&mapTool{app: a, name: "postmap"}).run(args) }

// postalias is postmap for files of aliases(5).
func postalias(a *app, args []string) int {
	return (&mapTool{app: a, name: "postalias", aliases: true}).run(args)
}

type mapTool struct {
	*app
	name    string
	aliases bool

	query    string
	asked    bool
	sequence bool
	names    []string
	opener   lookup.Opener
}

// The letters of postmap's options. Those that say how a file is compiled mean nothing here and are taken.
const (
	postmapFlags  = "fFnNoprsuUvw"
	postmapValues = "cq"
)

func (m *mapTool) run(args []string) int {
	err := m.parse(args)
	if err == nil {
		var found bool
		if found, err = m.work(); err == nil && !found {
			return 1
		}
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(m.stderr, "%s: fatal: %s\n", m.name, printable(strings.TrimSuffix(line, "\n")))
		}
		return 1 // as Postfix's do; not of sysexits.h
	}
	return 0
}

func (m *mapTool) parse(args []string) error {
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		arg := args[0]
		if args = args[1:]; arg == "--" {
			break
		}
		for i := 1; i < len(arg); i++ {
			c, value := arg[i], arg[i+1:]
			switch {
			case strings.IndexByte(postmapFlags, c) >= 0:
				m.sequence = m.sequence || c == 's'
				continue
			case c == 'd' || c == 'i':
				return fmt.Errorf("-%c changes a compiled table; tables are their text here: edit that, it is in force within seconds", c)
			case strings.IndexByte("bhm", c) >= 0 && !m.aliases:
				return fmt.Errorf("-%c is not supported: ask for single lines with -q", c)
			case strings.IndexByte(postmapValues, c) < 0:
				return fmt.Errorf("there is no option -%c\nusage: %s", c, m.usage())
			case value == "" && len(args) == 0:
				return fmt.Errorf("the option -%c wants a value\nusage: %s", c, m.usage())
			case value == "":
				value, args = args[0], args[1:]
			}
			if c == 'q' {
				m.query, m.asked = value, true
			}
			break
		}
	}
	if m.names = args; len(args) == 0 {
		return errors.New("no table is named\nusage: " + m.usage())
	}
	for i, name := range m.names {
		if !strings.Contains(name, ":") {
			m.names[i] = "hash:" + name
		}
	}
	return nil
}

func (m *mapTool) usage() string {
	return m.name + " [-q key | -q - | -s] [type:]file ..."
}

// work does what was asked; found is false if a key has no value.
func (m *mapTool) work() (found bool, err error) {
	dir, err := os.Getwd()
	if err != nil {
		return false, err
	}
	m.opener = lookup.Opener{Dir: dir, Now: time.Now, Intn: rand.IntN, Log: slog.New(slog.DiscardHandler)}
	if m.asked && m.query == "-" {
		return m.queries()
	}
	for _, name := range m.names {
		t, err := m.open(name)
		if err != nil {
			return false, err
		}
		switch {
		case m.asked:
			value, has, err := t.Lookup(context.Background(), m.query, false)
			if err != nil {
				return false, err
			}
			if has {
				fmt.Fprintln(m.stdout, value)
				return true, nil
			}
		case m.sequence:
			if err := m.show(name, t); err != nil {
				return false, err
			}
		default:
			if _, ok := t[0].(*lookup.File); !ok {
				return false, fmt.Errorf("%s is no file: there is nothing to check", name)
			}
		}
	}
	return !m.asked, nil
}

// open opens a table and tells of its lines that cannot be used.
func (m *mapTool) open(name string) (tables.List, error) {
	open := m.opener.List
	if m.aliases {
		open = m.opener.Aliases
	}
	t, err := open(name)
	if err != nil {
		return nil, err
	}
	if len(t) != 1 {
		return nil, fmt.Errorf("%q: expected is one table; give several as arguments of their own", name)
	}
	if file, ok := t[0].(*lookup.File); ok {
		for _, p := range file.Problems() {
			fmt.Fprintf(m.stderr, "%s: warning: %s, line %d: %s\n", m.name, file.Path(), p.Line, printable(p.Text))
		}
	}
	return t, nil
}

// queries answers each line of standard input with its key, a tab and its value, or not at all; found tells that one at
// least has a value, as postmap(1) says.
func (m *mapTool) queries() (found bool, err error) {
	var all tables.List
	for _, name := range m.names {
		t, err := m.open(name)
		if err != nil {
			return false, err
		}
		all = append(all, t...)
	}
	in, out := bufio.NewReader(m.stdin), bufio.NewWriter(m.stdout)
	defer out.Flush()
	for {
		key, err := in.ReadString('\n')
		if key = strings.TrimSuffix(key, "\n"); key != "" {
			value, has, failed := all.Lookup(context.Background(), key, false)
			if failed != nil {
				return false, failed
			}
			if has {
				fmt.Fprintf(out, "%s\t%s\n", key, value)
			}
			found = found || has
		}
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return false, err
		}
	}
}

func (m *mapTool) show(name string, t tables.List) error {
	out := bufio.NewWriter(m.stdout)
	line := func(key, value string) bool {
		fmt.Fprintf(out, "%s\t%s\n", key, value)
		return true
	}
	switch of := t[0].(type) {
	case *lookup.File:
		if !of.All(line) {
			return fmt.Errorf("%s: rules and databases have no sequence of keys; read the file, or ask with -q", name)
		}
	case *tables.Fixed:
		of.All(line)
	default:
		return fmt.Errorf("%s has no sequence of keys", name)
	}
	return out.Flush()
}
