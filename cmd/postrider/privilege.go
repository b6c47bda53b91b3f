package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/node"
)

// serviceUser does the work when the server is started as root.
const serviceUser = "postrider"

// becomeOwner makes root the owner of the data directory, so that nothing in it ends up with an owner whom the server
// cannot read.
func becomeOwner(dir fs.FileInfo) error {
	st, ok := dir.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || st.Uid == 0 {
		return nil
	}
	return become(int(st.Uid), []int{int(st.Gid)})
}

// become gives up root for good, in all threads: groups, then group, which is the first of them, then user.
func become(uid int, gids []int) error {
	err := errors.Join(syscall.Setgroups(gids), syscall.Setgid(gids[0]))
	if err == nil {
		err = syscall.Setuid(uid)
	}
	if err != nil {
		return fmt.Errorf("become the user %d: %w", uid, err)
	}
	return nil
}

// dropPrivileges makes a server that root started the service user's, once its ports are open. It returns false where
// there is no such user.
func dropPrivileges(c *config.Config) (dropped bool, err error) {
	if os.Geteuid() != 0 {
		return true, nil
	}
	uid, gids, err := serviceIDs()
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := node.MakeDir(c.DataDir); err != nil {
		return false, err
	}
	if err := giveDir(c.DataDir, uid, gids[0]); err != nil {
		return false, err
	}
	if err := node.MakeRunDir(c.RunDir); err != nil {
		return false, err
	}
	if err := giveDir(c.RunDir, uid, gids[0]); err != nil {
		return false, err
	}
	return true, become(uid, gids)
}

// serviceIDs are the ids of the service user and of its groups, its own group first.
func serviceIDs() (uid int, gids []int, err error) {
	u, err := user.Lookup(serviceUser)
	if err != nil {
		return 0, nil, err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return 0, nil, err
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, nil, err
	}
	for _, g := range append([]string{u.Gid}, groups...) {
		gid, err := strconv.Atoi(g)
		if err != nil {
			return 0, nil, err
		}
		if !slices.Contains(gids, gid) {
			gids = append(gids, gid)
		}
	}
	return uid, gids, nil
}

// giveDir gives a folder to the service user. One with something in it that belongs to somebody else is left alone: whose
// data these are is for the operator to say.
func giveDir(dir string, uid, gid int) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	if int(st.Uid) == uid {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return withCode(exitDenied, "%s belongs to another user than %s; if that is an oversight: chown -R %s: %s", dir, serviceUser, serviceUser, dir)
	}
	return os.Lchown(dir, uid, gid)
}
