package pickup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/submit"
	"golang.org/x/sys/unix"
)

// The pace of the drop folder: mail is there only when the server was down or could not take it.
const (
	pollEvery = 5 * time.Second
	pollSoon  = 100 * time.Millisecond // while there is more than one pass takes
	passLimit = 2000                   // entries that one pass looks at
	chunk     = 250                    // entries listed at a time
	workers   = 8                      // files taken at a time: they share syncs
	draftAge  = 24 * time.Hour         // after which a file that is still being written has lost its writer
	passLines = 20                     // lines that one pass logs about rubbish
)

// Drop is the drop folder. One goroutine calls Run or Pass.
type Drop struct {
	Agent *Agent
	Dir   string // data_dir/drop
	Aside string // where rubbish goes

	dir   *os.File // being listed; nil: from the beginning
	aside aside

	mu   sync.Mutex      // guards what follows
	done map[string]bool // files that are taken and could not be removed
	said int             // lines of this pass
	full bool            // the server takes nothing now
	left bool            // something was removed: the folder is to be synced
}

// Run takes what comes into the folder until ctx ends; the first pass is at once.
func (d *Drop) Run(ctx context.Context) {
	defer func() {
		if d.dir != nil {
			_ = d.dir.Close()
		}
	}()
	for {
		more, err := d.Pass(ctx)
		if err != nil && ctx.Err() == nil {
			d.Agent.Log.Error("the drop folder cannot be read", obs.KeyComponent, "pickup", "path", d.Dir, obs.KeyError, err)
		}
		wait := pollEvery
		if more && err == nil {
			wait = pollSoon
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Pass looks at some of the folder's entries and takes what is a submission; more tells that the end was not reached.
func (d *Drop) Pass(ctx context.Context) (more bool, err error) {
	d.said, d.full, d.left = 0, false, false
	if d.dir == nil {
		fd, err := unix.Open(d.Dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return false, err
		}
		d.dir = os.NewFile(uintptr(fd), d.Dir)
	}
	more = true
	for n := 0; n < passLimit && more && !d.full && ctx.Err() == nil; n += chunk {
		names, err := d.dir.Readdirnames(chunk)
		if err != nil && err != io.EOF {
			return false, errors.Join(err, d.rewind())
		}
		more = err == nil && len(names) > 0
		d.takeAll(ctx, names)
	}
	if d.left {
		err = d.dir.Sync() // so that a file is not there again after a crash when nobody remembers its id
	}
	if !more || d.full {
		err, more = errors.Join(err, d.rewind()), false
	}
	if d.said > passLines {
		d.Agent.Log.Warn("more rubbish in the drop folder than is worth a line each", obs.KeyComponent, "pickup", "entries", d.said-passLines)
	}
	return more, err
}

func (d *Drop) rewind() error {
	dir := d.dir
	d.dir = nil
	return dir.Close()
}

func (d *Drop) takeAll(ctx context.Context, names []string) {
	var group sync.WaitGroup
	slots := make(chan struct{}, workers)
	for _, name := range names {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			d.takeOne(ctx, name)
		})
	}
	group.Wait()
}

// rubbish is why a file is no submission.
type rubbish struct{ why string }

func (r *rubbish) Error() string { return r.why }

// takeOne looks at one entry and does with it what is to be done.
func (d *Drop) takeOne(ctx context.Context, name string) {
	if ctx.Err() != nil || d.isFull() {
		return
	}
	var st unix.Stat_t
	if err := unix.Fstatat(int(d.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return // gone
	}
	err := d.look(ctx, name, &st)
	var bad *rubbish
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, fs.ErrNotExist):
	case errors.As(err, &bad):
		d.putAside(name, &st, bad.why)
	case status.IsPermanent(err):
		d.putAside(name, &st, status.Of(err).Public)
	default:
		var own *ownError
		if !errors.As(err, &own) && isOurs(err) {
			d.stop()
		}
		d.say("a message in the drop folder cannot be taken now; it stays there", name, &st, err.Error())
	}
}

// isOurs tells failures that the next file would meet too: of the system as a whole, RFC 3463 §3.4. Details from 3 on are
// between it and one message.
func isOurs(err error) bool {
	e := status.Of(err).Enhanced
	return e.Subject == 3 && e.Detail < 3
}

