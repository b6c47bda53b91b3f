package node

import (
	"net"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
)

func socket(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestBindPassed(t *testing.T) {
	c := config.Defaults()
	c.Listeners = config.Listeners{SMTP: config.Listener{Enabled: true, Addresses: []string{":25", "127.0.0.1:0"}},
		IMAP: config.Listener{Enabled: true, Addresses: []string{"127.0.0.1:0"}}}
	smtp := socket(t)
	b, err := Bind(c, map[string][]net.Listener{"smtp": {smtp}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.Listen("tcp", ":25"); err != nil || got != smtp {
		t.Errorf("the passed socket is not used: %v, %v", got, err)
	}
	for range 2 { // the second address of smtp, and that of imap
		got, err := b.Listen("tcp", "127.0.0.1:0")
		if err != nil || got.Addr().String() == smtp.Addr().String() {
			t.Errorf("%v, %v", got, err)
		} else {
			got.Close()
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	for text, passed := range map[string]map[string][]net.Listener{
		`a socket named "imaps", and no such service is enabled`: {"smtp": {socket(t)}, "imaps": {socket(t)}},
		`a socket named "LISTEN_FD_3"`:                           {"LISTEN_FD_3": {socket(t)}},
		`2 sockets for imap`:                                     {"smtp": {socket(t)}, "imap": {socket(t), socket(t)}},
	} {
		if _, err := Bind(c, passed); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v; want %s", err, text)
		}
		for _, list := range passed {
			for _, l := range list {
				if _, err := l.Accept(); !strings.Contains(err.Error(), "closed") {
					t.Errorf("%s: a socket stays open: %v", text, err)
				}
			}
		}
	}
}
