package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

// maxFile bounds a configuration file.
const maxFile = 4 << 20

// Error is one thing that is wrong with the configuration.
type Error struct {
	Where string // "postrider.toml:3", "--set", or "" if it belongs to no place
	Key   string // may be empty
	Msg   string
}

func (e Error) Error() string {
	s := e.Msg
	if e.Key != "" {
		s = e.Key + ": " + s
	}
	if e.Where != "" {
		s = e.Where + ": " + s
	}
	return s
}

// Errors are all that is wrong, in the order of the file.
type Errors []Error

func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Load reads the file at path (none if path is empty), applies the overrides ("key=TOML-value", in order), resolves
// what is left empty and validates. The error is an Errors unless the file cannot be read.
func Load(path string, sets []string) (*Config, error) {
	var text []byte
	if path != "" {
		fi, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
		if fi.Size() > maxFile {
			return nil, fmt.Errorf("configuration: %s is larger than %s", path, Size(maxFile))
		}
		if text, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
	}
	return Parse(path, text, sets)
}

// Parse is Load for a text already read; name stands for the file in errors.
func Parse(name string, text []byte, sets []string) (*Config, error) {
	p := &parse{config: Defaults(), where: map[string]string{}}
	p.text(name, text)
	for _, s := range sets {
		p.set(s)
	}
	resolve(p.config)
	p.validate()
	if len(p.errs) > 0 {
		return nil, p.errs
	}
	return p.config, nil
}

// parse is one reading of a configuration.
type parse struct {
	config *Config
	where  map[string]string // key → where it was last assigned
	errs   Errors
}

func (p *parse) fail(where, key, format string, args ...any) {
	p.errs = append(p.errs, Error{Where: where, Key: key, Msg: fmt.Sprintf(format, args...)})
}

// text applies a whole TOML document.
func (p *parse) text(name string, text []byte) {
	if !utf8.Valid(text) {
		p.fail(name, "", "not UTF-8")
		return
	}
	// The decoder finds what the parser alone does not: keys and tables that are there twice.
	var any map[string]any
	if err := toml.Unmarshal(text, &any); err != nil {
		var bad *toml.DecodeError
		if errors.As(err, &bad) {
			row, _ := bad.Position()
			name = fmt.Sprintf("%s:%d", name, row)
		}
		p.fail(name, "", "%s", strings.TrimPrefix(err.Error(), "toml: "))
		return
	}
	p.document(text, func(line int) string { return fmt.Sprintf("%s:%d", name, line) })
}

// set applies one --set.
func (p *parse) set(s string) {
	key, value, ok := strings.Cut(s, "=")
	if key = strings.TrimSpace(key); !ok || key == "" {
		p.fail("--set", "", "%q is not key=value", s)
		return
	}
	where := "--set " + key
	line := key + " = " + value
	var any map[string]any
	if err := toml.Unmarshal([]byte(line), &any); err != nil || strings.ContainsAny(s, "\n\r") {
		// The commonest slip: a string without quotes.
		p.fail(where, "", "%q is not a TOML value; a string needs quotes, as in --set '%s=\"…\"'", value, key)
		return
	}
	p.document([]byte(line), func(int) string { return where })
}

// resolve fills what is empty by default and follows from the system or from other keys.
func resolve(c *Config) {
	if c.Hostname == "" {
		c.Hostname = SystemHostname("/etc/hosts")
	}
	c.Hostname = strings.ToLower(strings.TrimSuffix(c.Hostname, "."))
	if c.Domain == "" {
		c.Domain = c.Hostname
	}
	c.Domain = strings.ToLower(strings.TrimSuffix(c.Domain, "."))
	if c.RunDir == "" && c.DataDir == DefaultDataDir {
		c.RunDir = defaultRunDir
	} else if c.RunDir == "" {
		c.RunDir = filepath.Join(c.DataDir, "run")
	}
	if c.MTA.HeloName == "" {
		c.MTA.HeloName = c.Hostname
	}
}
