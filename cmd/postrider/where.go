package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/postrider/postrider/internal/config"
)

// Places that commands look at when nothing else is said.
const (
	defaultConfig = "/etc/postrider/postrider.toml"
	configName    = "postrider.toml" // in a data directory
	envDir        = "POSTRIDER_DIR"
)

// where finds the configuration file, "" for none, and what --dir overrides in it.
func (a *app) where() (file string, overrides []string, err error) {
	dir := a.flags.Dir
	if dir == "" && a.flags.Config == "" {
		dir = a.getenv(envDir)
	}
	if dir != "" {
		if dir, err = filepath.Abs(dir); err != nil {
			return "", nil, err
		}
		overrides = []string{setText("data_dir", dir)}
	}
	switch {
	case a.flags.Config != "":
		return a.flags.Config, overrides, nil
	case dir != "":
		file = filepath.Join(dir, configName)
	default:
		file = defaultConfig
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return "", overrides, nil // an empty configuration is a valid one
	}
	return file, overrides, nil
}

// folder is that of the configuration file; relative paths of lookup tables begin there. Empty: there is no file.
func (a *app) folder() (string, error) {
	file, _, err := a.where()
	if err != nil || file == "" {
		return "", err
	}
	file, err = filepath.Abs(file)
	return filepath.Dir(file), err
}

// load reads the configuration that is meant; sets are those of the command line.
func (a *app) load(sets []string) (*config.Config, error) {
	file, overrides, err := a.where()
	if err != nil {
		return nil, err
	}
	c, err := config.Load(file, append(overrides, sets...))
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, withCode(exitDenied, "%w: run the command as root or as the user that owns it", err)
	case err != nil:
		return nil, &codeError{exitConfig, err}
	}
	return c, nil
}

// setText is a --set for a string.
func setText(key, value string) string { return fmt.Sprintf("%s=%s", key, tomlString(value)) }

// tomlString writes a string in TOML, where only few escapes of Go's exist.
func tomlString(s string) string {
	out := []byte{'"'}
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			out = fmt.Appendf(out, `\u%04X`, r)
		default:
			out = append(out, string(r)...)
		}
	}
	return string(append(out, '"'))
}
