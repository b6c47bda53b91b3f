package main

import (
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// app is what a command has at hand.
type app struct {
	flags  flags
	stdin  *os.File
	stdout *os.File
	stderr io.Writer
	getenv func(string) string
}

func newApp() *app {
	return &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
}

// terminal tells whether a person reads the output.
func (a *app) terminal() bool { return term.IsTerminal(int(a.stdout.Fd())) }

// colour tells whether that person may see colours (https://no-color.org).
func (a *app) colour() bool {
	return a.terminal() && a.getenv("NO_COLOR") == "" && a.getenv("TERM") != "dumb"
}

// bold marks text on a terminal.
func (a *app) bold(s string) string {
	if !a.colour() {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

// printable replaces what could command a terminal: control characters of text that strangers wrote.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return '\ufffd'
		}
		return r
	}, s)
}
