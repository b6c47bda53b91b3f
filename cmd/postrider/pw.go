package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/crypt"
	"golang.org/x/term"
)

func (c pwHashCmd) Run(a *app) error {
	if err := writable(c.Scheme); err != nil {
		return err
	}
	password, err := a.password(c.PasswordStdin)
	if err != nil {
		return err
	}
	stored, err := crypt.Hash(c.Scheme, c.User, password, rand.Reader)
	if err != nil {
		return &codeError{exitData, err}
	}
	return a.show(struct {
		Stored string `json:"stored"`
	}{stored}, func(w io.Writer) { io.WriteString(w, stored+"\n") })
}

// writable tells, before anybody has typed a password, whether a scheme can be written.
func writable(scheme string) error {
	var names []string
	for _, s := range crypt.Schemes() {
		if s.Write {
			names = append(names, s.Name)
		}
		if !strings.EqualFold(s.Name, scheme) {
			continue
		}
		if s.Write {
			return nil
		}
		return usagef("{%s} can be checked, not made: it is too weak for new passwords or its use is over; take %s", s.Name, crypt.DefaultScheme)
	}
	hint := ""
	if near := config.Nearest(strings.ToUpper(scheme), names); near != "" {
		hint = "; did you mean " + near + "?"
	}
	return usagef("no scheme %q can be written; there are %s%s", scheme, strings.Join(names, ", "), hint)
}

func (c pwCheckCmd) Run(a *app) error {
	stored, password, err := a.storedAndPassword(c.Stdin)
	if err != nil {
		return err
	}
	fits, err := crypt.Verify(stored, c.User, password)
	if err != nil {
		return &codeError{exitData, err}
	}
	if !fits {
		return withCode(exitDenied, "the password does not fit")
	}
	return a.done(struct {
		Fits bool `json:"fits"`
	}{true}, "the password fits")
}

// storedAndPassword reads the two that are to be compared.
func (a *app) storedAndPassword(stdin bool) (stored, password string, err error) {
	if !stdin {
		if !term.IsTerminal(int(a.stdin.Fd())) {
			return "", "", usagef("standard input is no terminal to ask: add --stdin")
		}
		if stored, err = a.ask("Stored form: "); err == nil {
			password, err = a.ask("Password: ")
		}
		return stored, password, err
	}
	lines := bufio.NewReader(io.LimitReader(a.stdin, 2*maxPasswordLine))
	for _, to := range []*string{&stored, &password} {
		line, err := lines.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", "", err
		}
		if *to = strings.TrimRight(line, "\r\n"); *to == "" {
			return "", "", withCode(exitData, "standard input has not two lines: the stored form, then the password")
		}
	}
	return stored, password, nil
}

func (pwSchemesCmd) Run(a *app) error {
	type scheme struct {
		Name  string `json:"scheme"`
		Write bool   `json:"write"`
		Weak  bool   `json:"weak"`
	}
	var list []scheme
	for _, s := range crypt.Schemes() {
		list = append(list, scheme(s))
	}
	return a.show(list, func(w io.Writer) {
		t := newTable("SCHEME", "CHECKED", "WRITTEN", "WEAK")
		for _, s := range list {
			t.row(s.Name, "yes", yesNo(s.Write), yesNo(s.Weak))
		}
		t.write(a, w, "")
	})
}
