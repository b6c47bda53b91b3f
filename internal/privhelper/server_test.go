package privhelper

import (
	"context"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/test/needs"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "child" { // of deliveries: see helping
		h := &Helper{Config: os.Args[2], Shadow: Shadow{Passwd: os.Args[3], MinUID: 1000}, Log: slog.New(slog.DiscardHandler)}
		if err := h.Child(os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// start runs a server on a socket of its own until the test ends, and returns a client and the server's log.
func start(t testing.TB, run func(context.Context, Message) (Message, error), change func(*Server)) (*Client, *record) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o711), os.Chmod(filepath.Dir(dir), 0o711))
	socket := filepath.Join(dir, "helper.sock")
	l, err := Listen(socket, os.Geteuid())
	must(t, err)
	log := &record{}
	s := &Server{Peers: []uint32{uint32(os.Geteuid())}, Run: run, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if change != nil {
		change(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return &Client{Socket: socket}, log
}

// record is a log.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func answering(h *Helper) func(context.Context, Message) (Message, error) {
	if h.Log == nil {
		h.Log = slog.New(slog.DiscardHandler)
	}
	return func(_ context.Context, m Message) (Message, error) { return h.Answer(m), nil }
}

func TestVerify(t *testing.T) {
	log := &record{}
	h := &Helper{Shadow: users(t, "al 1000 "+sha512crypt+":20000:0:99999:7:::"), Log: slog.New(slog.NewTextHandler(log, nil))}
	c, served := start(t, answering(h), nil)
	must(t, c.Ping(t.Context()))
	for password, want := range map[string]bool{"secret": true, "wrongest": false, "": false} {
		if ok, err := c.Verify(t.Context(), "al", password); err != nil || ok != want {
			t.Errorf("%q: %v, %v", password, ok, err)
		}
	}
	if ok, err := c.Verify(t.Context(), "al", strings.Repeat("x", maxRequest)); ok || !errors.Is(err, ErrRefused) {
		t.Errorf("a password of %d bytes: %v, %v", maxRequest, ok, err)
	}
	must(t, os.Remove(h.Shadow.File))
	if ok, err := c.Verify(t.Context(), "al", "secret"); ok || !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), h.Shadow.File) {
		t.Errorf("without shadow: %v, %v", ok, err)
	}
	if all := log.String() + served.String(); strings.Contains(all, "wrongest") || !strings.Contains(all, `reason="wrong password"`) || strings.Contains(all, "secret") {
		t.Errorf("the log: %s", all)
	}
}

// aKey is no key; only its form counts.
func aKey() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("made for a test")}))
}

func TestReadFile(t *testing.T) {
	dir, key := letsEncrypt(t, aKey())
	cert, other, shadow := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "other.pem"), filepath.Join(dir, "shadow")
	conf := filepath.Join(dir, "postrider.toml")
	sni := filepath.Join(dir, "sni.pem")
	h := &Helper{Config: conf}
	c, _ := start(t, answering(h), nil)
	if _, err := c.ReadFile(t.Context(), key); !errors.Is(err, ErrRefused) {
		t.Errorf("without a configuration: %v", err)
	}
	must(t, os.WriteFile(other, []byte(aKey()), 0o600), os.WriteFile(sni, []byte(aKey()), 0o600),
		os.WriteFile(shadow, []byte("root:"+yescrypt+":20000:0:99999:7:::\n"), 0o600), os.Symlink(shadow, cert),
		os.WriteFile(conf, []byte("[tls]\ncert = \""+cert+"\"\nkey = \""+key+"\"\ncertificates = [\""+sni+" "+key+"\", \""+dir+"/gone.pem\"]\n"), 0o600))
	for _, c2 := range []struct {
		path string
		want error
	}{
		{key, nil}, {sni, nil}, {dir + "/gone.pem", fs.ErrNotExist}, {other, ErrRefused}, {conf, ErrRefused}, {"/etc/shadow", ErrRefused},
		{dir + "/live/mx/../mx/privkey.pem", ErrRefused}, {"", ErrRefused}, {key + "\x00", ErrRefused},
		{cert, ErrRefused}, // a listed name that leads to what is no certificate
	} {
		text, err := c.ReadFile(t.Context(), c2.path)
		if !errors.Is(err, c2.want) || c2.want == nil && string(text) != aKey() || c2.want != nil && text != nil {
			t.Errorf("%q: %q, %v; want %v", c2.path, text, err, c2.want)
		}
	}
	must(t, os.Chmod(filepath.Dir(key), 0o777))
	if _, err := c.ReadFile(t.Context(), key); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "must be root's") {
		t.Errorf("in a folder for all: %v", err)
	}
	must(t, os.Chmod(conf, 0o666))
	if _, err := c.ReadFile(t.Context(), sni); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "configuration is not read") {
		t.Errorf("by a configuration that everybody can change: %v", err)
	}
}