// ownError is a failure of one file, which its owner may have brought about; the others' turn comes all the same.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }

// ownReader marks the failures of a file that is read.
type ownReader struct{ r io.Reader }

func (o ownReader) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if err != nil && err != io.EOF {
		err = &ownError{err}
	}
	return n, err
}

// look decides about an entry by what the kernel says of it, before it is opened: it may be a device, or wait for ever.
func (d *Drop) look(ctx context.Context, name string, st *unix.Stat_t) error {
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return &rubbish{"a folder"}
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return &rubbish{"not a regular file"}
	case st.Nlink != 1:
		return &rubbish{"it has more than one name (hard link)"}
	case submit.IsDraft(name):
		if d.Agent.Now().Sub(time.Unix(st.Mtim.Unix())) > draftAge {
			return &rubbish{"its writer died before it was complete"}
		}
		return nil
	case !submit.IsReady(name):
		return &rubbish{"not a name that sendmail gives"}
	}
	if d.taken(name) {
		return d.remove(name)
	}
	if a := d.Agent; st.Uid != 0 && !a.rates.has(st.Uid, a.settings.Load().MaxPerHour, a.Now()) {
		return d.wait(ctx, name, st)
	}
	return d.open(ctx, name)
}

// wait leaves a file alone until its owner's allowance lets it in: it is not even opened, so that many such cost little. One
// whose message was taken before a crash goes now: nobody may remember its id later.
func (d *Drop) wait(ctx context.Context, name string, st *unix.Stat_t) error {
	token, err := submit.ReadyToken(name)
	if err != nil {
		return err
	}
	m := &message{agent: d.Agent, uid: st.Uid, head: &submit.Head{Token: token}, now: d.Agent.Now()}
	known, err := d.Agent.Intake.Queue.Known(ctx, m.identity())
	if err != nil || !known {
		return err
	}
	return d.remove(name)
}

// open opens the file, looks again at what was opened, and takes the message.
func (d *Drop) open(ctx context.Context, name string) error {
	fd, err := unix.Openat(int(d.dir.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO):
		return &rubbish{fmt.Sprintf("it cannot be opened: %v", err)}
	case errors.Is(err, unix.EAGAIN): // its owner has a lease on it (fcntl(2)), which the kernel takes away in time
		return &ownError{err}
	case err != nil:
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 {
		return &rubbish{"not a regular file with one name"}
	}
	if err := d.submission(ctx, f, name, &st); err != nil {
		return err
	}
	return d.remove(name)
}

// submission takes the message of an open file.
func (d *Drop) submission(ctx context.Context, f *os.File, name string, st *unix.Stat_t) error {
	a := d.Agent
	r := bufio.NewReader(ownReader{f})
	h, err := submit.ReadHead(r)
	if errors.Is(err, submit.ErrHead) {
		return &rubbish{err.Error()}
	}
	if err != nil {
		return err
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if st.Size-(at-int64(r.Buffered())) != h.Size || !strings.HasPrefix(name, h.Token.String()+".") {
		return &rubbish{"not as long, or not of the name, that its head says"}
	}
	m := &message{agent: a, settings: a.settings.Load(), uid: st.Uid, head: h, via: "drop", now: a.Now()}
	return m.take(ctx, io.LimitReader(r, h.Size))
}

// remove takes a file away whose message is ours. One that cannot be removed is not taken again.
func (d *Drop) remove(name string) error {
	err := unix.Unlinkat(int(d.dir.Fd()), name, 0)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil || errors.Is(err, unix.ENOENT) {
		delete(d.done, name)
		d.left = true
		return nil
	}
	if d.done == nil {
		d.done = map[string]bool{}
	}
	d.done[name], d.full = true, true
	return fmt.Errorf("the message is taken, and its file cannot be removed: %w", err)
}

func (d *Drop) taken(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done[name]
}

func (d *Drop) isFull() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.full
}

func (d *Drop) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = true
}

// say logs one line about an entry, within the bound of a pass.
func (d *Drop) say(msg, name string, st *unix.Stat_t, why string) {
	d.mu.Lock()
	d.said++
	n := d.said
	d.mu.Unlock()
	if n <= passLines {
		d.Agent.Log.Warn(msg, obs.KeyComponent, "pickup", "name", name, obs.KeyUID, st.Uid, obs.KeySize, st.Size, "why", why)
	}
}
