package peer

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed conf/main.cf
var mainCF string

//go:embed conf/master.cf
var masterCF string

// postfix is a Postfix with its own configuration and queue, which delivers to an LMTP socket.
type postfix struct {
	dir   string
	port  int
	sink  int // of 127.0.0.1: where mail for RelayDomain goes
	limit int // of processes of one kind
	lmtp  string
	users int
	extra []string // further lines of main.cf
	d     *daemon
	conf  string
}

func (p *postfix) addr() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

// setUp writes the configuration; Postfix makes its queue folders itself.
func (p *postfix) setUp() error {
	master, err := find("master")
	if err != nil {
		return err
	}
	if p.port, err = freePort(); err != nil {
		return err
	}
	if p.sink, err = freePort(); err != nil {
		return err
	}
	values := map[string]any{
		"Dir": p.dir, "Daemons": filepath.Dir(master), "Domain": Domain, "LMTP": p.lmtp, "Port": p.port,
		"RelayDomain": RelayDomain, "Sink": p.sink, "Processes": p.limit, "MaxSize": 64 << 20, "Extra": p.extra,
	}
	for _, sub := range []string{"etc", "queue", "state"} {
		if err := os.MkdirAll(filepath.Join(p.dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := chownTo(filepath.Join(p.dir, "state"), "postfix"); err != nil {
		return err
	}
	var table strings.Builder
	for u := 1; u <= p.users; u++ {
		fmt.Fprintf(&table, "%s x\n", Address(u))
	}
	if err := os.WriteFile(filepath.Join(p.dir, "users"), []byte(table.String()), 0o644); err != nil {
		return err
	}
	p.conf = ""
	for name, text := range map[string]string{"main.cf": mainCF, "master.cf": masterCF} {
		filled, err := fill(text, values)
		if err != nil {
			return err
		}
		if name == "main.cf" {
			p.conf = hideDir(filled, filepath.Dir(p.dir))
		}
		if err := os.WriteFile(filepath.Join(p.dir, "etc", name), []byte(filled), 0o644); err != nil {
			return err
		}
	}
	out, err := exec.Command("postfix", "-c", filepath.Join(p.dir, "etc"), "check").CombinedOutput()
	if err != nil {
		return fmt.Errorf("postfix check: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// start runs Postfix's master in the foreground. Its log is the maillog, which Postfix writes itself (postlogd).
func (p *postfix) start(ctx context.Context) error {
	master, err := find("master")
	if err != nil {
		return err
	}
	etc := filepath.Join(p.dir, "etc")
	p.d, err = launch(filepath.Join(p.dir, "output"), nil, []string{"MAIL_CONFIG=" + etc}, master, "-d", "-c", etc)
	if err != nil {
		return err
	}
	if err := p.d.await(ctx, p.addr(), "220 "); err != nil {
		return withLog(err, filepath.Join(p.dir, "maillog"))
	}
	return nil
}

func fill(text string, values any) (string, error) {
	t, err := template.New("").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, values)
	return b.String(), err
}
