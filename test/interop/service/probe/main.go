// Command probe stands for a server that somebody has taken over: confined as `postrider serve --dir DIR` is, it tries to
// open what it is told and prints what came of it. It tries in threads that were there before it was confined, too.
//
//	probe DIR [read|write|exec PATH]...
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/node"
)

// unconfined is the exit code where the kernel has no Landlock.
const unconfined = 9

func main() {
	if err := run(os.Args[1], os.Args[2:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, node.ErrNoLandlock) {
			os.Exit(unconfined)
		}
		os.Exit(1)
	}
}

func run(dir string, tries []string, out io.Writer) error {
	file := filepath.Join(dir, "postrider.toml")
	c, err := config.Load(file, []string{fmt.Sprintf("data_dir=%q", dir)})
	if err != nil {
		return err
	}
	// Threads from before.
	const threads = 4
	var started, done sync.WaitGroup
	begin := make(chan struct{})
	results := make([]string, threads)
	for i := range threads {
		started.Add(1)
		done.Go(func() {
			runtime.LockOSThread()
			started.Done()
			<-begin
			for j := 0; j+1 < len(tries); j += 2 {
				results[i] += fmt.Sprintf("%s %s: %s\n", tries[j], tries[j+1], try(tries[j], tries[j+1]))
			}
		})
	}
	started.Wait()
	err = node.NewSandbox(c, file).Enforce()
	close(begin)
	done.Wait()
	if err != nil {
		return err
	}
	for _, r := range results[1:] {
		if r != results[0] {
			return fmt.Errorf("the threads do not agree: %q, %q", results[0], r)
		}
	}
	_, err = io.WriteString(out, results[0])
	return err
}

// try does one thing and names the outcome.
func try(how, path string) string {
	var err error
	switch how {
	case "read":
		var f *os.File
		if f, err = os.Open(path); err == nil {
			err = f.Close()
		}
	case "write":
		var f *os.File
		if f, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600); err == nil {
			err = f.Close()
		}
	case "exec":
		err = exec.Command(path).Run()
	}
	var errno syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &errno):
		return errno.Error()
	}
	return err.Error()
}
