package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/postrider/postrider/internal/admin"
)

// postfixCommand is postfix(1): it starts, stops and looks after the server. Its messages are those that scripts look for.
func postfixCommand(a *app, args []string) int {
	p := &postfixTool{app: a, name: "postfix", usage: "postfix [-c config_dir] [-Dv] command", code: 1}
	options, rest, err := p.options(args, "c:Dv")
	if err == nil {
		err = p.place(options)
	}
	if err == nil && len(rest) != 1 {
		err = p.misused()
	}
	if err != nil {
		return p.end(err)
	}
	s := &postfixScript{p}
	commands := map[string]func() error{"start": s.start, "start-fg": s.foreground, "stop": s.stop, "abort": s.abort, "reload": s.reload,
		"status": s.status, "check": s.check, "flush": s.flush}
	command := commands[rest[0]]
	if command == nil {
		p.name = scriptName
		return p.end(fmt.Errorf("unknown command: '%s'. Usage: postfix start (or stop, reload, abort, flush, check, status, start-fg)", rest[0]))
	}
	p.name = scriptName
	return p.end(reserved(command()))
}

const scriptName = "postfix/postfix-script"

type postfixScript struct{ *postfixTool }

func (s *postfixScript) say(format string, args ...any) {
	fmt.Fprintf(s.stderr, "%s: %s\n", scriptName, fmt.Sprintf(format, args...))
}

// Times to wait for a server that starts or stops; one that stops lets its sessions end before (limits.drain_timeout).
const (
	startPatience = 30 * time.Second
	scriptPause   = 50 * time.Millisecond
)

// pid is the process of the running server; 0: none runs.
func (s *postfixScript) pid() (int, error) {
	c, err := s.load(nil)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	client, err := admin.Dial(ctx, c.RunDir)
	if errors.Is(err, admin.ErrNoServer) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer client.Close()
	if _, err := client.Status(ctx); err != nil {
		return 0, err
	}
	return admin.Process(ctx, c.RunDir)
}

var errNotRunning = errors.New("the Postfix mail system is not running")

// running is pid for what needs a server.
func (s *postfixScript) running() (int, error) {
	pid, err := s.pid()
	if err == nil && pid == 0 {
		err = errNotRunning
	}
	return pid, err
}

func (s *postfixScript) status() error {
	pid, err := s.pid()
	if err != nil {
		return err
	}
	if pid == 0 {
		s.say("the Postfix mail system is not running")
		return &codeError{code: s.code}
	}
	s.say("the Postfix mail system is running: PID: %d", pid)
	return nil
}

// check tells what is wrong with the configuration, and with the files that it names.
func (s *postfixScript) check() error { return configCheckCmd{}.Run(s.quiet()) }

// quiet is the same place without a word of success.
func (s *postfixScript) quiet() *app {
	a := *s.app
	a.flags.JSON = false
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		a.stdout = null
	}
	return &a
}

func (s *postfixScript) flush() error {
	if pid, err := s.pid(); err != nil || pid == 0 { // it is postqueue(1) who says so there
		s.name, s.code = "postqueue", exitUnavailable
		return cmp.Or(err, errors.New("Mail queue system is down"))
	}
	if code := postqueue(s.app, append(s.placed("-c"), "-f")); code != 0 {
		return &codeError{code: s.code}
	}
	return nil
}

// placed are the arguments that lead another program of ours to the same system.
func (s *postfixScript) placed(option string) []string {
	switch {
	case s.flags.Dir != "" && option == "-c":
		return []string{"-c", s.flags.Dir}
	case s.flags.Dir != "":
		return []string{"--dir", s.flags.Dir}
	case s.flags.Config != "" && option == "-c":
		return []string{"-c", filepath.Dir(s.flags.Config)}
	case s.flags.Config != "":
		return []string{"--config", s.flags.Config}
	}
	return nil
}

func (s *postfixScript) reload() error {
	pid, err := s.running()
	if err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	s.say("refreshing the Postfix mail system")
	return signalled(pid, syscall.SIGHUP)
}

