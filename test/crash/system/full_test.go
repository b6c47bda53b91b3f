package system

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/test/needs"
)

// mount mounts a small file system of a kind on a directory of the test.
func mount(t *testing.T, args ...string) (dir string) {
	t.Helper()
	needs.Quick(t, "mounts")
	needs.Root(t, "to mount a small file system")
	dir = t.TempDir()
	if out, err := exec.Command("mount", append(args, dir)...).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil && !errors.Is(err, syscall.EINVAL) {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill writes a file until nothing fits any more but leave bytes.
func fill(t *testing.T, dir string, leave int64) (remove func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size >= 1; size /= 4 {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		err = nil
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		err = f.Truncate(max(0, end-leave))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

// noSpace says whether an answer is the one that a full disk asks for.
func noSpace(err error) bool {
	var refused *Refused
	return errors.As(err, &refused) && strings.HasPrefix(refused.Reply, "452 4.3.1")
}

// TestDiskFull: on a full disk mail is refused with 452 4.3.1 and read on, and the server goes on; when there is room again
// it takes mail, and every acknowledged message is delivered once. The same through a SIGKILL on the full disk.
func TestDiskFull(t *testing.T) {
	dir := mount(t, "-t", "tmpfs", "-o", "size=64m", "none")
	s := Server{Bin: build(t, ""), Dir: filepath.Join(dir, "data"), Accounts: accounts, Sets: []string{`mta.retry = ["1s"]`}}
	p := started(t, s)
	var acked []string
	refused := 0
	send := func() {
		t.Helper()
		token := fmt.Sprintf("full-%d-%d-end", len(acked), refused)
		switch err := sendOne(p, token); {
		case err == nil:
			acked = append(acked, token)
		case noSpace(err):
			refused++
		default:
			t.Fatalf("answer on a full disk: %v", err)
		}
	}
	for range 10 {
		send()
	}
	for _, leave := range []int64{300 << 10, 0} { // first what little there is goes to the messages, then there is nothing
		remove := fill(t, dir, leave)
		for before := refused; refused < before+10; {
			send()
		}
		reads(t, p)
		remove()
		again(t, p, &acked)
	}
	t.Logf("%d acknowledged, %d refused", len(acked), refused)
	if err := p.Quiet(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, err := ListAll(p, s.Accounts)
	if err != nil {
		t.Fatal(err)
	}
	owed(t, found, acked)

	remove := fill(t, dir, 200<<10)
	for before := refused; refused < before+10; {
		send()
	}
	p.Kill()
	fill(t, dir, 0)
	if p, err := s.Start(t.Context()); err == nil {
		t.Log("it starts on a full disk")
		p.Kill()
	} else {
		t.Log(err)
	}
	remove()
	found, err = Recover(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	owed(t, found, acked)
}

// reads checks that mail can be read, and that a change is made or refused, but does not end the session.
func reads(t *testing.T, p *Process) {
	t.Helper()
	found, err := ListAll(p, accounts)
	if err != nil {
		t.Fatalf("reading on a full disk: %v", err)
	}
	if len(found) == 0 {
		t.Error("nothing to read")
	}
	for _, f := range found {
		if f.Err != nil {
			t.Errorf("reading on a full disk: %s: %v", f.Place, f.Err)
		}
	}
	c, err := DialIMAP(p.Addr["imaps"], "alice")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, command := range []string{"SELECT INBOX", `STORE 1 +FLAGS (\Flagged)`, "NOOP"} {
		if _, err := c.Do(command); err != nil {
			if refused := (*Refused)(nil); command == "NOOP" || !errors.As(err, &refused) {
				t.Errorf("%s on a full disk: %v", command, err)
			}
		}
	}
}

// again sends until a message is taken: now there is room.
func again(t *testing.T, p *Process, acked *[]string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		token := fmt.Sprintf("again-%d-end", len(*acked))
		err := sendOne(p, token)
		if err == nil {
			*acked = append(*acked, token)
			return
		}
		if !noSpace(err) {
			t.Fatalf("answer when there is room again: %v", err)
		}
	}
	t.Fatal("no mail is taken though there is room")
}

// TestDiskReadOnly: the file system turns read-only under the server, as ext4 does after an error. Mail is refused, reading
// goes on, and after a repair everything acknowledged is there.
func TestDiskReadOnly(t *testing.T) {
	needs.Quick(t, "mounts")
	needs.Root(t, "to mount a small file system")
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 96<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(needs.Program(t, "mkfs.ext4"), "-q", "-F", image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs: %v: %s", err, out)
	}
	dir := mount(t, "-o", "loop", image)
	s := Server{Bin: build(t, ""), Dir: filepath.Join(dir, "data"), Accounts: accounts}
	p := started(t, s)
	var acked []string
	for i := range 20 {
		token := fmt.Sprintf("before-%d-end", i)
		if err := sendOne(p, token); err != nil {
			t.Fatal(err)
		}
		acked = append(acked, token)
	}
	if err := p.Quiet(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-o", "remount,abort", dir).CombinedOutput(); err != nil {
		t.Fatalf("abort: %v: %s", err, out)
	}
	for i := range 5 {
		if err := sendOne(p, fmt.Sprintf("during-%d-end", i)); !noSpace(err) {
			t.Errorf("answer on a read-only disk: %v", err)
		}
	}
	reads(t, p)
	p.Kill()
	t.Log(p.Log())
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(needs.Program(t, "e2fsck"), "-fy", image).CombinedOutput(); err != nil {
		t.Logf("e2fsck: %v: %s", err, out) // 1: it mended something
	}
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	found, err := Recover(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	owed(t, found, acked)
}
