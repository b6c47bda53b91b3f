package privhelper

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// identity is a user of the system, as passwd(5) has it.
type identity struct {
	name        string
	uid, gid    int
	home, shell string
}

// identities finds the user of a line that fits.
func (h *Helper) identity(fits func(identity) bool) (identity, error) {
	var found identity
	err := h.eachIdentity(func(one identity) bool {
		if fits(one) {
			found = one
		}
		return found.name == ""
	})
	if err == nil && found.name == "" {
		err = errNobody
	}
	return found, err
}

// eachIdentity goes through the users of the system, until next returns false.
func (h *Helper) eachIdentity(next func(identity) bool) error {
	passwd, err := readWhole(h.Shadow.Passwd, "/etc/passwd")
	if err != nil {
		return err
	}
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) != 7 || !validUser(f[0]) {
			continue
		}
		uid, err1 := strconv.ParseUint(f[2], 10, 31)
		gid, err2 := strconv.ParseUint(f[3], 10, 31)
		if one := (identity{f[0], int(uid), int(gid), f[5], f[6]}); err1 == nil && err2 == nil && !next(one) {
			break
		}
	}
	return nil
}

var errNobody = errors.New("no such user")

// person is the system user who may have a .forward: never one of the system's own.
func (h *Helper) person(name string) (identity, error) {
	who, err := h.identity(func(i identity) bool { return i.name == name })
	if err == nil && !h.isPerson(who) {
		err = fmt.Errorf("%w: the user id %d of %q is not that of a person (--min-uid)", errNobody, who.uid, name)
	}
	return who, err
}

func (h *Helper) isPerson(who identity) bool {
	return who.uid >= h.Shadow.MinUID && who.uid <= maxUID && who.uid != 0
}

// become gives up all rights but those of a user, for good and in all threads: uid, gid, no other group, no capability.
func become(who identity) error {
	if who.uid == 0 || who.gid == 0 {
		return fmt.Errorf("%q has rights of root's", who.name)
	}
	if os.Geteuid() != 0 {
		if os.Geteuid() == who.uid {
			return nil // a helper that is not root serves its own user
		}
		return fmt.Errorf("the helper is not root, and cannot act as %q", who.name)
	}
	err := errors.Join(syscall.Setgroups([]int{who.gid}), syscall.Setresgid(who.gid, who.gid, who.gid), syscall.Setresuid(who.uid, who.uid, who.uid))
	if err != nil {
		return fmt.Errorf("cannot act as %q: %w (the helper's unit wants CAP_SETUID and CAP_SETGID: docs/aliases.md)", who.name, err)
	}
	if os.Getuid() != who.uid || os.Geteuid() != who.uid || os.Getegid() != who.gid || syscall.Setresuid(0, 0, 0) == nil {
		return fmt.Errorf("the rights of root cannot be given up for those of %q", who.name)
	}
	return nil
}