func (s *postfixScript) stop() error {
	pid, err := s.running()
	if err != nil {
		return err
	}
	s.say("stopping the Postfix mail system")
	if s.service() {
		return s.systemctl("stop")
	}
	return s.finish(pid, false)
}

// abort does not wait for sessions.
func (s *postfixScript) abort() error {
	pid, err := s.running()
	if err != nil {
		return err
	}
	s.say("aborting the Postfix mail system")
	return s.finish(pid, true)
}

// finish signals the server, and waits until it is gone. A second TERM ends its patience with sessions.
func (s *postfixScript) finish(pid int, now bool) error {
	c, err := s.load(nil)
	if err != nil {
		return err
	}
	if err := signalled(pid, syscall.SIGTERM); err != nil {
		return err
	}
	again := now
	for end := time.Now().Add(c.Limits.DrainTimeout.D() + startPatience); syscall.Kill(pid, 0) == nil; time.Sleep(scriptPause) {
		if again {
			again = false
			if err := signalled(pid, syscall.SIGTERM); err != nil {
				return err
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("the process %d does not end", pid)
		}
	}
	return nil
}

func signalled(pid int, signal syscall.Signal) error {
	err := syscall.Kill(pid, signal)
	switch {
	case errors.Is(err, syscall.EPERM):
		return withCode(exitDenied, "the process %d cannot be signalled: %w", pid, err)
	case errors.Is(err, syscall.ESRCH):
		return nil // it has just ended
	}
	return err
}

func (s *postfixScript) start() error {
	pid, err := s.pid()
	switch {
	case err != nil:
		return err
	case pid != 0:
		return errors.New("the Postfix mail system is already running")
	}
	if err := s.check(); err != nil {
		return err
	}
	s.say("starting the Postfix mail system")
	if s.service() {
		return s.systemctl("start")
	}
	return s.daemon()
}

// foreground becomes the server, for containers.
func (s *postfixScript) foreground() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, append([]string{"postrider", "serve"}, s.placed("")...), os.Environ())
}

// service tells whether systemd looks after the server: the system's own, not one that -c names.
func (s *postfixScript) service() bool {
	return s.flags.Dir == "" && s.flags.Config == "" && s.getenv(envDir) == "" && exists("/run/systemd/system") &&
		exec.Command("systemctl", "cat", unitName).Run() == nil
}

const unitName = "postrider.service"

func (s *postfixScript) systemctl(verb string) error {
	if out, err := exec.Command("systemctl", verb, unitName).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl %s %s: %w\n%s", verb, unitName, err, out)
	}
	return nil
}

// daemon starts the server as a process of its own, and waits until it answers.
func (s *postfixScript) daemon() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c, err := s.load(nil)
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	cmd := exec.Command(self, append([]string{"serve"}, s.placed("")...)...)
	cmd.Args[0] = "postrider"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = null, null, null
	said := "; see " + c.Log.File
	if c.Log.File == "" { // what it says goes beside its data: nobody else would keep it
		log, err := plainLog(filepath.Join(c.DataDir, "postrider.log"))
		switch {
		case err == nil:
			defer log.Close()
			cmd.Stderr = log
			said = "; see " + log.Name()
		case errors.Is(err, fs.ErrNotExist): // the server makes its folder at the first start
			said = "; `postrider serve` tells why"
		default:
			return err
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for end := time.Now().Add(startPatience); time.Now().Before(end); {
		if pid, err := s.pid(); err == nil && pid != 0 {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("mail system startup failed: %w%s", err, said)
		case <-time.After(scriptPause):
		}
	}
	return errors.New("mail system startup failed: it does not answer" + said)
}

// plainLog opens a log for appending. The folder belongs to the server's user, and we may be root: a link to another's file is
// refused, and so is whatever is no plain file.
func plainLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || ok && st.Nlink != 1 {
			err = fmt.Errorf("%s is no plain file with one name: take it away", path)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
