package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/node"
)

// readiness is the line that quickstart --json prints. Programs rely on it.
type readiness struct {
	Ready     bool              `json:"ready"`
	Dir       string            `json:"dir"`
	Hostname  string            `json:"hostname"`
	CA        string            `json:"ca"`
	Listeners map[string]string `json:"listeners"`
	Accounts  []login           `json:"accounts"`
}

// announce tells that everything is served, and how to use it.
func (q *quickstart) announce(n *node.Node) error {
	c := n.Config()
	r := readiness{Ready: true, Dir: q.dir, Hostname: c.Hostname, CA: filepath.Join(c.DataDir, "tls", "ca.pem"),
		Listeners: map[string]string{}, Accounts: append([]login{}, q.accounts...)}
	if c.TLS.Cert != "" {
		r.CA = c.TLS.Cert
	}
	for service, addr := range n.Addresses() {
		r.Listeners[service] = addr.String()
	}
	if q.app.flags.JSON {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(q.app.stdout, "%s\n", line)
		return err
	}
	_, err := q.app.stdout.WriteString(q.welcome(r, c))
	return err
}

// welcome is what a person reads: what there is, and settings to paste.
func (q *quickstart) welcome(r readiness, c *config.Config) string {
	var b strings.Builder
	head := func(s string) { fmt.Fprintf(&b, "\n%s\n", q.app.bold(s)) }
	fmt.Fprintf(&b, "%s\n", q.app.bold("Postrider is ready."))
	fmt.Fprintf(&b, "Stop it with Ctrl-C; started again it has the same mail and the same accounts.\n\n")
	logFile := c.Log.File
	if logFile == "" {
		logFile = "here"
	}
	fmt.Fprintf(&b, "  %-14s%s\n  %-14s%s\n  %-14s%s\n", "data", r.Dir, "log", logFile, "authority", r.CA)
	for _, s := range services() {
		if addr := r.Listeners[s]; addr != "" {
			fmt.Fprintf(&b, "  %-14s%s\n", s, addr)
		}
	}
	head("Accounts")
	for _, l := range r.Accounts {
		fmt.Fprintf(&b, "  %-30s  password %s\n", l.Address, l.Password)
	}
	if len(r.Accounts) < 2 {
		return b.String()
	}
	alice, bob := r.Accounts[0], r.Accounts[1]
	p := func(service string) string { return port(r.Listeners[service]) }
	ca := shellQuote(r.CA)
	if p("smtp") != "" {
		head("A message from a stranger to " + alice.Address + " (swaks)")
		fmt.Fprintf(&b, "  swaks --server 127.0.0.1 --port %s --from stranger@elsewhere.example --to %s\n", p("smtp"), alice.Address)
	}
	if p("submission") != "" {
		head("From alice to bob, with TLS and password (swaks)")
		fmt.Fprintf(&b, "  swaks --server localhost --port %s --tls --tls-verify --tls-ca-path %s \\\n", p("submission"), ca)
		fmt.Fprintf(&b, "    --auth PLAIN --auth-user %s --auth-password %s --from %s --to %s\n", alice.Address, alice.Password, alice.Address, bob.Address)
	}
	if p("submissions") != "" && p("imaps") != "" {
		q.curl(&b, head, ca, p, alice, bob)
		q.clients(&b, head, r.CA, p, alice)
	}
	head("Look after it, in another terminal")
	dir, program := shellQuote(r.Dir), shellQuote(programPath())
	for _, command := range []string{"account setup " + alice.Address, "account add carol@" + domainOf(alice), "queue list", "mail list --account " + alice.Address} {
		fmt.Fprintf(&b, "  %s %s --dir %s\n", program, command, dir)
	}
	fmt.Fprintln(&b)
	return b.String()
}

func (q *quickstart) curl(b *strings.Builder, head func(string), ca string, port func(string) string, alice, bob login) {
	head("Send and read with curl")
	user := shellQuote(alice.Address + ":" + alice.Password)
	fmt.Fprintf(b, "  printf 'From: %s\\r\\nTo: %s\\r\\nSubject: hello\\r\\n\\r\\nIt works.\\r\\n' |\n", alice.Address, bob.Address)
	fmt.Fprintf(b, "    curl -sS --cacert %s --user %s smtps://localhost:%s --mail-from %s --mail-rcpt %s -T -\n", ca, user, port("submissions"), alice.Address, bob.Address)
	fmt.Fprintf(b, "  curl -sS --cacert %s --user %s 'imaps://localhost:%s/INBOX' -X 'FETCH 1:* (FLAGS ENVELOPE)'\n", ca, user, port("imaps"))
	fmt.Fprintf(b, "  curl -sS --cacert %s --user %s 'imaps://localhost:%s/INBOX;MAILINDEX=1'\n", ca, user, port("imaps"))
}

func (q *quickstart) clients(b *strings.Builder, head func(string), ca string, port func(string) string, alice login) {
	head("mutt: lines for a muttrc")
	user := url.QueryEscape(alice.Address)
	for _, line := range [][2]string{
		{"folder", fmt.Sprintf("imaps://%s@localhost:%s/", user, port("imaps"))},
		{"spoolfile", "+INBOX"}, {"record", "+Sent"}, {"postponed", "+Drafts"},
		{"imap_pass", alice.Password},
		{"smtp_url", fmt.Sprintf("smtps://%s@localhost:%s/", user, port("submissions"))},
		{"smtp_pass", alice.Password},
		{"from", alice.Address},
		{"ssl_ca_certificates_file", ca},
	} {
		fmt.Fprintf(b, "  set %s = %s\n", line[0], muttQuote(line[1]))
	}
	head("Thunderbird: settings for a manual set-up")
	fmt.Fprintf(b, "  Authority   Settings > Privacy & Security > Certificates > Authorities > Import: %s\n", ca)
	fmt.Fprintf(b, "  Incoming    IMAP, localhost, port %s, SSL/TLS, normal password, user name %s\n", port("imaps"), alice.Address)
	if port("pop3s") != "" {
		fmt.Fprintf(b, "  or          POP3, localhost, port %s, SSL/TLS, normal password, user name %s\n", port("pop3s"), alice.Address)
	}
	fmt.Fprintf(b, "  Outgoing    SMTP, localhost, port %s, SSL/TLS, normal password, user name %s\n", port("submissions"), alice.Address)
}

func domainOf(l login) string { return l.Address[strings.LastIndexByte(l.Address, '@')+1:] }

// programPath is how a shell finds this program: by name where that leads here, else by its place.
func programPath() string {
	self, err := os.Executable()
	if err != nil {
		return "postrider"
	}
	if found, err := exec.LookPath("postrider"); err == nil && found == self {
		return "postrider"
	}
	return self
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// shellQuote quotes a word for a shell where it needs that.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@%:,=") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// muttQuote quotes a value for a muttrc.
func muttQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(s) + `"`
}
