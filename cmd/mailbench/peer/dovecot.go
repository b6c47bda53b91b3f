package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

//go:embed conf/dovecot.conf
var dovecotConf string

// Format is how Dovecot keeps messages.
type Format string

const (
	Maildir Format = "maildir" // one file for each message
	Mdbox   Format = "mdbox"   // many messages in a file
)

// dovecot is a Dovecot with its own configuration, with LMTP on a socket and IMAP on loopback.
type dovecot struct {
	dir    string
	format Format
	port   int // of IMAP in the clear, where only the greeting is read
	tls    int // of IMAP by TLS
	pop3   int // of POP3 by TLS
	limit  int // of processes of one kind
	ca     *x509.CertPool
	extra  []string // further lines of dovecot.conf
	d      *daemon
	conf   string
}

func (v *dovecot) addr() string { return fmt.Sprintf("127.0.0.1:%d", v.port) }

// access is IMAP or POP3 as a user has it.
func (v *dovecot) access(port int) Access {
	return Access{
		Addr: fmt.Sprintf("127.0.0.1:%d", port), TLS: &tls.Config{RootCAs: v.ca, ServerName: "localhost"},
		Password: func(int) string { return "bench" },
	}
}

func (v *dovecot) lmtp() string { return filepath.Join(v.dir, "run", "lmtp") }

func (v *dovecot) setUp() error {
	var err error
	if v.port, err = freePort(); err != nil {
		return err
	}
	if v.tls, err = freePort(); err != nil {
		return err
	}
	if v.pop3, err = freePort(); err != nil {
		return err
	}
	for _, sub := range []string{"run", "state", "mail"} {
		if err := os.MkdirAll(filepath.Join(v.dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := chownTo(filepath.Join(v.dir, "mail"), "mail"); err != nil {
		return err
	}
	if v.ca, err = certificate(v.dir); err != nil {
		return err
	}
	folder := "Maildir"
	if v.format != Maildir {
		folder = string(v.format)
	}
	text, err := fill(dovecotConf, map[string]any{
		"Dir": v.dir, "Domain": Domain, "Format": v.format, "Folder": folder, "Port": v.port, "TLSPort": v.tls,
		"POP3Port": v.pop3, "Processes": v.limit, "Clients": 4 * v.limit, "Extra": v.extra,
	})
	if err != nil {
		return err
	}
	v.conf = hideDir(text, filepath.Dir(v.dir))
	return os.WriteFile(filepath.Join(v.dir, "dovecot.conf"), []byte(text), 0o644)
}

func (v *dovecot) start(ctx context.Context) error {
	program, err := find("dovecot")
	if err != nil {
		return err
	}
	v.d, err = launch(filepath.Join(v.dir, "output"), nil, nil, program, "-F", "-c", filepath.Join(v.dir, "dovecot.conf"))
	if err != nil {
		return err
	}
	if err := v.d.await(ctx, v.addr(), "* OK"); err != nil {
		return withLog(err, filepath.Join(v.dir, "log"))
	}
	return v.d.await(ctx, v.lmtp(), "220 ")
}

// chownTo gives a folder to a system user.
func chownTo(path, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	return os.Chown(path, uid, gid)
}