// as runs fn in a thread that belongs to another user. The thread ends with it.
func as(t testing.TB, uid uintptr, fn func()) {
	t.Helper()
	done := make(chan unix.Errno)
	go func() {
		runtime.LockOSThread() // and never unlocked
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid)
		if errno == 0 {
			fn()
		}
		done <- errno
	}()
	if errno := <-done; errno != 0 {
		t.Fatal(errno)
	}
}

func TestPeers(t *testing.T) {
	needs.Root(t, "clients of several users")
	ran := make(chan Message, 10)
	c, log := start(t, func(_ context.Context, m Message) (Message, error) { ran <- m; return message(replyOK), nil },
		func(s *Server) { s.Peers = []uint32{1234} })
	must(t, os.Chmod(c.Socket, 0o666)) // what keeps a stranger out is not the mode alone
	frame, err := encode(message(opPing), maxRequest)
	must(t, err)
	for uid, want := range map[uintptr]bool{1234: true, 0: true, 1235: false, 65534: false} {
		var reply Message
		var err error
		as(t, uid, func() { reply, err = c.exchange(context.Background(), frame, nil) })
		if answered := err == nil && reply.Op == replyOK; answered != want {
			t.Errorf("uid %d: %+v, %v", uid, reply, err)
		}
	}
	if len(ran) != 2 || strings.Count(log.String(), "peer refused") != 2 {
		t.Errorf("%d requests ran; log: %s", len(ran), log)
	}
}

// A socket that somebody else made gets no password.
func TestImpostor(t *testing.T) {
	needs.Root(t, "a server of another user")
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o777), os.Chmod(filepath.Dir(dir), 0o711))
	socket := filepath.Join(dir, "helper.sock")
	var l net.Listener
	as(t, 65534, func() { l, _ = net.Listen("unix", socket) })
	if l == nil {
		t.Fatal("the impostor cannot listen")
	}
	defer l.Close()
	if ok, err := (&Client{Socket: socket}).Verify(t.Context(), "al", "secret"); ok || !errors.Is(err, ErrUnavailable) ||
		!strings.Contains(err.Error(), "does not belong to root") {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestHostileRequests(t *testing.T) {
	c, log := start(t, answering(&Helper{}), func(s *Server) { s.Timeout = 300 * time.Millisecond })
	for name, bytes := range map[string]string{
		"rubbish": "GET / HTTP/1.1\r\n\r\n", "4 GiB": "\xff\xff\xff\xff", "64 KiB": "\x00\x01\x00\x00" + strings.Repeat("A", 1<<16),
		"nothing": "", "half": "\x00\x00\x00\x10\x01\x04pi", "an empty frame": "\x00\x00\x00\x00",
	} {
		conn, err := net.Dial("unix", c.Socket)
		must(t, err)
		_, _ = conn.Write([]byte(bytes)) // it may be cut off while it writes
		var reply [1]byte
		if n, _ := conn.Read(reply[:]); n != 0 {
			t.Errorf("%s is answered", name)
		}
		conn.Close()
	}
	if !strings.Contains(log.String(), "request refused") {
		t.Errorf("log: %s", log)
	}
	if _, err := c.ask(t.Context(), message("deliver", "to", "root")); !errors.Is(err, ErrRefused) {
		t.Errorf("an unknown operation: %v", err)
	}
	must(t, c.Ping(t.Context()))
}

// More connections than there is room for are refused at once, and those inside are answered.
func TestCrowd(t *testing.T) {
	enough, arrived := make(chan struct{}), make(chan struct{}, maxConnections)
	c, _ := start(t, func(context.Context, Message) (Message, error) {
		arrived <- struct{}{}
		<-enough
		return message(replyOK), nil
	}, nil)
	answers := make(chan error, maxConnections)
	for range maxConnections {
		go func() { answers <- c.Ping(context.Background()) }()
	}
	for range maxConnections {
		<-arrived
	}
	if err := c.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("one too many: %v", err)
	}
	close(enough)
	for range maxConnections {
		must(t, <-answers)
	}
	must(t, c.Ping(t.Context()))
}

