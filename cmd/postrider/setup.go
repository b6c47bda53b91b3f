package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/web/setup"
)

func (c accountSetupCmd) Run(a *app) error {
	return a.operate(func(ctx context.Context, api admin.API) error {
		s, err := api.Setup(ctx, c.Address)
		if err != nil {
			return err
		}
		code, err := c.files(a, s)
		if err != nil {
			return err
		}
		s.Profile = nil // a file, not a text
		return a.show(s, func(w io.Writer) { a.showSetup(w, s, code) })
	})
}

// files writes what is wanted as a file, and returns the drawing of the QR code.
func (c accountSetupCmd) files(a *app, s admin.Setup) (code string, err error) {
	if (c.QR || c.QRPNG != "") && s.ProfileURL == "" {
		return "", withCode(exitUnavailable, "a QR code shows where the profile is, and no listener serves it: enable listeners.https, or say setup.url")
	}
	if c.QR {
		if code, err = drawCode(s.ProfileURL, a.colour()); err != nil {
			return "", err
		}
	}
	if c.QRPNG != "" {
		png, err := setup.QRPNG(s.ProfileURL)
		if err == nil {
			err = writeNew(c.QRPNG, png)
		}
		if err != nil {
			return "", err
		}
	}
	if c.MobileConfig == "" {
		return code, nil
	}
	if len(s.Profile) == 0 {
		return "", withCode(exitUnavailable, "there is no profile: the host offers no way to read mail, or none to send it; see listeners and setup in the configuration")
	}
	return code, writeNew(c.MobileConfig, s.Profile)
}

// drawCode draws for a terminal: with colours black on white, whatever the terminal's own; without them for a dark one.
func drawCode(text string, colour bool) (string, error) {
	drawing, err := setup.QRText(text, !colour)
	if err != nil || !colour {
		return drawing, err
	}
	const blackOnWhite, normal = "\x1b[38;5;16;48;5;231m", "\x1b[0m\n"
	return blackOnWhite + strings.ReplaceAll(strings.TrimSuffix(drawing, "\n"), "\n", normal+blackOnWhite) + normal, nil
}

// writeNew writes a file that others may read. It holds no secret.
func writeNew(name string, text []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return &codeError{exitCantCreate, err}
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return &codeError{exitCantCreate, err}
	}
	return nil
}

// showSetup is what a person sends to another one, or types.
func (a *app) showSetup(w io.Writer, s admin.Setup, code string) {
	a.facts(w, "address", s.Address, "user name", s.User, "password", "the account's", "page", s.PageURL, "profile", s.ProfileURL)
	head := func(text string) { fmt.Fprintf(w, "\n%s\n", a.bold(text)) }
	head("Services, the best first")
	t := newTable("PROTOCOL", "HOST", ">PORT", "SECURITY")
	for _, v := range s.Services {
		t.row(strings.ToUpper(v.Protocol), v.Host, strconv.Itoa(v.Port), v.Security)
	}
	t.write(a, w, "None: see listeners and setup in the configuration.")
	head("Records for the domain's zone, by which clients find all this")
	for _, r := range s.Records {
		fmt.Fprintln(w, printable(r))
	}
	if code != "" {
		head("The profile for an iPhone, iPad or Mac")
		fmt.Fprint(w, code)
	}
}
