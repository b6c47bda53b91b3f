package service

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/privhelper"
	"github.com/postrider/postrider/test/interop/system"
	"github.com/postrider/postrider/test/needs"
)

const units = "../../../packaging/systemd"

// most is the exposure that is allowed, of ten.
const most = 2.0

func TestExposure(t *testing.T) {
	for _, unit := range []string{"postrider.service", "postrider-helper.service"} {
		path, err := filepath.Abs(filepath.Join(units, unit))
		must(t, err)
		out := system.Run(t, system.Command{Name: "systemd-analyze", Args: []string{"security", "--offline=true", "--no-pager", path}}).Stdout
		m := regexp.MustCompile(`Overall exposure level for ` + regexp.QuoteMeta(unit) + `: ([0-9.]+)`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("no exposure level in: %s", out)
		}
		level, err := strconv.ParseFloat(m[1], 64)
		must(t, err)
		t.Logf("%s: %.1f", unit, level)
		if level > most {
			t.Errorf("%s: %.1f, and %.1f is allowed:\n%s", unit, level, most, out)
		}
	}
}

// systemd understands every line of the units.
func TestUnitsAreUnderstood(t *testing.T) {
	p := newPlace(t)
	names, err := filepath.Glob(filepath.Join(units, "*.*et"))
	must(t, err)
	services, err := filepath.Glob(filepath.Join(units, "*.service"))
	must(t, err)
	var args []string
	for _, name := range append(names, services...) {
		text, err := os.ReadFile(name)
		must(t, err)
		args = append(args, p.write(t, "units/"+filepath.Base(name), strings.ReplaceAll(string(text), "ExecStart=/usr/bin/postrider", "ExecStart="+p.binary), 0o644))
	}
	if len(args) != 4 {
		t.Fatalf("units: %v", args)
	}
	r := system.Run(t, system.Command{Name: "systemd-analyze", Args: append([]string{"verify", "--man=no"}, args...)})
	for line := range strings.Lines(r.All()) {
		if strings.Contains(line, p.dir) || strings.Contains(line, "postrider") {
			t.Error(line)
		}
	}
}

// directives are the values of a key in a unit, in order.
func directives(t testing.TB, unit, key string) (values []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(units, unit))
	must(t, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			values = append(values, value)
		}
	}
	return values
}

// allowedCalls are the system calls that a unit's filter lets through, by the lists of the installed systemd.
func allowedCalls(t testing.TB, unit string) map[string]bool {
	t.Helper()
	groups := map[string][]string{}
	group := ""
	out := system.Run(t, system.Command{Name: "systemd-analyze", Args: []string{"syscall-filter", "--no-pager"}}).Stdout
	for line := range strings.Lines(out) {
		word := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "@"):
			group = word
		case word != "" && !strings.HasPrefix(word, "#"):
			groups[group] = append(groups[group], word)
		}
	}
	var members func(string) []string
	members = func(name string) (all []string) {
		if !strings.HasPrefix(name, "@") {
			return []string{name}
		}
		for _, m := range groups[name] {
			all = append(all, members(m)...)
		}
		return all
	}
	allowed := map[string]bool{}
	for _, value := range directives(t, unit, "SystemCallFilter") {
		value, deny := strings.CutPrefix(value, "~")
		for name := range strings.FieldsSeq(value) {
			for _, call := range members(name) {
				allowed[call] = !deny
			}
		}
	}
	return allowed
}

// callsOf are the system calls in a log of strace, with the first line of each; socket is there once for each family.
func callsOf(t testing.TB, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	calls := map[string]string{}
	re := regexp.MustCompile(`^(?:\d+ +)?(socket\(AF_[A-Z0-9]+|[a-z_0-9]+\()`)
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.Contains(s.Text(), "PROT_EXEC") {
			t.Errorf("MemoryDenyWriteExecute= may refuse %s", s.Text())
		}
		if m := re.FindStringSubmatch(s.Text()); m != nil {
			if call := strings.TrimSuffix(m[1], "("); calls[call] == "" {
				calls[call] = s.Text()
			}
		}
	}
	return calls
}

// What the server calls, from its start over mail coming in and being read to its end, passes the unit's filter. Calls that
// it may do without are named here.
func TestSystemCalls(t *testing.T) {
	p := newPlace(t)
	trace := filepath.Join(p.dir, "trace")
	data := p.configure(t, "[limits]\nsandbox = \"require\"\n")
	must(t, os.WriteFile(trace, nil, 0o666), os.Chmod(trace, 0o666))
	run := p.launch(t, nobody, nil, "strace", "-f", "-qq", "-e", "signal=none", "-o", trace, p.binary, "serve", "--dir", data)
	s := &server{process: run, place: p, data: data}
	s.ready(t)
	s.postrider(t, "secret-1\n", "account", "add", "al@here.example", "--password-stdin")
	s.swaks(t, "al@here.example", "traced")
	eventually(t, "the message can be read", func() bool {
		r := s.curl(t, "imaps://"+s.listeners["imaps"]+"/INBOX;MAILINDEX=1", "al@here.example", "secret-1", "--silent")
		return strings.Contains(r.Stdout, "Subject: traced")
	})
	s.stop(t)
	judge(t, "postrider.service", callsOf(t, trace))
}

func TestSystemCallsOfHelper(t *testing.T) {
	needs.Root(t, "reading shadow")
	p := newPlace(t)
	trace, socket := filepath.Join(p.dir, "trace"), filepath.Join(p.dir, "helper.sock")
	h := p.launch(t, 0, nil, "strace", "-f", "-qq", "-e", "signal=none", "-o", trace, p.binary, "privhelper", "--socket", socket, "--peer-uid", "65534",
		"--config", filepath.Join(p.dir, "none.toml"))
	eventually(t, "the helper is ready", func() bool { return strings.Contains(h.text(), "msg=ready") })
	c := &privhelper.Client{Socket: socket}
	if ok, err := c.Verify(t.Context(), "nosuchuser", "x"); ok || err != nil {
		t.Errorf("verify: %v, %v", ok, err)
	}
	if _, err := c.ReadFile(t.Context(), "/etc/shadow"); !errors.Is(err, privhelper.ErrRefused) {
		t.Errorf("read: %v", err)
	}
	h.stop(t)
	calls := callsOf(t, trace)
	for _, own := range []string{"chmod", "fchmodat", "chown", "lchown", "fchownat"} {
		delete(calls, own) // of the socket, which systemd makes for the unit
	}
	judge(t, "postrider-helper.service", calls)
}

// Go's start raises the limit of open files, where it may; LimitNOFILE= has done that.
var dispensable = []string{"prlimit64"}

func judge(t *testing.T, unit string, calls map[string]string) {
	t.Helper()
	allowed := allowedCalls(t, unit)
	if len(calls) < 25 || !allowed["read"] || allowed["mount"] || allowed["reboot"] {
		t.Fatalf("%d calls traced, %d allowed", len(calls), len(allowed))
	}
	families := strings.Fields(strings.Join(directives(t, unit, "RestrictAddressFamilies"), " "))
	for call, line := range calls {
		if family, ok := strings.CutPrefix(call, "socket("); ok {
			call = "socket"
			if !slices.Contains(families, family) {
				t.Errorf("%s refuses the family of %s", unit, line)
			}
		}
		if !allowed[call] && !slices.Contains(dispensable, call) {
			t.Errorf("%s refuses %s: %s", unit, call, line)
		}
	}
	t.Logf("%s: %d calls used, all but %v allowed", unit, len(calls), dispensable)
}
