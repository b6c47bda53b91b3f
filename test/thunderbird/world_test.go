package thunderbird

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/dns/dnstest"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

const (
	insideEnv      = "POSTRIDER_THUNDERBIRD_INSIDE"
	screenshotsEnv = "POSTRIDER_SCREENSHOTS" // a folder; the protocol's log goes there too

	domain  = "here.example"
	address = "10.97.0.1" // of everything, in the namespace
)

// inside runs the test again in namespaces of its own and tells whether this is that run.
func inside(t *testing.T) bool {
	t.Helper()
	needs.Long(t, "Thunderbird takes minutes and 600 MB of Debian packages")
	needs.Root(t, "namespaces of its own")
	for _, program := range []string{"thunderbird", "Xvfb", "certutil", "ip"} {
		needs.Program(t, program)
	}
	if os.Getenv(insideEnv) != "" {
		enter(t)
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, "-test.run", "^"+t.Name()+"$", "-test.v")
	c.Env = append(os.Environ(), insideEnv+"=1")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if err := c.Run(); err != nil {
		t.Errorf("inside: %v", err)
	}
	return false
}

// enter makes the namespaces what the test needs: an address, and no names but those of our DNS.
func enter(t *testing.T) {
	t.Helper()
	system.Run(t, system.Command{Name: "ip", Args: []string{"link", "set", "lo", "up"}})
	system.Run(t, system.Command{Name: "ip", Args: []string{"address", "add", address + "/24", "dev", "lo"}})
	for file, text := range map[string]string{"/etc/hosts": "127.0.0.1 localhost\n", "/etc/resolv.conf": "nameserver " + address + "\n"} {
		own := filepath.Join(t.TempDir(), filepath.Base(file))
		if err := os.WriteFile(own, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(own, file, "", unix.MS_BIND, ""); err != nil {
			t.Fatalf("mount over %s: %v", file, err)
		}
	}
}

// serveDNS publishes what `postrider account setup` tells to publish, and the host's address.
func serveDNS(t *testing.T, s *system.System) *dnstest.Server {
	t.Helper()
	out := system.Run(t, system.Command{Name: system.Binary(t), Args: []string{"account", "setup", s.Alice.Address, "--dir", s.Dir, "--json"}})
	var told struct{ Records []string }
	if err := json.Unmarshal([]byte(out.Stdout), &told); err != nil {
		t.Fatal(err)
	}
	// The domain itself has no address: where it leads to a host whose certificate does not name it, Thunderbird waits for a
	// person at the end of the set-up, when it looks for calendars there.
	zone := fmt.Sprintf("%s. 60 IN MX 10 mail.%[1]s.\nmail.%[1]s. 60 IN A %[2]s\n", domain, address)
	server := dnstest.New(t, zone+strings.Join(told.Records, "\n")+"\n")
	if _, err := server.ListenOn(t, address+":53"); err != nil {
		t.Fatal(err)
	}
	return server
}

// startSystem runs Postrider at the domain's address. The pages have the ports where clients look for them; what they tell
// of has others, which nobody could guess.
func startSystem(t *testing.T) *system.System {
	var set []string
	for service, port := range map[string]int{"smtp": 25, "submission": 20587, "submissions": 20465, "imap": 20143, "imaps": 20993, "pop3": 20110, "pop3s": 20995,
		"http": 80, "https": 443} {
		set = append(set, fmt.Sprintf(`listeners.%s.addresses=["%s:%d"]`, service, address, port))
	}
	return system.Start(t, system.Options{Domain: domain, Set: set})
}

// xvfb runs a screen until the test ends, and returns its name.
func xvfb(t *testing.T) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1280x900x24", "-nolisten", "tcp")
	c.ExtraFiles = []*os.File{w}
	stopped := launch(t, c)
	_ = w.Close()
	line, err := bufio.NewReader(r).ReadString('\n')
	_ = r.Close()
	select {
	case <-stopped:
		t.Fatal("Xvfb ended")
	default:
	}
	if err != nil {
		t.Fatal(err)
	}
	return ":" + strings.TrimSpace(line)
}

