package service

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

// Started by root, without systemd, the server is the user postrider for good, confined, without any capability.
func TestServeAsRoot(t *testing.T) {
	needs.Root(t, "what root starts")
	p := newPlace(t)
	users := p.withUsers(t)
	data := p.configure(t, "")
	must(t, os.Chown(data, 4200, 4200), os.Chown(filepath.Join(p.dir, "log"), 4200, 4200))
	run := p.launch(t, 0, nil, append(users, p.binary, "serve", "--dir", data)...)
	s := &server{process: run, place: p, data: data}
	s.ready(t)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", run.cmd.Process.Pid))
	must(t, err)
	for _, want := range []string{`Uid:\s+4200\s+4200\s+4200\s+4200`, `Gid:\s+4200\s+4200\s+4200\s+4200`, `CapEff:\s+0{16}`, `CapPrm:\s+0{16}`} {
		if !regexp.MustCompile(want).Match(status) {
			t.Errorf("%s is not in %s", want, status)
		}
	}
	landlocked(t)
	if !strings.Contains(string(status), "NoNewPrivs:\t1") || !strings.Contains(s.logFile(), "confined by Landlock") {
		t.Errorf("not confined: %s", s.logFile())
	}
}

// Root's question whether the configuration is right means: for the user that the server will be.
func TestConfigCheckOfRoot(t *testing.T) {
	needs.Root(t, "files that only root may read")
	p := newPlace(t)
	users := p.withUsers(t)
	key := filepath.Join(p.dir, "key.pem") // and its certificate
	selfSigned(t, "mx.here.example", key, key)
	check := func(config string, code int) string {
		args := append(users[1:len(users):len(users)], p.binary, "config", "check", "--config", p.write(t, "check.toml", config, 0o644))
		return system.Run(t, system.Command{Name: users[0], Args: args, Code: code}).All()
	}
	tls := fmt.Sprintf("[tls]\ncert = %q\nkey = %q\n", key, key)
	if out := check(tls, 78); !strings.Contains(out, "tls.cert: the user postrider cannot read "+key+": set helper.enabled = true") {
		t.Errorf("without the helper: %s", out)
	}
	check(tls+"[helper]\nenabled = true\n", 0)
	if out := check("[helper]\nenabled = true\n[tls]\ncert = \"/nowhere.pem\"\n", 78); !strings.Contains(out, "no such file") {
		t.Errorf("a file that is not there: %s", out)
	}
	if out := check("[auth]\nsystem = \"shadow\"\n", 78); !strings.Contains(out, "set helper.enabled = true and start postrider-helper.socket") {
		t.Errorf("shadow without the helper: %s", out)
	}
	must(t, os.Chmod(key, 0o644))
	check(tls, 0)
}
