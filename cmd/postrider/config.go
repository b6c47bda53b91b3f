package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/node"
)

// problem is one thing that is wrong with the configuration.
type problem struct {
	Where string `json:"where,omitempty"`
	Key   string `json:"key,omitempty"`
	Text  string `json:"error"`
}

func (c configCheckCmd) Run(a *app) error {
	file, _, err := a.where()
	if err != nil {
		return err
	}
	conf, err := a.load(c.Set)
	var wrong config.Errors
	if err != nil && (!a.flags.JSON || !errors.As(err, &wrong)) {
		return err
	}
	result := struct {
		OK       bool      `json:"ok"`
		File     string    `json:"file"` // empty: none
		Problems []problem `json:"problems"`
		Warnings []problem `json:"warnings,omitempty"` // the server would start
	}{File: file, Problems: []problem{}}
	for _, e := range wrong {
		result.Problems = append(result.Problems, problem{e.Where, e.Key, e.Msg})
	}
	if err == nil {
		result.Problems = append(result.Problems, unreadable(conf)...)
		wrong, doubtful := certificates(conf, result.Problems)
		result.Problems, result.Warnings = append(result.Problems, wrong...), append(doubtful, limits(conf)...)
		wrong, doubtful = a.tables(conf)
		result.Problems, result.Warnings = append(result.Problems, wrong...), append(result.Warnings, doubtful...)
	}
	result.OK = len(result.Problems) == 0
	if err := a.show(result, func(w io.Writer) {
		for _, p := range result.Warnings {
			fmt.Fprintf(w, "warning: %s: %s\n", p.Key, p.Text)
		}
		switch {
		case result.OK && file == "":
			fmt.Fprintln(w, "ok: no file, all defaults")
		case result.OK:
			fmt.Fprintln(w, "ok:", file)
		}
	}); err != nil || result.OK {
		return err
	}
	if a.flags.JSON {
		return &codeError{exitConfig, errors.New("the configuration is wrong")}
	}
	var lines []string
	for _, p := range result.Problems {
		lines = append(lines, fmt.Sprintf("%s: %s", p.Key, p.Text))
	}
	return withCode(exitConfig, "%s", strings.Join(lines, "\n"))
}

// certificates looks into the certificate files, but for keys that something else has been said of already.
func certificates(c *config.Config, said []problem) (wrong, doubtful []problem) {
	bad, warnings := node.CheckCertificates(context.Background(), c)
	for _, p := range bad {
		if !slices.ContainsFunc(said, func(s problem) bool { return strings.HasPrefix(s.Key, p.Key) }) {
			wrong = append(wrong, problem{Key: p.Key, Text: p.Text})
		}
	}
	for _, p := range warnings {
		doubtful = append(doubtful, problem{Key: p.Key, Text: p.Text})
	}
	return wrong, doubtful
}

// tables opens all lookup tables.
func (a *app) tables(c *config.Config) (wrong, doubtful []problem) {
	folder, err := a.folder()
	if err != nil {
		return []problem{{Text: err.Error()}}, nil
	}
	bad, warnings := node.CheckTables(c, folder)
	for _, p := range bad {
		wrong = append(wrong, said(p.Key, p.Text))
	}
	if len(bad) == 0 { // else the lists that name these tables would say the same again
		more, dubious := node.CheckAccess(c, folder)
		bad, warnings = more, append(warnings, dubious...)
		for _, p := range bad {
			wrong = append(wrong, said(p.Key, p.Text))
		}
	}
	for _, p := range warnings {
		doubtful = append(doubtful, said(p.Key, p.Text))
	}
	return wrong, doubtful
}

// said has the key once, and as exactly as the text has it: "access: access.smtp.KEY: …" is of access.smtp.KEY.
func said(key, text string) problem {
	if exact, rest, ok := strings.Cut(text, ": "); ok && (exact == key || strings.HasPrefix(exact, key+".")) {
		key, text = exact, rest
	}
	return problem{Key: key, Text: text}
}

// limits looks whether the system lets the server do what the configuration admits.
func limits(c *config.Config) (doubtful []problem) {
	for _, p := range node.CheckLimits(c) {
		doubtful = append(doubtful, problem{Key: p.Key, Text: p.Text})
	}
	return doubtful
}

func (c configShowCmd) Run(a *app) error {
	conf, err := a.load(c.Set)
	if err != nil {
		return err
	}
	if c.Running {
		var found bool
		if conf, found, err = a.running(conf); err != nil {
			return err
		} else if !found {
			return withCode(exitUnavailable, "no server runs on %s", conf.DataDir)
		}
	}
	return a.show(config.Values(conf), func(w io.Writer) { fmt.Fprint(w, config.Show(conf)) })
}

// running returns the configuration in force in the server that conf leads to, or conf where none runs.
func (a *app) running(conf *config.Config) (inForce *config.Config, found bool, err error) {
	ctx := context.Background()
	client, err := admin.Dial(ctx, conf.RunDir)
	if errors.Is(err, admin.ErrNoServer) {
		return conf, false, nil
	}
	if err != nil {
		return conf, false, err
	}
	defer client.Close()
	answer, err := client.Config(ctx)
	if err != nil {
		return conf, false, err
	}
	inForce, err = config.Parse("the server's configuration", []byte(answer.Text), nil)
	return inForce, true, err
}

func (configDefaultCmd) Run(a *app) error {
	text, err := config.Default()
	if err != nil {
		return err
	}
	return a.show(config.Values(config.Defaults()), func(w io.Writer) { fmt.Fprint(w, text) })
}

func (c configDiffCmd) Run(a *app) error {
	conf, err := a.load(c.Set)
	if err != nil {
		return err
	}
	base, found, err := a.running(conf)
	if err != nil {
		return err
	}
	if !found {
		if base, err = config.Parse("", nil, nil); err != nil {
			return err
		}
	}
	changes := config.Diff(base, conf)
	if changes == nil {
		changes = []config.Change{}
	}
	return a.show(changes, func(w io.Writer) {
		if found {
			fmt.Fprintln(w, "# From the running server to the file:")
		} else {
			fmt.Fprintln(w, "# No server runs. From the defaults to the file:")
		}
		for _, ch := range changes {
			note := ""
			if found && ch.Restart {
				note = "    # needs a restart"
			}
			fmt.Fprintf(w, "%s = %s -> %s%s\n", ch.Key, ch.Old, ch.New, note)
		}
	})
}
