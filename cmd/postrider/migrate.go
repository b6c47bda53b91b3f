package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/agent/lookup"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/migrate/postfix"
)

func (c migratePostfixCmd) Run(a *app) error {
	host := config.SystemHostname("/etc/hosts")
	origin, err := postfix.Read(c.From, host)
	if err != nil {
		return err
	}
	if err := c.free(); err != nil {
		return err
	}
	result, err := postfix.Move(origin, postfix.Options{Output: c.Output, Hostname: host, TableTypes: lookup.Types(), KeepMailboxes: c.KeepMailboxes})
	if err != nil {
		return err
	}
	if c.Output != "" && !c.DryRun {
		err = a.writeMigration(c.Output, result)
	} else {
		err = a.tryMigration(result)
	}
	if err != nil {
		return err
	}
	if err := c.tell(a, result); err != nil || result.Complete() {
		return err
	}
	left := "1 line is"
	if n := result.Counts()[postfix.Unsupported]; n != 1 {
		left = fmt.Sprintf("%d lines are", n)
	}
	return &codeError{exitConfig, fmt.Errorf("%s left for you to see to", left)}
}

// free makes sure that nothing is overwritten, and that the source is not written into.
func (c migratePostfixCmd) free() error {
	if c.Output == "" || c.DryRun {
		return nil
	}
	if rel, err := filepath.Rel(c.From, c.Output); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return usagef("--output %s is in the source, which is not touched; name another folder", c.Output)
	}
	entries, err := os.ReadDir(c.Output)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return withCode(exitCantCreate, "%s is not empty; nothing is overwritten: name a folder that is not there", c.Output)
	}
	return nil
}

// writeMigration makes the folder, looks at the result as `config check` does, and writes the report last.
func (a *app) writeMigration(dir string, r *postfix.Result) error {
	files := map[string][]byte{configName: []byte(r.Config)}
	for name, text := range r.Files {
		files[name] = text
	}
	if err := newFiles(dir, files); err != nil {
		return err
	}
	if err := a.checkMigration(dir, r); err != nil {
		return err
	}
	var report strings.Builder
	r.WriteReport(&report)
	return newFiles(dir, map[string][]byte{"report.txt": []byte(report.String())})
}

// tryMigration is writeMigration into a folder that is removed again, so that a report without --output says the same.
func (a *app) tryMigration(r *postfix.Result) error {
	dir, err := os.MkdirTemp("", "postrider-migrate-")
	if err != nil {
		return &codeError{exitCantCreate, err}
	}
	return errors.Join(a.writeMigration(dir, r), os.RemoveAll(dir))
}

// checkMigration adds to the report what `config check` would say is wrong: an open relay, tables and certificates that
// cannot be read.
func (a *app) checkMigration(dir string, r *postfix.Result) error {
	there := *a
	there.flags.Config, there.flags.Dir = filepath.Join(dir, configName), ""
	conf, err := config.Load(there.flags.Config, nil)
	if err != nil {
		return err
	}
	wrong, _ := certificates(conf, nil)
	tables, _ := there.tables(conf)
	for _, p := range append(wrong, tables...) {
		r.Lines = append(r.Lines, postfix.Line{File: configName, Fate: postfix.Unsupported, Text: p.Key + ": " + strings.ReplaceAll(p.Text, "\n", "; ")})
	}
	return nil
}

// newFiles writes files that are not there yet.
func newFiles(dir string, files map[string][]byte) error {
	for name, text := range files {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%q would be outside of %s", name, dir)
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return &codeError{exitCantCreate, err}
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return &codeError{exitCantCreate, err}
		}
		_, err = f.Write(text)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// tell prints the report.
func (c migratePostfixCmd) tell(a *app, r *postfix.Result) error {
	written := []string{}
	if c.Output != "" && !c.DryRun {
		written = append(written, "postrider.toml", "report.txt")
		for name := range r.Files {
			written = append(written, name)
		}
		slices.Sort(written)
	}
	out := struct {
		OK     bool                 `json:"ok"` // nothing is left for the operator
		Counts map[postfix.Fate]int `json:"counts"`
		Lines  []postfix.Line       `json:"lines"`
		Output string               `json:"output,omitempty"`
		Files  []string             `json:"files"` // in output
		Config string               `json:"config"`
	}{r.Complete(), r.Counts(), r.Lines, c.Output, written, r.Config}
	return a.show(out, func(w io.Writer) {
		r.WriteReport(w)
		switch {
		case c.DryRun || c.Output == "":
			fmt.Fprintf(w, "\nNothing was written. With --output DIR this would be DIR/postrider.toml:\n\n%s", r.Config)
		default:
			fmt.Fprintf(w, "\n%s holds %s.\nNext: postrider --config %s config check; docs/migrate-postfix.md tells how the move goes on.\n",
				printable(c.Output), printable(strings.Join(written, ", ")), printable(filepath.Join(c.Output, "postrider.toml")))
		}
	})
}
