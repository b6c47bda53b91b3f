package node

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
)

// What saslauthd is asked, byte by byte, and what is made of its answers, of others' too.
func TestSaslauthdAnswers(t *testing.T) {
	const request = "\x00\x02al\x00\x04p\xc3\xa4s\x00\x04smtp\x00\x00"
	for name, c := range map[string]struct {
		answer string
		fits   bool
		want   string // of the error; "" for none
	}{
		"yes":              {"\x00\x02OK", true, ""},
		"yes, and more":    {"\x00\x09OK Yes\r\n\x00", true, ""},
		"no":               {"\x00\x02NO", false, ""},
		"no, with reasons": {"\x00\x19NO authentication failure ", false, ""},
		"something else":   {"\x00\x03BAH", false, `answers "BAH"`},
		"nothing in it":    {"\x00\x00", false, `answers ""`},
		"too long":         {"\xff\xffOK", false, "an answer of 65535 bytes"},
		"half":             {"\x00\x10OK", false, "EOF"},
		"nothing":          {"", false, "EOF"},
	} {
		socket := filepath.Join(t.TempDir(), "mux")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan string, 1)
		go func() {
			conn, err := l.Accept()
			if err != nil {
				asked <- err.Error()
				return
			}
			defer conn.Close()
			got := make([]byte, len(request))
			_, _ = io.ReadFull(conn, got)
			_, _ = io.WriteString(conn, c.answer)
			asked <- string(got)
		}()
		fits, err := saslauthd(t.Context(), socket, "al", "päs")
		if fits != c.fits || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", name, fits, err)
		}
		if err != nil && !strings.Contains(err.Error(), socket) {
			t.Errorf("%s: the error does not name the socket: %v", name, err)
		}
		if got := <-asked; got != request {
			t.Errorf("%s: asked %q, want %q", name, got, request)
		}
		l.Close()
	}
}

func TestSaslauthdHangs(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "mux")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if fits, err := saslauthd(ctx, socket, "al", "x"); fits || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v", fits, err)
	}
}

// What is not configured names its key.
func TestSystemAuthNames(t *testing.T) {
	for system, want := range map[string]string{"none": `auth.system is "none"`, "shadow": "helper.enabled is false", "saslauthd": "auth.saslauthd_socket"} {
		c := config.Defaults()
		c.Auth.System, c.Auth.SaslauthdSocket = system, filepath.Join(t.TempDir(), "mux")
		var p atomic.Pointer[config.Config]
		p.Store(c)
		if fits, err := (systemAuth{&p}).CheckPassword(t.Context(), "al", "x"); fits || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", system, fits, err)
		}
	}
}
