package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"golang.org/x/term"
)

// maxPasswordLine bounds what is read for a password, bytes.
const maxPasswordLine = 4096 + 2

// newPassword reads a new password, or its stored form, as the flags say.
func (a *app) newPassword(f passwordFlags) (p admin.Password, err error) {
	if f.StoredStdin {
		p.Stored, err = a.passwordLine()
	} else {
		p.Password, err = a.password(f.PasswordStdin)
	}
	return p, err
}

// passwordLine reads the first line of standard input.
func (a *app) passwordLine() (string, error) {
	line, err := bufio.NewReader(io.LimitReader(a.stdin, maxPasswordLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", withCode(exitData, "there is no password on standard input")
	}
	return line, nil
}

// password reads a new password: the first line of standard input where that is asked for, else twice from the terminal.
func (a *app) password(fromStdin bool) (string, error) {
	if fromStdin {
		return a.passwordLine()
	}
	if !term.IsTerminal(int(a.stdin.Fd())) {
		return "", usagef("standard input is no terminal to ask for the password: add --password-stdin")
	}
	first, err := a.ask("Password: ")
	if err != nil {
		return "", err
	}
	again, err := a.ask("Again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", withCode(exitData, "the two are not the same")
	}
	return first, nil
}

// ask reads a line that the terminal does not show.
func (a *app) ask(prompt string) (string, error) {
	fmt.Fprint(a.stderr, prompt)
	line, err := term.ReadPassword(int(a.stdin.Fd()))
	fmt.Fprintln(a.stderr)
	return string(line), err
}
