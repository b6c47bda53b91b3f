package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/node"
)

// What quickstart makes when nothing else is said.
const (
	quickstartDir    = "postrider-data"
	quickstartDomain = "example.test"
	quickstartOffset = 10000
	accountsName     = "accounts" // in the data directory
	logName          = "postrider.log"
)

// standardPorts are the services with their ports, in the order in which they are shown.
func standardPorts() []struct {
	service string
	port    int
} {
	return []struct {
		service string
		port    int
	}{{"smtp", 25}, {"submission", 587}, {"submissions", 465}, {"lmtp", 24}, {"imap", 143}, {"imaps", 993}, {"pop3", 110},
		{"pop3s", 995}, {"http", 80}, {"https", 443}}
}

func services() []string {
	var names []string
	for _, s := range standardPorts() {
		names = append(names, s.service)
	}
	return names
}

// quickstart is one run of the command.
type quickstart struct {
	app  *app
	dir  string
	sets []string
	// Filled by prepare.
	accounts []login
}

// login is an account with its password, as the accounts file and --json have it.
type login struct {
	Address  string `json:"address"`
	Password string `json:"password"`
}

func (q quickstartCmd) Run(a *app) error {
	run, err := q.prepare(a)
	if err != nil {
		return err
	}
	return (&server{app: a, load: run.load, prepare: run.makeAccounts, announce: run.announce}).run()
}

// prepare makes the folder and its configuration where they are missing.
func (q quickstartCmd) prepare(a *app) (*quickstart, error) {
	if a.flags.Config != "" {
		return nil, usagef("quickstart writes a configuration of its own: choose its place with --dir, or use serve")
	}
	domain, err := address.CanonicalDomain(q.Domain)
	if q.Domain != "" && (err != nil || strings.HasPrefix(domain, "[")) {
		return nil, usagef("--domain: %q is not a domain name", q.Domain)
	}
	if err := checkOffset(q.PortOffset); err != nil {
		return nil, err
	}
	if a.flags.Dir == "" {
		a.flags.Dir = quickstartDir
	}
	dir, err := filepath.Abs(a.flags.Dir)
	if err != nil {
		return nil, err
	}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	run := &quickstart{app: a, dir: dir, sets: q.Set}
	file := filepath.Join(dir, configName)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if domain == "" {
			domain = quickstartDomain
		}
		offset := quickstartOffset
		if q.PortOffset != nil {
			offset = *q.PortOffset
		}
		return run, writePrivate(file, quickstartConfig(dir, domain, offset))
	}
	if q.PortOffset != nil { // another place than the file says
		run.sets = append(portSets(*q.PortOffset), run.sets...)
	}
	c, err := run.load()
	if err == nil && domain != "" && c.Domain != domain {
		err = withCode(exitData, "%s was made for the domain %s, not for %s: leave --domain out, or choose another --dir", dir, c.Domain, domain)
	}
	return run, err
}

func checkOffset(offset *int) error {
	const highest = 65535 - 995
	if offset != nil && (*offset < 0 || *offset > highest) {
		return usagef("--port-offset: %d is not between 0 and %d", *offset, highest)
	}
	return nil
}

// makeDir makes the data directory, or tells why it cannot serve.
func makeDir(dir string) error {
	if err := node.MakeDir(dir); err != nil {
		return &codeError{exitCantCreate, fmt.Errorf("%w: choose another place with --dir", err)}
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return &codeError{exitCantCreate, fmt.Errorf("%s cannot be written: %w: choose another place with --dir", dir, err)}
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func writePrivate(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return &codeError{exitCantCreate, err}
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return &codeError{exitCantCreate, errors.Join(err, os.Remove(file))}
	}
	return nil
}

// quickstartConfig is the configuration that quickstart writes. Nothing in it asks DNS or makes a stranger wait.
func quickstartConfig(dir, domain string, offset int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Written by "postrider quickstart". It is yours now: change what you like, then start again.
# All keys with their defaults: postrider config default

hostname = %s
domain = %s
data_dir = %s

[smtp]
max_connections_per_address = 1000

[screen]
enabled = false

[imap]
max_connections_per_address = 1000
max_connections_per_account = 1000

[auth]
max_connections_per_account_and_address = 1000

[access]
smtpd_peername_lookup = false

`, tomlString("mail."+domain), tomlString(domain), tomlString(dir))
	for _, s := range standardPorts() {
		fmt.Fprintf(&b, "[listeners.%s]\nenabled = true\naddresses = [\"127.0.0.1:%d\"]\n\n", s.service, s.port+offset)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// portSets are the listeners of an offset as overrides.
func portSets(offset int) []string {
	var sets []string
	for _, s := range standardPorts() {
		sets = append(sets, fmt.Sprintf(`listeners.%s.addresses=["127.0.0.1:%d"]`, s.service, s.port+offset))
	}
	return sets
}

// load reads the configuration. The log goes to a file beside the data, so that the terminal stays readable.
func (q *quickstart) load() (*config.Config, error) {
	c, err := q.app.load(q.sets)
	if err != nil {
		return nil, err
	}
	said := slices.ContainsFunc(q.sets, func(s string) bool {
		key, _, _ := strings.Cut(s, "=")
		return strings.TrimSpace(key) == "log.file"
	})
	if c.Log.File == "" && !said {
		c.Log.File = filepath.Join(q.dir, logName)
	}
	return c, nil
}

// makeAccounts makes the accounts at the first start, and reads their passwords at later ones. The file comes last: where
// it is missing, the accounts get new passwords.
func (q *quickstart) makeAccounts(ctx context.Context, n *node.Node) error {
	file := filepath.Join(q.dir, accountsName)
	text, err := os.ReadFile(file)
	if err == nil {
		return q.readAccounts(ctx, n.API(), string(text))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out := "# Written by \"postrider quickstart\": the accounts as they were made. Passwords changed later are not noted here.\n"
	for _, local := range []string{"alice", "bob"} {
		l := login{Address: local + "@" + address.DisplayDomain(n.Config().Domain), Password: newPassword()}
		_, err := n.API().AddAccount(ctx, admin.NewAccount{Address: l.Address, Password: l.Password})
		if admin.KindOf(err) == admin.Exists {
			err = n.API().SetPassword(ctx, admin.Password{Address: l.Address, Password: l.Password})
		}
		if err != nil {
			return err
		}
		q.accounts = append(q.accounts, l)
		out += l.Address + " " + l.Password + "\n"
	}
	return writePrivate(file, out)
}

// readAccounts takes the accounts of the file that still exist.
func (q *quickstart) readAccounts(ctx context.Context, api admin.API, text string) error {
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		addr, password, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(addr, "#") {
			continue
		}
		_, err := api.Account(ctx, addr)
		if admin.KindOf(err) == admin.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		q.accounts = append(q.accounts, login{addr, password})
	}
	return lines.Err()
}

// newPassword is a random password that a person can read out and type: ten syllables, 62 bits.
func newPassword() string {
	const consonants, vowels = "bdfghjklmnprstvz", "aeiou" // 80 syllables; 6.3 bits each
	var b strings.Builder
	for i := range 10 {
		if i > 0 && i%2 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(pick(consonants))
		b.WriteByte(pick(vowels))
	}
	return b.String()
}

// pick chooses a letter, each with the same chance.
func pick(letters string) byte {
	var b [1]byte
	for limit := 256 - 256%len(letters); ; {
		_, _ = rand.Read(b[:]) // never fails; see crypto/rand
		if int(b[0]) < limit {
			return letters[int(b[0])%len(letters)]
		}
	}
}
