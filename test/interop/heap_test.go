package interop

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/node"
	"github.com/postrider/postrider/internal/obs"
)

const (
	bigMessage = 50 << 20
	heapLimit  = 1 << 20 // DESIGN §5: what such a message may cost while it passes
)

// heap samples how much heap is in use, garbage included, and keeps the peak.
type heap struct {
	base, peak int64
	stop       chan struct{}
	done       sync.WaitGroup
}

// watchHeap takes the baseline and begins.
func watchHeap() *heap {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	used := func() int64 {
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	runtime.GC()
	runtime.GC() // what pools kept goes with the second
	h := &heap{base: used(), stop: make(chan struct{})}
	h.done.Go(func() {
		for {
			h.peak = max(h.peak, used()-h.base)
			select {
			case <-h.stop:
				return
			case <-time.After(200 * time.Microsecond):
			}
		}
	})
	return h
}

// check ends the watch and demands the limit.
func (h *heap) check(t *testing.T, stage string) {
	t.Helper()
	close(h.stop)
	h.done.Wait()
	t.Logf("%s: %d KiB of heap for %d MiB, over %d KiB", stage, h.peak>>10, bigMessage>>20, h.base>>10)
	if h.peak >= heapLimit {
		t.Errorf("%s: %d KiB of heap at the peak", stage, h.peak>>10)
	}
}

// oneNode runs a node in this process, on ports of the kernel's choice.
func oneNode(t *testing.T) (n *node.Node, roots *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	sets := []string{`hostname = "mail.here.example"`, `domain = "here.example"`, fmt.Sprintf("data_dir = %q", dir), fmt.Sprintf("run_dir = %q", dir+"/run"),
		`limits.disk_reserve = "0B"`, `smtp.max_message_size = "64MiB"`, `imap.max_append_size = "64MiB"`}
	for _, service := range []string{"smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s", "http"} {
		enabled := service == "smtp" || service == "imaps"
		sets = append(sets, fmt.Sprintf("listeners.%s.enabled = %v", service, enabled), "listeners."+service+`.addresses = ["127.0.0.1:0"]`)
	}
	c, err := config.Load("", sets)
	must(t, err)
	log, err := obs.New(obs.Options{Out: io.Discard, Format: "text", Level: "info"})
	must(t, err)
	n, err = node.Open(t.Context(), node.Options{Config: c, Log: log, Version: "test"})
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	_, err = n.API().AddAccount(t.Context(), admin.NewAccount{Address: "alice@here.example", Password: "pw"})
	must(t, err)
	must(t, n.Start(t.Context()))
	pem, err := os.ReadFile(filepath.Join(dir, "tls", "ca.pem"))
	must(t, err)
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return n, roots
}

// dialog is a connection whose own cost in heap does not depend on what passes.
type dialog struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func newDialog(t *testing.T, c net.Conn, err error) *dialog {
	t.Helper()
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.SetDeadline(time.Now().Add(time.Minute)))
	return &dialog{t, c, bufio.NewReaderSize(c, 16<<10)}
}

// until sends a line, if any, and reads lines up to one that begins so.
func (d *dialog) until(line, prefix string) string {
	d.t.Helper()
	if line != "" {
		_, err := io.WriteString(d.Conn, line+"\r\n")
		must(d.t, err)
	}
	for {
		got, err := d.r.ReadString('\n')
		if err != nil || strings.Contains(got[:min(len(got), 12)], " NO ") || strings.Contains(got[:min(len(got), 12)], " BAD ") {
			d.t.Fatalf("waiting for %q: %q, %v", prefix, got, err)
		}
		if strings.HasPrefix(got, prefix) {
			return got
		}
	}
}

// writeBig writes a message of bigMessage bytes with one large attachment.
func writeBig(t *testing.T, w io.Writer) {
	t.Helper()
	head := "Subject: big\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=xx\r\n\r\n--xx\r\nContent-Type: text/plain\r\n\r\nsee attachment\r\n" +
		"--xx\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
	tail := "--xx--\r\n"
	block := bytes.Repeat([]byte(strings.Repeat("QUJD", 18)+"\r\n"), 400)
	_, err := io.WriteString(w, head)
	for left := bigMessage - len(head) - len(tail); err == nil && left > 0; {
		n := min(left, len(block))
		if left > n && left-n < 80 { // the last line is to end as the others do
			n -= 74
		}
		b := block[:n]
		if n == left {
			b = append(bytes.Clone(block[:n-2]), "\r\n"...)
		}
		left -= n
		_, err = w.Write(b)
	}
	must(t, err)
	_, err = io.WriteString(w, tail)
	must(t, err)
}

// TestPeakHeap: 50 MiB pass through SMTP into the store and out by IMAP, in by APPEND and searched, and no stage needs a
// MiB of heap, garbage included.
func TestPeakHeap(t *testing.T) {
	n, roots := oneNode(t)
	addr := n.Addresses()
	in, err := net.Dial("tcp", addr["smtp"].String())
	smtp := newDialog(t, in, err)
	smtp.until("", "220 ")
	smtp.until("EHLO client.far.example", "250 ")
	out, err := tls.Dial("tcp", addr["imaps"].String(), &tls.Config{RootCAs: roots, ServerName: "localhost"})
	imap := newDialog(t, out, err)
	imap.until("", "* OK")
	imap.until("a LOGIN alice@here.example pw", "a OK") // the password's hash costs 64 MiB for a moment: before the baseline
	imap.until("b SELECT INBOX", "b OK")

	h := watchHeap()
	smtp.until("MAIL FROM:<sender@far.example> BODY=8BITMIME", "250 ")
	smtp.until("RCPT TO:<alice@here.example>", "250 ")
	smtp.until("DATA", "354 ")
	writeBig(t, smtp)
	smtp.until(".", "250 2.0.0 Ok: queued as ")
	imap.until("c IDLE", "* 1 EXISTS") // delivered
	imap.until("DONE", "c OK")
	h.check(t, "SMTP to mailbox")

	h = watchHeap()
	fetchBig(t, imap, "d FETCH 1 BODY.PEEK[]", bigMessage)
	h.check(t, "FETCH BODY[]")

	h = watchHeap()
	fetchBig(t, imap, "e FETCH 1 BODY.PEEK[2]", bigMessage-500)
	h.check(t, "FETCH BODY[2]")

	h = watchHeap()
	imap.until("f FETCH 1 (ENVELOPE BODYSTRUCTURE RFC822.SIZE)", "f OK")
	imap.until("g SEARCH TEXT nowhere", "g OK")
	h.check(t, "SEARCH TEXT")

	h = watchHeap()
	imap.until(fmt.Sprintf("h APPEND INBOX {%d}", bigMessage), "+ ")
	writeBig(t, imap)
	_, err = io.WriteString(imap, "\r\n")
	must(t, err)
	imap.until("", "h OK")
	h.check(t, "APPEND")
}

// fetchBig reads a FETCH response with one literal and throws it away.
func fetchBig(t *testing.T, d *dialog, command string, atLeast int64) {
	t.Helper()
	line := d.until(command, "* 1 FETCH")
	i := strings.LastIndexByte(line, '{')
	if i < 0 {
		t.Fatalf("no literal: %q", line)
	}
	var size int64
	if _, err := fmt.Sscanf(line[i:], "{%d}", &size); err != nil || size < atLeast {
		t.Fatalf("literal %q: %v", line[i:], err)
	}
	if _, err := io.CopyN(io.Discard, d.r, size); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	d.until("", command[:1]+" OK")
}
