package peer

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Postrider is Postrider as `postrider quickstart` starts it.
type Postrider struct {
	program  string
	dir      string
	users    int
	set      []string // key=value, as quickstart's --set takes them
	offset   int
	sink     int  // of 127.0.0.1: where outgoing mail goes
	ready    bool // the accounts are there
	password string
	d        *daemon
	out      *io.PipeWriter
	said     announcement
	ca       *x509.CertPool
}

// announcement is the line that `quickstart --json` prints when it is ready.
type announcement struct {
	Ready     bool              `json:"ready"`
	Hostname  string            `json:"hostname"`
	CA        string            `json:"ca"`
	Listeners map[string]string `json:"listeners"`
}

// PostriderOptions describe one.
type PostriderOptions struct {
	Program string // path of the binary
	Dir     string
	Users   int
	Set     []string
}

// NewPostrider describes a system; nothing is written before Start.
func NewPostrider(o PostriderOptions) *Postrider {
	return &Postrider{program: o.Program, dir: o.Dir, users: o.Users, set: o.Set, password: rand.Text()}
}

// PostriderName is what Postrider is called in tables.
const PostriderName = "Postrider"

func (p *Postrider) Name() string { return PostriderName }

func (p *Postrider) Missing() []string {
	if _, err := exec.LookPath(p.program); err != nil {
		return []string{p.program + " (make build)"}
	}
	return nil
}

func (p *Postrider) Start(ctx context.Context) error {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	var err error
	if p.offset == 0 || !allFree(p.offset, standardPorts()) { // someone else may have taken them since the last start
		if p.offset, err = freeOffset(); err != nil {
			return err
		}
	}
	if p.sink == 0 {
		if p.sink, err = freePort(); err != nil {
			return err
		}
	}
	err = p.launch(ctx)
	if err == nil && !p.ready { // begin anew after the accounts: their password hashes leave memory behind
		if err = p.addUsers(ctx); err == nil {
			if err = p.Stop(); err == nil {
				p.ready = true
				err = p.launch(ctx)
			}
		}
	}
	if err != nil {
		p.Stop()
	}
	return err
}

func (p *Postrider) launch(ctx context.Context) error {
	argv := []string{p.program, "quickstart", "--json", "--dir", p.data(), "--domain", Domain,
		"--port-offset", strconv.Itoa(p.offset)}
	for _, s := range p.settings() {
		argv = append(argv, "--set", s)
	}
	read, write := io.Pipe()
	d, err := launch(filepath.Join(p.dir, "log"), write, nil, argv...)
	if err != nil {
		return err
	}
	p.d, p.out = d, write
	ready := make(chan error, 1)
	go func() {
		r := bufio.NewReader(read)
		line, err := r.ReadBytes('\n')
		if err == nil {
			p.said = announcement{}
			err = json.Unmarshal(line, &p.said)
		}
		ready <- err
		io.Copy(io.Discard, r)
	}()
	select {
	case err = <-ready:
	case <-d.gone:
		err = errors.New("it ended at once")
	case <-time.After(startTimeout):
		err = fmt.Errorf("not ready after %v", startTimeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		err = p.check()
	}
	if err != nil {
		return d.fail(fmt.Errorf("postrider quickstart: %w", err))
	}
	return nil
}

// settings are the caller's, and the way that relayed mail takes, as Postfix's configuration has it too.
func (p *Postrider) settings() []string {
	return append([]string{
		`submission.trusted_networks=["127.0.0.1"]`, `mta.smart_host.host="[127.0.0.1]"`, "mta.smart_host.port=" + strconv.Itoa(p.sink),
		`mta.smart_host.tls="none"`,
	}, p.set...)
}

// check makes sure that the announcement has what is needed here.
func (p *Postrider) check() error {
	for _, l := range []string{"smtp", "submission", "imaps", "pop3s"} {
		if p.said.Listeners[l] == "" {
			return fmt.Errorf("it announces no %s listener", l)
		}
	}
	pem, err := os.ReadFile(p.said.CA)
	if err != nil {
		return err
	}
	p.ca = x509.NewCertPool()
	if !p.ca.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: no certificate in it", p.said.CA)
	}
	return nil
}

func (p *Postrider) addUsers(ctx context.Context) error {
	for u := 1; u <= p.users; u++ {
		c := exec.CommandContext(ctx, p.program, "account", "add", Address(u), "--password-stdin", "--dir", p.data())
		c.Stdin = strings.NewReader(p.password + "\n")
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("postrider account add %s: %w: %s", Address(u), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

func (p *Postrider) data() string { return filepath.Join(p.dir, "data") }

func (p *Postrider) Stop() error {
	if p.d == nil {
		return nil
	}
	err := p.d.stop()
	p.out.Close()
	p.d = nil
	return err
}

func (p *Postrider) Roots() []int {
	if p.d == nil {
		return nil
	}
	return []int{p.d.pid()}
}

func (p *Postrider) SMTP() string { return p.said.Listeners["smtp"] }

func (p *Postrider) IMAP() Access { return p.access("imaps") }

func (p *Postrider) POP3() Access { return p.access("pop3s") }

func (p *Postrider) Relay() Route {
	return Route{Addr: p.said.Listeners["submission"], Sink: fmt.Sprintf("127.0.0.1:%d", p.sink)}
}

func (p *Postrider) access(listener string) Access {
	return Access{
		Addr:     p.said.Listeners[listener],
		TLS:      &tls.Config{RootCAs: p.ca, ServerName: p.said.Hostname},
		Password: func(int) string { return p.password },
	}
}

func (p *Postrider) Version() string { return say(p.program, "version") }

func (p *Postrider) Config() string {
	text := "postrider quickstart --json --dir $DIR --domain " + Domain + " --port-offset " + strconv.Itoa(p.offset)
	for _, s := range p.settings() {
		text += " --set '" + s + "'"
	}
	text += "\n"
	if toml, err := os.ReadFile(filepath.Join(p.data(), "postrider.toml")); err == nil { // as quickstart has written it
		text += "\n" + hideDir(string(toml), p.dir)
	}
	return text
}

func standardPorts() []int { return []int{25, 24, 587, 465, 143, 993, 110, 995, 4190, 80, 443} }

// freeOffset looks for an offset at which the standard ports of all services are free on loopback.
func freeOffset() (int, error) {
	for offset := 21000; offset < 60000; offset += 500 {
		if allFree(offset, standardPorts()) {
			return offset, nil
		}
	}
	return 0, errors.New("no free range of ports on loopback")
}

func allFree(offset int, ports []int) bool {
	for _, port := range ports {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", offset+port))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
