package node

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/agent/certs"
	"github.com/postrider/postrider/internal/agent/lookup"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/table"
)

// newTables makes the opener of lookup tables. A table that several settings name is opened once.
func newTables(o Options) *lookup.Opener {
	folder, now := o.Folder, o.Now
	if folder == "" {
		folder = o.Config.DataDir
	}
	if now == nil {
		now = time.Now
	}
	return &lookup.Opener{Dir: folder, Now: now, Intn: rand.IntN, Log: o.Log.Logger}
}

// openTables opens every table that a configuration names, so that one that cannot be opened refuses the start or the
// reload; whoever takes a setting's tables from n.tables afterwards gets those.
func openTables(tables *lookup.Opener, c *config.Config) error {
	return joined(checkTables(tables, c))
}

// joined is one error of all that is wrong.
func joined(wrong []certs.Problem) error {
	var errs []error
	for _, p := range wrong {
		errs = append(errs, fmt.Errorf("%s: %s", p.Key, p.Text))
	}
	return errors.Join(errs...)
}

// CheckTables opens every table that a configuration names, for `config check`; folder is where relative paths begin. What
// could not be opened is wrong; lines of files that cannot be used, and files that anybody can read though they hold a
// password, are doubtful. No server of a database is asked: one that is down is no fault of the configuration.
func CheckTables(c *config.Config, folder string) (wrong, warnings []certs.Problem) {
	if folder == "" {
		folder = c.DataDir
	}
	tables := &lookup.Opener{Dir: folder, Now: time.Now, Intn: rand.IntN, Log: slog.New(slog.DiscardHandler)}
	if wrong = checkTables(tables, c); len(wrong) == 0 {
		wrong = checkRouting(tables, c)
	}
	wrong = append(append(append(wrong, checkStrangers(c)...), checkFilters(c)...), checkDelivery(c)...)
	for _, f := range tables.Files() {
		for _, p := range f.Problems() {
			warnings = append(warnings, certs.Problem{Key: f.Path(), Text: p.String()})
		}
	}
	return wrong, warnings
}

func checkTables(tables *lookup.Opener, c *config.Config) (wrong []certs.Problem) {
	eachTable(c, func(key, name string) {
		open := tables.List
		if strings.HasSuffix(key, ".alias_maps") {
			open = tables.Aliases
		}
		if _, err := open(name); err != nil {
			wrong = append(wrong, certs.Problem{Key: key, Text: err.Error()})
		}
	})
	return wrong
}

// tableFiles are the files that settings name as tables, by absolute paths.
func tableFiles(c *config.Config) (files []string) {
	eachTable(c, func(_, name string) {
		kind, path, _ := strings.Cut(strings.TrimPrefix(name, "proxy:"), ":")
		if filepath.IsAbs(path) {
			files = append(files, lookup.FilesOf(kind, path)...)
		}
	})
	return files
}

// eachTable calls yield for the name of each table that a configuration mentions, with the key that does.
func eachTable(c *config.Config, yield func(key, name string)) {
	for _, v := range config.Values(c) {
		list, _ := v.Value.([]any)
		for _, item := range list {
			text, _ := item.(string)
			for _, name := range tablesIn(text, 0) {
				yield(v.Key, name)
			}
		}
	}
}

// tablesIn finds the names of tables in a value in Postfix's syntax: words that begin with a type's name and a colon, in
// braces too ("check_client_access { cidr:/x }"), and the tables that others are made of.
func tablesIn(text string, depth int) (names []string) {
	words, err := table.Split(text)
	if err != nil || depth > 5 {
		return nil // for the key's own rules to say
	}
	for _, word := range words {
		word = strings.TrimLeft(word, "!")
		kind, rest, ok := strings.Cut(strings.TrimPrefix(word, "proxy:"), ":")
		if known := ok && !strings.HasPrefix(rest, "//") && slices.Contains(lookup.Types(), kind); known {
			names = append(names, word)
			word = rest
			if kind != "unionmap" && kind != "pipemap" {
				continue
			}
		}
		if strings.HasPrefix(word, "{") {
			if inner, err := table.Unbrace(word); err == nil {
				names = append(names, tablesIn(inner, depth+1)...)
			}
		}
	}
	return names
}
