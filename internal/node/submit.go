package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/postrider/postrider/internal/agent/pickup"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/decide/filter"
	"github.com/postrider/postrider/internal/decide/sieve"
	"github.com/postrider/postrider/internal/obs"
	handover "github.com/postrider/postrider/internal/submit"
)

// The folders that programs of this host meet. Others pass through data_dir and run_dir and see nothing of them; into the
// drop folder they can write and not look.
const (
	passMode  fs.FileMode = 0o711
	dropMode              = fs.ModeSticky | 0o733
	asideName             = "drop-rubbish"
)

// MakeRunDir makes run_dir, through which everybody on the host reaches the submission socket. One of ours that lets
// nobody through is opened.
func MakeRunDir(dir string) error {
	err := os.MkdirAll(dir, passMode)
	if err == nil {
		err = letPass(dir)
	}
	if err != nil {
		return fmt.Errorf("run_dir: %w", err)
	}
	return nil
}

// letPass gives a folder that nobody but us may enter the mode of one that others pass through.
func letPass(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o011 == 0o011 {
		return nil
	}
	return os.Chmod(dir, info.Mode().Perm()|0o011)
}

// localMail takes mail from programs of this host.
type localMail struct {
	agent  *pickup.Agent
	server *handover.Server
	cancel context.CancelFunc
	group  sync.WaitGroup // the reader of the drop folder
}

// startLocal opens the socket and begins to read the drop folder, if the configuration has them.
func (n *Node) startLocal(c *config.Config) error {
	drop := filepath.Join(c.DataDir, handover.DropName)
	if !c.Sendmail.Enabled {
		// What nobody would read must not be left there.
		if err := os.Chmod(drop, 0o700); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("drop folder: %w", err)
		}
		return nil
	}
	l := &localMail{agent: &pickup.Agent{Intake: n.intake, Quota: quota{n.store}, Filter: filter.Accept{}, Script: sieve.Keep{}, Now: n.opt.Now,
		Events: n.events, Log: n.log.Logger}}
	n.configureLocal(l, c)
	log := n.log.With(obs.KeyComponent, "submit")
	aside := filepath.Join(c.DataDir, asideName)
	if err := makeDrop(c.DataDir, drop, aside); err != nil {
		return err
	}
	var err error
	if l.server, err = handover.Serve(c.RunDir, l.agent, handover.Limits{}, log); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.group.Go(func() { (&pickup.Drop{Agent: l.agent, Dir: drop, Aside: aside}).Run(ctx) })
	n.hosted = l
	return nil
}

// makeDrop makes the drop folder and the place for what is no mail in it, with their modes whatever the umask.
func makeDrop(data, drop, aside string) error {
	if err := letPass(data); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	for dir, mode := range map[string]fs.FileMode{drop: dropMode, aside: 0o700} {
		err := makeDir(dir, 0o700)
		if err == nil {
			var info fs.FileInfo
			if info, err = os.Lstat(dir); err == nil && !info.IsDir() {
				err = fmt.Errorf("%s is not a folder", dir)
			}
		}
		if err == nil {
			err = os.Chmod(dir, mode)
		}
		if err != nil {
			return fmt.Errorf("drop folder: %w", err)
		}
	}
	return nil
}

// configureLocal puts a configuration in force; l may be nil.
func (n *Node) configureLocal(l *localMail, c *config.Config) {
	if l == nil {
		return
	}
	l.agent.Set(&pickup.Settings{Hostname: c.Hostname, Domain: cmp.Or(c.Routing.Myorigin, c.Domain), MaxSize: int64(c.SMTP.MaxMessageSize),
		MaxPerHour: c.Sendmail.MaxMessagesPerHour, MaxReceived: c.SMTP.MaxReceived, Router: n.router(),
		Admission: &admission{n.queue, n.incoming, reserveOf(c)}, Gate: n.contentGates(c, "sendmail"), Traced: c.Trace.Enabled})
}

// stopLocal ends both; submissions under way get until ctx ends.
func (n *Node) stopLocal(ctx context.Context) error {
	l := n.hosted
	if l == nil {
		return nil
	}
	l.cancel()
	err := l.server.Close(ctx)
	l.group.Wait()
	return err
}
