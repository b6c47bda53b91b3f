package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/node"
)

// Exit codes of sysexits.h.
const (
	exitUsage       = 64 // the command line is wrong
	exitData        = 65 // an argument is: it exists already, is in use, is not an address
	exitNoInput     = 66 // a file or folder is not there
	exitNoUser      = 67 // what is named is not there: account, alias, domain, message
	exitUnavailable = 69 // the server is not there, or a port is taken
	exitSoftware    = 70 // anything else
	exitCantCreate  = 73 // a file cannot be made
	exitIO          = 74 // the disk failed
	exitTemporary   = 75 // it may work later
	exitDenied      = 77 // permission
	exitConfig      = 78 // the configuration is wrong
)

// usageError is a wrong command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// codeError is an error with its exit code.
type codeError struct {
	code int
	err  error // nil: all is said
}

func (e *codeError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}
func (e *codeError) Unwrap() error { return e.err }

func withCode(code int, format string, args ...any) error {
	return &codeError{code, fmt.Errorf(format, args...)}
}

// fail prints an error and returns the exit code.
func (a *app) fail(err error) int {
	if err == nil {
		return 0
	}
	said := map[string]bool{} // joined errors often have one cause
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSuffix(line, "\n"); !said[line] {
			fmt.Fprintf(a.stderr, "postrider: %s\n", printable(line))
		}
		said[line] = true
	}
	return exitCode(err)
}

func exitCode(err error) int {
	var (
		coded  *codeError
		usage  *usageError
		wrong  config.Errors
		remote *admin.Error
	)
	switch {
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &wrong):
		return exitConfig
	case errors.As(err, &remote):
		return kindCode(remote.Kind)
	case errors.Is(err, status.ErrFatal), errors.Is(err, syscall.EIO):
		return exitIO
	case errors.Is(err, node.ErrNoDatabase):
		return exitNoInput
	case errors.Is(err, node.ErrLocked), errors.Is(err, status.ErrNoSpace), errors.Is(err, syscall.ENOSPC):
		return exitTemporary
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, syscall.EADDRNOTAVAIL):
		return exitUnavailable
	case errors.Is(err, fs.ErrPermission), errors.Is(err, os.ErrPermission):
		return exitDenied
	case errors.Is(err, fs.ErrNotExist):
		return exitNoInput
	}
	return exitSoftware
}

func kindCode(k admin.Kind) int {
	switch k {
	case admin.NotFound:
		return exitNoUser
	case admin.Exists, admin.InUse, admin.Invalid:
		return exitData
	case admin.Temporary:
		return exitTemporary
	case admin.Unavailable:
		return exitUnavailable
	case admin.Denied:
		return exitDenied
	}
	return exitSoftware
}
