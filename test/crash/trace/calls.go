package trace

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// interpret fills e from the call's arguments and the text after "= ", and
// emits it. A call this package has no use for is dropped.
func interpret(e *Event, args []string, result string, emit func(Event) error) error {
	newFD, newPath, err := setResult(e, result)
	if err == nil {
		err = dispatch(e, args, newFD, newPath)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", e.Call, err)
	}
	if e.Kind == Other {
		return nil
	}
	if e.Kind == Write && e.End != Never {
		if e.Result > int64(len(e.Data)) {
			return fmt.Errorf("%s: wrote %d of the %d bytes shown", e.Call, e.Result, len(e.Data))
		}
		e.Data = e.Data[:max(e.Result, 0)]
	}
	return emit(*e)
}

// setResult reads "0", "8</path>", "-1 EIO (…)", "0x7f…", "?"; strace's times
// and remarks after it are ignored.
func setResult(e *Event, s string) (fd int, path string, err error) {
	if e.End == Never {
		return -1, "", nil
	}
	end := strings.IndexAny(s, " <")
	if end < 0 {
		end = len(s)
	}
	e.Result, err = strconv.ParseInt(s[:end], 0, 64)
	if err != nil {
		return 0, "", fmt.Errorf("result %.40q", s)
	}
	if e.Result < 0 {
		e.Result = -1
		e.Err, _, _ = strings.Cut(strings.TrimLeft(s[end:], " "), " ")
		if e.Err == "" {
			e.Err = "unknown"
		}
		return -1, "", nil
	}
	if end < len(s) && s[end] == '<' {
		fd, path, _, err = descriptor(s)
	}
	return fd, path, err
}

func dispatch(e *Event, args []string, newFD int, newPath string) (err error) {
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	onFD := func(k Kind, i int) error {
		e.Kind = k
		e.FD, e.Path, e.Deleted, err = descriptor(arg(i))
		return err
	}
	switch e.Call {
	case "open", "openat", "openat2", "creat":
		return openCall(e, args, newFD, newPath)
	case "write", "sendto", "pwrite64":
		if err = onFD(Write, 0); err != nil {
			return err
		}
		if arg(1) != "NULL" {
			e.Data, err = quoted(arg(1))
		}
		if err == nil && e.Call == "pwrite64" {
			e.Offset, err = number(arg(3))
		}
	case "writev", "pwritev", "pwritev2", "sendmsg", "sendmmsg":
		if err = onFD(Write, 0); err != nil {
			return err
		}
		if e.Data, err = vector(arg(1)); err == nil && strings.HasPrefix(e.Call, "pwritev") {
			e.Offset, err = number(arg(3))
		}
		if e.Call == "sendmmsg" && e.End != Never && e.Err == "" {
			e.Result = int64(len(e.Data)) // the result counts messages
		}
	case "fsync", "fdatasync":
		return onFD(Sync, 0)
	case "ftruncate":
		if err = onFD(Truncate, 0); err == nil {
			e.Size, err = number(arg(1))
		}
	case "truncate":
		e.Kind = Truncate
		if e.Path, err = resolve("", arg(0)); err == nil {
			e.Size, err = number(arg(1))
		}
	case "fallocate":
		return allocateCall(e, args)
	case "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat",
		"symlink", "symlinkat":
		return nameCall(e, args)
	case "lseek":
		return onFD(Seek, 0)
	case "dup", "dup2", "dup3":
		e.Kind = Dup
		e.Size = -1
		if fd, _, _, derr := descriptor(arg(0)); derr == nil {
			e.Size = int64(fd) // the descriptor that was copied
		}
		e.FD, e.Path = newFD, newPath
	case "mmap":
		// Stores into a shared mapping pass no call.
		if strings.Contains(arg(2), "PROT_WRITE") && strings.Contains(arg(3), "MAP_SHARED") &&
			!strings.Contains(arg(3), "MAP_ANON") {
			return onFD(Opaque, 4)
		}
	case "copy_file_range", "splice":
		return onFD(Opaque, 2)
	case "sendfile":
		return onFD(Opaque, 0)
	case "io_uring_setup":
		e.Kind = Opaque
	}
	return err
}

func number(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("number %.40q", s)
	}
	return n, nil
}

// resolve makes a path argument absolute: relative to dir, a descriptor
// argument, if there is one. A path that stays relative is an error: nobody
// could say which file it means.
func resolve(dir, arg string) (string, error) {
	b, err := quoted(arg)
	if err != nil {
		return "", err
	}
	p := string(b)
	if !filepath.IsAbs(p) {
		if dir == "" {
			return "", fmt.Errorf("relative path %q: start the program with absolute ones", p)
		}
		_, base, _, err := descriptor(dir)
		if err != nil || !filepath.IsAbs(base) {
			return "", fmt.Errorf("path %q relative to %q", p, dir)
		}
		p = filepath.Join(base, p)
	}
	return filepath.Clean(p), nil
}

func openCall(e *Event, args []string, newFD int, newPath string) error {
	i := 0
	if e.Call == "openat" || e.Call == "openat2" {
		i = 1
	}
	if len(args) < i+2 {
		return fmt.Errorf("%d arguments", len(args))
	}
	e.Kind, e.Flags = Open, args[i+1]
	if e.Call == "creat" {
		e.Flags = "O_WRONLY|O_CREAT|O_TRUNC"
	}
	if e.FD = newFD; e.OK() {
		e.Path = newPath // strace read it from the descriptor: absolute, no symbolic links
		return nil
	}
	dir := ""
	if i == 1 {
		dir = args[0]
	}
	p, err := resolve(dir, args[i])
	if err != nil {
		e.Kind = Other // a failed or unfinished open of something outside
		return nil
	}
	e.Path = p
	return nil
}

func allocateCall(e *Event, args []string) (err error) {
	if len(args) != 4 {
		return fmt.Errorf("%d arguments", len(args))
	}
	e.Kind, e.Flags = Allocate, args[1]
	if e.FD, e.Path, e.Deleted, err = descriptor(args[0]); err != nil {
		return err
	}
	off, err := number(args[2])
	if err != nil {
		return err
	}
	n, err := number(args[3])
	e.Size = off + n
	return err
}

// nameCall reads the calls that change directories. Those ending in "at" have
// a descriptor before each path.
func nameCall(e *Event, args []string) (err error) {
	base, at := strings.CutSuffix(strings.TrimSuffix(e.Call, "2"), "at")
	var paths [2]string
	want := 1
	switch base {
	case "rename", "link":
		want = 2
	case "symlink":
		e.Kind = Opaque
		if n := len(args) - 1; at && n == 2 {
			e.Path, err = resolve(args[1], args[2])
		} else if n >= 1 {
			e.Path, err = resolve("", args[n])
		}
		return err
	}
	step := 1
	if at {
		step = 2
	}
	if len(args) < want*step {
		return fmt.Errorf("%d arguments", len(args))
	}
	for i := range want {
		dir := ""
		if at {
			dir = args[i*step]
		}
		if paths[i], err = resolve(dir, args[i*step+step-1]); err != nil {
			return err
		}
	}
	e.Path, e.To = paths[0], paths[1]
	e.Kind = map[string]Kind{"rename": Rename, "link": Link, "unlink": Unlink, "rmdir": Unlink, "mkdir": Mkdir}[base]
	if len(args) > want*step {
		e.Flags = args[want*step]
	}
	return nil
}
