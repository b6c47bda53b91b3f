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
		if err := c.write(result); err != nil {
			return err
		}
	}
	if err := c.tell(a, result); err != nil || result.Complete() {
		return err
	}
	return &codeError{exitConfig, fmt.Errorf("%d lines are left for you to see to", result.Counts()[postfix.Unsupported])}
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

// write makes the folder. Files are new ones in any case.
func (c migratePostfixCmd) write(r *postfix.Result) error {
	var report strings.Builder
	r.WriteReport(&report)
	files := map[string][]byte{"postrider.toml": []byte(r.Config), "report.txt": []byte(report.String())}
	for name, text := range r.Files {
		files[name] = text
	}
	for name, text := range files {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("%q would be outside of %s", name, c.Output)
		}
		path := filepath.Join(c.Output, name)
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
	_, err := config.Load(filepath.Join(c.Output, "postrider.toml"), nil)
	return err
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