// Passwords are checked two at a time, and waiting for a turn has an end.
func TestChecksTakeTurns(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	c, _ := start(t, func(ctx context.Context, m Message) (Message, error) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		<-ctx.Done()
		mu.Lock()
		now--
		mu.Unlock()
		return Message{}, ctx.Err()
	}, func(s *Server) { s.Timeout = 200 * time.Millisecond })
	answers := make(chan error, 8)
	for range cap(answers) {
		go func() {
			ok, err := c.Verify(context.Background(), "al", "x")
			if ok {
				err = errors.New("accepted")
			}
			answers <- err
		}()
	}
	for range cap(answers) {
		if err := <-answers; !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v", err)
		}
	}
	mu.Lock() // the server may still be at work: the client's patience ends as early as its own
	defer mu.Unlock()
	if most != maxChecks {
		t.Errorf("%d checks at once, want %d", most, maxChecks)
	}
}

// A helper that dies while it works, hangs, or is not there, is a temporary failure; the next one is found.
func TestHelperAway(t *testing.T) {
	dir := t.TempDir()
	c := &Client{Socket: filepath.Join(dir, "helper.sock"), Timeout: 300 * time.Millisecond}
	if _, err := c.Verify(t.Context(), "al", "x"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("not there: %v", err)
	}
	l, err := Listen(c.Socket, os.Geteuid())
	must(t, err)
	if _, err := c.Verify(t.Context(), "al", "x"); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hanging: %v", err)
	}
	go func() {
		for range 2 { // the one that has given up, and the next
			if conn, err := l.Accept(); err == nil {
				_, _ = read(conn, maxRequest)
				_, _ = conn.Write([]byte{0, 0, 1, 0, 1}) // dies in the middle of its answer
				conn.Close()
			}
		}
	}()
	if _, err := c.Verify(t.Context(), "al", "x"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("dying: %v", err)
	}
	// Killed: the socket's name stays, and a new helper takes its place.
	file, err := l.File()
	must(t, err, l.Close(), file.Close())
	must(t, os.WriteFile(c.Socket+".x", nil, 0o600))
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: c.Socket, Net: "unix"})
	must(t, err)
	left.SetUnlinkOnClose(false)
	must(t, left.Close())
	if err := c.Ping(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("killed: %v", err)
	}
	next, err := Listen(c.Socket, os.Geteuid())
	must(t, err)
	if _, err := Listen(c.Socket, os.Geteuid()); err == nil {
		t.Error("two helpers on one socket")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- (&Server{Peers: []uint32{uint32(os.Geteuid())}, Run: answering(&Helper{}), Log: slog.New(slog.DiscardHandler)}).Serve(ctx, next)
	}()
	must(t, c.Ping(t.Context()))
	cancel()
	must(t, <-ended)
}

// The child's end, whatever it is, is not the helper's.
func TestSpawn(t *testing.T) {
	sh := needs.Program(t, "sh")
	log := &record{}
	for name, c := range map[string]struct{ script, want string }{
		"rubbish": {"echo hello", "malformed"}, "nothing": {"true", "EOF"}, "dies": {"kill -9 $$", "signal: killed"},
		"fails": {"exit 3", "exit status 3"}, "endless": {"exec cat /dev/zero", "child"},
	} {
		if m, err := Spawn(log, sh, "-c", c.script)(t.Context(), message(opPing)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Spawn(log, sh, "-c", "exec sleep 60")(ctx, message(opPing)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hangs: %v", err)
	}
	if m, err := Spawn(log, needs.Program(t, "cat"))(t.Context(), message(opPing)); err != nil || m.Op != opPing {
		t.Errorf("echo: %+v, %v", m, err)
	}
	// It gets no environment: no shell's, no library's variables.
	t.Setenv("LD_PRELOAD_OF_A_TEST", "x")
	if _, err := Spawn(log, needs.Program(t, "env"))(t.Context(), message(opPing)); err == nil || strings.Contains(log.String(), "LD_") {
		t.Errorf("env: %v, %s", err, log)
	}
}
