package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/privhelper"
	"golang.org/x/sys/unix"
)

type privhelperCmd struct {
	Socket    string   `help:"Listen on this socket. Default: the one that systemd passes, else /run/postrider-helper/helper.sock." placeholder:"PATH" type:"path"`
	AllowUser string   `help:"User who is answered, beside root." default:"postrider" placeholder:"USER"`
	PeerUID   []uint32 `name:"peer-uid" help:"The same by user id, instead of --allow-user. May be repeated." placeholder:"UID"`
	MinUID    int      `name:"min-uid" help:"Users with a lower id cannot log in: they are the system's own." default:"1000" placeholder:"UID"`
	Child     bool     `hidden:""`
}

// Run is the helper, or the child that answers one of its requests.
func (c privhelperCmd) Run(a *app) error {
	file := a.flags.Config
	if file == "" {
		file = defaultConfig
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	log, err := obs.New(obs.Options{Out: a.stderr, Format: "text", Level: "info", PID: os.Getpid(), Now: time.Now})
	if err != nil {
		return err
	}
	// What is in memory are passwords: no core file, of the children neither. EPERM is the unit's filter of system calls,
	// and the unit has LimitCORE=0.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil && !errors.Is(err, unix.EPERM) {
		return err
	}
	if c.Child {
		h := &privhelper.Helper{Config: file, Log: log.Logger, Shadow: privhelper.Shadow{MinUID: c.MinUID, Now: time.Now}}
		return h.Child(a.stdin, a.stdout)
	}
	peers, err := c.peers()
	if err != nil {
		return err
	}
	l, err := c.listen(peers)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	self := "/proc/self/exe" // also when a new release has taken the file's place
	server := &privhelper.Server{Peers: peers, Log: log.Logger,
		Run: privhelper.Spawn(a.stderr, self, "privhelper", "--child", "--config", file, "--min-uid", strconv.Itoa(c.MinUID))}
	log.Info("ready", "socket", l.Addr().String(), "peers", fmt.Sprint(peers), "config", file)
	newNotifier(log.Logger).ready("answering")
	return server.Serve(ctx, l)
}

// peers are the user ids that are answered.
func (c privhelperCmd) peers() ([]uint32, error) {
	if len(c.PeerUID) > 0 {
		return c.PeerUID, nil
	}
	u, err := user.Lookup(c.AllowUser)
	if err != nil {
		return nil, withCode(exitConfig, "--allow-user: %w; who shall be answered does not exist", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	return []uint32{uint32(uid)}, err
}

// listen takes the socket that systemd passes, or makes one.
func (c privhelperCmd) listen(peers []uint32) (*net.UnixListener, error) {
	passed, err := activation.Listeners()
	if err != nil {
		return nil, err
	}
	switch {
	case len(passed) == 1 && c.Socket == "":
		if l, ok := passed[0].(*net.UnixListener); ok {
			return l, nil
		}
		return nil, withCode(exitConfig, "the socket that was passed is not a Unix stream socket")
	case len(passed) > 0:
		return nil, withCode(exitConfig, "wants one passed socket, or --socket: %d were passed", len(passed))
	}
	path := c.Socket
	if path == "" {
		path = privhelper.DefaultSocket
		dir := filepath.Dir(path)
		err := os.Mkdir(dir, 0o711)
		if err == nil {
			err = os.Chmod(dir, 0o711) // whatever the umask
		}
		if err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
	}
	return privhelper.Listen(path, int(peers[0]))
}