// launch starts a program and ends it with the test. The channel is closed when it has ended.
func launch(t *testing.T, c *exec.Cmd) <-chan struct{} {
	t.Helper()
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = c.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
			<-ended
		}
	})
	return ended
}

// preferences are those without which a test cannot be: no greetings, no calls home, no look at the network's state, which
// here is a loopback interface. Nothing about accounts and discovery.
var preferences = map[string]string{
	"app.update.enabled":                                          "false",
	"app.donation.eoy.version.viewed":                             "999",
	"browser.shell.checkDefaultBrowser":                           "false",
	"datareporting.policy.dataSubmissionEnabled":                  "false",
	"datareporting.policy.dataSubmissionPolicyBypassNotification": "true",
	"extensions.update.enabled":                                   "false",
	"mail.inappnotifications.enabled":                             "false",
	"mail.shell.checkDefaultClient":                               "false",
	"mail.spellcheck.inline":                                      "false",
	"mailnews.start_page.enabled":                                 "false",
	"network.manage-offline-status":                               "false",
	"network.captive-portal-service.enabled":                      "false",
	"network.connectivity-service.enabled":                        "false",
	"offline.download.download_messages":                          "2", // no: what is downloaded first may keep the line uncut for minutes
	"offline.send.unsent_messages":                                "1",
	"offline.autoDetect":                                          "false",
	"mail.check_all_imap_folders_for_new":                         "true",
	"services.settings.server":                                    `""`,
}

// startThunderbird runs Thunderbird with a new profile that trusts the system's authority.
func startThunderbird(t *testing.T, s *system.System) *marionette {
	t.Helper()
	home := t.TempDir()
	profile := filepath.Join(home, "profile")
	if err := os.Mkdir(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	var user strings.Builder
	for name, value := range preferences {
		fmt.Fprintf(&user, "user_pref(%q, %s);\n", name, value)
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(user.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-n", "postrider", "-t", "C,,", "-i", s.CA}} {
		system.Run(t, system.Command{Name: "certutil", Args: append(args, "-d", "sql:"+profile)})
	}
	c := exec.Command("thunderbird", "--marionette", "--remote-allow-system-access", "--no-remote", "--profile", profile)
	c.Env = append(system.Environment(), "HOME="+home, "DISPLAY="+xvfb(t), "MOZ_CRASHREPORTER_DISABLE=1", "LANG=en_US.UTF-8")
	protocol := filepath.Join(home, "protocol")
	if dir := os.Getenv(screenshotsEnv); dir != "" {
		protocol = filepath.Join(dir, "protocol")
	}
	c.Env = append(c.Env, "MOZ_LOG=IMAP:4,SMTP:4,sync,timestamp", "MOZ_LOG_FILE="+protocol)
	t.Cleanup(func() { understands(t, protocol+".moz_log") }) // after Thunderbird has ended
	log, err := os.Create(filepath.Join(home, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c.Stdout, c.Stderr = log, log
	gone := launch(t, c)
	t.Cleanup(func() {
		if text, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("the end of Thunderbird's log:\n%s", text[max(0, len(text)-4000):])
		}
	})
	return connect(t, gone)
}

// understands checks that Thunderbird's parser took every line of ours: at a line that it does not understand it ends the
// connection and makes a new one, which nobody sees but by the time it takes.
func understands(t *testing.T, log string) {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Error(err)
		return
	}
	if !bytes.Contains(text, []byte("IDLE")) {
		t.Errorf("%s is no log of the protocol", log)
	}
	for line := range bytes.Lines(text) {
		if bytes.Contains(line, []byte("Syntax Error")) {
			t.Errorf("%s", line)
		}
	}
}
