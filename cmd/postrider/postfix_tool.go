package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// postfixTool is what Postfix's commands have in common: how options are read, how they complain, where the system is.
type postfixTool struct {
	*app
	name  string
	usage string // what stands behind "usage: "
	code  int    // of a command that fails
}

// postfixWords is an error in the words of Postfix's command, which scripts may look for.
type postfixWords string

func (w postfixWords) Error() string { return string(w) }

// option is a letter with its value.
type option struct {
	letter byte
	value  string
}

// options reads options of getopt(3): spec has the letters, and a colon behind each that has a value. They end at the first
// argument that is none, or at "--".
func (p *postfixTool) options(args []string, spec string) (list []option, operands []string, err error) {
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		arg := args[0]
		if args = args[1:]; arg == "--" {
			break
		}
		for i := 1; i < len(arg); i++ {
			at := strings.IndexByte(spec, arg[i])
			switch {
			case at < 0 || arg[i] == ':':
				fmt.Fprintf(p.stderr, "%s: invalid option -- '%s'\n", p.name, plain(arg[i:i+1]))
				return nil, nil, p.misused()
			case at+1 == len(spec) || spec[at+1] != ':':
				list = append(list, option{letter: arg[i]})
				continue
			case i+1 < len(arg):
				list = append(list, option{arg[i], arg[i+1:]})
			case len(args) == 0:
				fmt.Fprintf(p.stderr, "%s: option requires an argument -- '%c'\n", p.name, arg[i])
				return nil, nil, p.misused()
			default:
				list = append(list, option{arg[i], args[0]})
				args = args[1:]
			}
			break
		}
	}
	return list, args, nil
}

func (p *postfixTool) misused() error { return errors.New("usage: " + p.usage) }

// end prints an error in Postfix's form and returns the exit code.
func (p *postfixTool) end(err error) int {
	if err == nil {
		return 0
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(p.stderr, "%s: fatal: %s\n", p.name, plain(strings.TrimSuffix(line, "\n")))
	}
	return p.code
}

func (p *postfixTool) warn(format string, args ...any) {
	fmt.Fprintf(p.stderr, "%s: warning: %s\n", p.name, plain(fmt.Sprintf(format, args...)))
}

// place obeys -c, and MAIL_CONFIG where it leads to a system of ours: a folder with postrider.toml, or a data directory.
func (p *postfixTool) place(options []option) error {
	dir := ""
	for _, o := range options {
		if o.letter == 'c' {
			dir = o.value
		}
	}
	if dir == "" {
		if dir = p.getenv("MAIL_CONFIG"); dir == "" || !isSystem(dir) {
			return nil
		}
	}
	switch {
	case isData(dir):
		p.flags.Dir = dir
	case isSystem(dir):
		p.flags.Config = filepath.Join(dir, configName)
	default:
		return fmt.Errorf("-c %s: there is neither a %s nor a data directory; of Postfix's own configuration `postrider migrate postfix` makes ours", dir, configName)
	}
	return nil
}

func isSystem(dir string) bool { return isData(dir) || exists(filepath.Join(dir, configName)) }

// isData tells whether a folder is a data directory: the packs of messages are there, wherever the database is.
func isData(dir string) bool { return exists(filepath.Join(dir, "packs")) }

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// reserved puts what the system refuses to others than its owner into Postfix's words.
func reserved(err error) error {
	if err != nil && exitCode(err) == exitDenied {
		return fmt.Errorf("use of this command is reserved for the superuser, and the owner of the data directory\n%w", err)
	}
	return err
}

// plain is text as Postfix's commands print it: what is not printable is a question mark.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if printable(string(r)) != string(r) || r == '\t' || r == '\ufffd' {
			return '?'
		}
		return r
	}, s)
}

// maybeID tells whether Postfix would take s for a queue id; what it would not take it complains about.
func maybeID(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return s != ""
}

// queueState is the state that is one of Postfix's queues; empty for those that hold no mail of ours. Corrupt is ours only.
func queueState(name string) (state string, ok bool) {
	switch name {
	case "incoming", "active", "deferred", "hold", "corrupt":
		return name, true
	case "maildrop", "bounce", "defer", "trace", "flush":
		return "", true
	}
	return "", false
}
