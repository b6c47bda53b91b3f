package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"golang.org/x/sys/unix"
)

// namedFile is a file that a key of the configuration names.
type namedFile struct {
	key, path   string
	certificate bool // the helper can read it for the server
}

func namedFiles(c *config.Config) []namedFile {
	list := []namedFile{{"tls.cert", c.TLS.Cert, true}, {"tls.key", c.TLS.Key, true}, {"tls.ca", c.TLS.CA, false},
		{"tls.client_ca", c.TLS.ClientCA, false}, {"tls.acme.ca", c.TLS.ACME.CA, false},
		{"tls.acme.dns.key_secret_file", c.TLS.ACME.DNS.KeySecretFile, false},
		{"mta.smart_host.password_file", c.MTA.SmartHost.PasswordFile, false}}
	for _, pair := range c.TLS.Certificates {
		for path := range strings.FieldsSeq(pair) {
			list = append(list, namedFile{"tls.certificates", path, true})
		}
	}
	return list
}

// unreadable finds files that the configuration names and that the server cannot read. Asked by root, where there is a
// service user, the question is what that user can.
func unreadable(c *config.Config) (list []problem) {
	uid, gids, err := serviceIDs()
	drops := err == nil && os.Geteuid() == 0
	for _, f := range namedFiles(c) {
		if f.path == "" {
			continue
		}
		_, err := os.Stat(f.path)
		if err == nil && drops {
			err = openAs(f.path, uid, gids)
		}
		switch {
		case err == nil, errors.Is(err, fs.ErrPermission) && f.certificate && c.Helper.Enabled:
			continue
		case errors.Is(err, fs.ErrPermission) && drops && f.certificate:
			err = fmt.Errorf("the user %s cannot read %s: set helper.enabled = true and start postrider-helper.socket, so that the helper reads it, or let %s read it",
				serviceUser, f.path, serviceUser)
		case errors.Is(err, fs.ErrPermission) && drops:
			err = fmt.Errorf("the user %s cannot read %s: chown %s %s", serviceUser, f.path, serviceUser, f.path)
		}
		list = append(list, problem{Key: f.key, Text: err.Error()})
	}
	return list
}

// openAs tells what opening a file for reading gives another user: the kernel answers, in a thread that takes that user's
// rights to files and ends with the question.
func openAs(path string, uid int, gids []int) error {
	answer := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread's rights are not for others
		answer <- func() error {
			if err := errors.Join(unix.Setgroups(gids), unix.Setfsgid(gids[0]), unix.Setfsuid(uid)); err != nil {
				return err
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			return f.Close()
		}()
	}()
	return <-answer
}
