package node

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
)

// A table leads to a mailbox here and to one elsewhere: the copy that leaves has a reverse-path of ours, by which a bounce
// would come back; a forged one is refused.
func TestVirtualAliasesAndSRS(t *testing.T) {
	there, sets := elsewhere(t)
	dir := t.TempDir()
	virtual, secrets := filepath.Join(dir, "virtual"), filepath.Join(dir, "secrets")
	for path, text := range map[string]string{virtual: "both@alias.example alice@here.example, bob@there.example\nalias.example x\n", secrets: "a long secret\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sets = append(sets, fmt.Sprintf("routing.virtual_alias_maps = %q", "texthash:"+virtual), `routing.srs_domain = "srs.here.example"`,
		fmt.Sprintf("routing.srs_secrets_file = %q", secrets))
	here, _ := start(t, testConfig(t, t.TempDir(), sets...))
	addSilentUser(t, here, "alice")
	if err := send(t, here, "both@alias.example", "Subject: to both\r\n\r\nx\r\n"); err != nil {
		t.Fatal(err)
	}
	mailboxes(t, here, 1, "alice")
	bob := login(t, there, "bob@there.example", "pw")
	arrived(t, bob, "INBOX", 1)
	want := regexp.MustCompile(`^Return-Path: <SRS0=[^=]{4}=[A-Z2-7]{2}=far\.example=sender@srs\.here\.example>\r\n`)
	if got := bodyOf(t, bob, 1); !want.Match(got) {
		t.Errorf("%s", got)
	}
	for _, to := range []string{"nobody@alias.example", "SRS0=AAAA=AA=far.example=sender@srs.here.example", "x@far.example"} {
		if err := send(t, here, to, "Subject: x\r\n\r\nx\r\n"); err == nil {
			t.Errorf("%s was taken", to)
		}
	}
}

// A setting that cannot be read is named, for config check as for a start.
func TestRoutingSettingsAreChecked(t *testing.T) {
	c := config.Defaults()
	c.Domain = "here.example"
	c.Routing.DefaultTransport, c.Routing.RelayDomains, c.Routing.Relayhost = "carrier-pigeon:coop", []string{"good.example", "not a domain!"}, "[unclosed"
	_, err := RoutingRules(c, t.TempDir())
	for _, want := range []string{"routing.default_transport: unknown transport", `routing.relay_domains: "domain!" is no domain`, "routing.relayhost: next hop"} {
		if err == nil || !regexp.MustCompile(regexp.QuoteMeta(want)).MatchString(err.Error()) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// Canonical and masquerading rules change the headers of our own mail: by port 25 from this host, and by the submission port.
func TestHeadersAreRewritten(t *testing.T) {
	here, _ := start(t, testConfig(t, t.TempDir(), `routing.sender_canonical_maps = "inline:{web@here.example=alice@here.example}"`,
		`routing.masquerade_domains = "here.example"`))
	addUser(t, here, "alice", "secret password")
	if err := send(t, here, "alice@here.example", "From: Shop <web@here.example>\r\nTo: a@pc.here.example\r\nSubject: x\r\n\r\nweb@here.example\r\n"); err != nil {
		t.Fatal(err)
	}
	c := login(t, here, "alice@here.example", "secret password")
	arrived(t, c, "INBOX", 1)
	want := "From: Shop <alice@here.example>\r\nTo: a@here.example\r\nSubject: x\r\n\r\nweb@here.example\r\n"
	if got := bodyOf(t, c, 1); !strings.Contains(string(got), want) {
		t.Errorf("%s", got)
	}
}
