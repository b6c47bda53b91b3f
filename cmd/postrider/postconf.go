package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/migrate/postfix"
)

const postconfUsage = "postconf [-c config_dir] [-d (parameter defaults)] [-e (edit configuration)] [-f (fold lines)] [-h (no names)] " +
	"[-H (no values)] [-n (non-default parameters)] [-p (main.cf, default)] [-x (expand parameter values)] [-X (exclude)] [-# (comment-out)] [name...]"

// postconf shows and changes our settings under Postfix's names.
func postconf(a *app, args []string) int {
	p := &postfixTool{app: a, name: "postconf", usage: postconfUsage, code: 1}
	options, names, err := p.options(args, "c:defhHnopvxX#")
	if err == nil {
		err = p.place(options)
	}
	if err != nil {
		return p.end(err)
	}
	has := func(letter byte) bool {
		return slices.ContainsFunc(options, func(o option) bool { return o.letter == letter })
	}
	t := &postconfTool{postfixTool: p, parameters: postfix.NewParameters(), noNames: has('h'), noValues: has('H')}
	switch {
	case has('d') && has('n'):
		return p.end(errors.New("specify one of -d -n"))
	case has('o'):
		return p.end(errors.New("-o: values are tried with `postrider config check --set`"))
	case has('e') || !has('n') && !has('d') && !has('X') && !has('#') && slices.ContainsFunc(names, func(s string) bool { return strings.Contains(s, "=") }):
		return p.end(reserved(t.edit(names)))
	case has('X'), has('#'):
		return p.end(reserved(t.takeOut(names, has('#'))))
	}
	return p.end(t.show(names, has('d'), has('n')))
}

type postconfTool struct {
	*postfixTool
	parameters        *postfix.Parameters
	noNames, noValues bool
}

// show prints parameters: all of them, those that differ from our defaults, or those that are named.
func (t *postconfTool) show(names []string, defaults, changed bool) error {
	var c *config.Config
	var err error
	if defaults {
		c, err = config.Parse("", nil, nil)
	} else {
		c, err = t.load(nil)
	}
	if err != nil {
		return err
	}
	values, differs := t.parameters.Values(c)
	all := len(names) == 0
	if all {
		names = t.parameters.Names()
	}
	for _, name := range names {
		value, ok := values[name]
		if !ok {
			if why, known := postfix.Why(name); known {
				t.warn("%s: has no counterpart here: %s", name, why)
			} else {
				t.warn("%s: unknown parameter", name)
			}
			continue
		}
		switch line := fmt.Sprintf("%s = %s", name, value); {
		case changed && !differs[name]:
		case t.noNames:
			fmt.Fprintln(t.stdout, printable(value))
		case t.noValues:
			fmt.Fprintln(t.stdout, name)
		default:
			fmt.Fprintln(t.stdout, printable(strings.TrimRight(line, " ")))
		}
	}
	return nil
}

// edit puts values into the configuration: all, or none if one is wrong.
func (t *postconfTool) edit(pairs []string) error {
	if len(pairs) == 0 {
		return errors.New("-e requires name=value argument")
	}
	c, err := t.load(nil)
	if err != nil {
		return err
	}
	values, _ := t.parameters.Values(c)
	changes := map[string]string{}
	for _, pair := range pairs {
		if strings.ContainsAny(pair, "\r\n") {
			return errors.New("-e, -X, or -# accepts no multi-line input")
		}
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("missing '=' after attribute name: %q", pair)
		}
		key, literal, err := t.parameters.Literal(strings.TrimSpace(name), value, values)
		if err != nil {
			return err
		}
		changes[key] = literal
	}
	return t.write(changes)
}

// takeOut removes the lines of parameters, so that defaults hold.
func (t *postconfTool) takeOut(names []string, comment bool) error {
	if len(names) == 0 {
		return errors.New("missing service argument")
	}
	changes := map[string]string{}
	for _, name := range names {
		if key, ok := t.parameters.Key(strings.TrimSpace(name)); ok {
			changes[key] = ""
		} else {
			t.warn("%s: unknown parameter", name)
		}
	}
	if comment {
		return t.writeWith(func(text string) (string, error) { return config.CommentOut(text, changes) })
	}
	return t.write(changes)
}

func (t *postconfTool) write(changes map[string]string) error {
	return t.writeWith(func(text string) (string, error) { return config.Edit(text, changes) })
}

// writeWith changes the configuration file: as a whole, or not at all if our reading refuses what would come of it.
func (t *postconfTool) writeWith(change func(string) (string, error)) error {
	file, overrides, err := t.where()
	if err != nil {
		return err
	}
	if file == "" { // the one that the next start would read
		file = defaultConfig
		if t.flags.Dir != "" {
			file = filepath.Join(t.flags.Dir, configName)
		}
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	unlock, err := lockFolder(filepath.Dir(file))
	if err != nil {
		return denied(err)
	}
	defer unlock()
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return denied(err)
	}
	text, err := change(string(old))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if _, err := config.Parse(file, []byte(text), overrides); err != nil {
		return err
	}
	if text == string(old) {
		return nil
	}
	return denied(replaceFile(file, []byte(text)))
}

func denied(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return withCode(exitDenied, "%w", err)
	}
	return err
}

// lockFolder waits until no other postconf changes a file of the folder: two at once would lose what one of them writes. Anybody
// who may read a folder can lock it, so the wait has an end.
func lockFolder(path string) (unlock func(), err error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	unlock = func() { _ = dir.Close() } // which ends the lock
	for end := time.Now().Add(editPatience); ; time.Sleep(scriptPause) {
		err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return unlock, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR), time.Now().After(end):
			unlock()
			return nil, fmt.Errorf("%s is locked by another program: %w", path, err)
		}
	}
}

// editPatience is how long another postconf is waited for.
const editPatience = 10 * time.Second

// replaceFile puts a text in the place of a file, with its owner and mode: at each moment one of them is there, whole.
func replaceFile(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	mode := fs.FileMode(0o644)
	if info, serr := os.Stat(path); serr == nil {
		mode = info.Mode().Perm()
		if st, ok := info.Sys().(*syscall.Stat_t); ok && (int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid()) {
			err = f.Chown(int(st.Uid), int(st.Gid))
		}
	}
	if err == nil {
		_, err = f.Write(text)
	}
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
