package system

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build builds test/crash/server with a build tag ("": none) into the file bin.
func Build(ctx context.Context, bin, tag string) error {
	if err := touchSource(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", tag, "-o", bin, "github.com/postrider/postrider/test/crash/server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// touchSource looks at every source file of the server. The test cache notes which files a test looks at: it would
// otherwise repeat a result of an earlier server, because it does not see what `go build` reads.
func touchSource() error {
	for _, root := range []string{"../../../internal", "../server"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".go" && !strings.HasSuffix(path, "_test.go") {
				_, err = os.Stat(path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				err = nil // somebody is working there
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Server says how to start one.
type Server struct {
	Bin      string
	Dir      string        // absolute
	Accounts []string      // made where they are missing
	Forward  string        // where forward@ leads; "": nowhere
	Speed    int           // of its clock; 0: the real one's
	Ahead    time.Duration // how far ahead its clock starts
	Sets     []string      // key=TOML-value

	Pack, Fill, Checkpoint int64 // node.Sizes
}

// Args are the arguments of its command line.
func (s Server) Args() []string {
	return append([]string{"-dir", s.Dir, "-accounts", strings.Join(s.Accounts, ","), "-forward", s.Forward, "-speed", strconv.Itoa(max(1, s.Speed)),
		"-ahead", s.Ahead.String(), "-pack", strconv.FormatInt(s.Pack, 10), "-fill", strconv.FormatInt(s.Fill, 10),
		"-checkpoint", strconv.FormatInt(s.Checkpoint, 10)}, s.Sets...)
}

// Process is a running server.
type Process struct {
	Addr map[string]string // of the services smtp, imaps, metrics
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // its end, after done

	mu  sync.Mutex
	log bytes.Buffer // what it wrote to stderr
}

// Launch starts the server and does not wait until it is ready.
func (s Server) Launch(ctx context.Context) (*Process, io.Reader, error) {
	p := &Process{cmd: exec.CommandContext(ctx, s.Bin, s.Args()...), done: make(chan struct{})}
	p.cmd.Stderr = (*processLog)(p)
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	p.cmd.Stdout = w
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, r, nil
}

// Start starts the server and waits until it is ready.
func (s Server) Start(ctx context.Context) (*Process, error) {
	p, out, err := s.Launch(ctx)
	if err != nil {
		return nil, err
	}
	if p.Addr, err = Addresses(out); err != nil {
		p.Kill()
		return nil, fmt.Errorf("the server did not start: %w: %s", errors.Join(err, p.err), p.Log())
	}
	return p, nil
}

// Addresses reads the line that the server prints when it is ready.
func Addresses(stdout io.Reader) (addr map[string]string, err error) {
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	return addr, json.Unmarshal(line, &addr)
}

type processLog Process

func (l *processLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(b)
}

// Log is what the server has logged.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// PID is the process's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill sends SIGKILL and waits for the end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// Stop sends TERM and returns how the server ended.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	return p.Wait()
}

// Wait waits for the server's end. Its log is in the error, if it did not end well.
func (p *Process) Wait() error {
	select {
	case <-p.done:
	case <-time.After(patience):
		p.Kill()
		return errors.New("the server does not end")
	}
	if p.err != nil {
		return fmt.Errorf("server: %w: %s", p.err, p.Log())
	}
	return nil
}

// Metric asks the server for one of its figures.
func (p *Process) Metric(ctx context.Context, names ...string) (sum float64, err error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+p.Addr["metrics"]+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		_, rest, ok := strings.Cut(string(text), "\npostrider_"+name+" ")
		if !ok {
			return 0, fmt.Errorf("no metric %s", name)
		}
		value, _, _ := strings.Cut(rest, "\n")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

// Quiet waits until nothing accepted is on its way into a mailbox.
func (p *Process) Quiet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		n, err := p.Metric(ctx, "queue_incoming", "queue_active", "queue_deferred", "journal_unsettled")
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-p.done:
			return p.Wait()
		case <-ctx.Done():
			return fmt.Errorf("%.0f messages are not delivered after %v: %s", n, patience, p.Log())
		}
	}
}
