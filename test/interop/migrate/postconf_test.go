package migrate

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/migrate/postfix"
	"github.com/postrider/postrider/test/needs"
)

const testdata = "../../../internal/migrate/postfix/testdata/sites"

// postconf asks Postfix; the answer is lines.
func postconf(t *testing.T, args ...string) ([]string, error) {
	t.Helper()
	cmd := exec.Command(needs.Program(t, "postconf"), args...)
	out, err := cmd.Output()
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n"), err
}

func nameValue(line string) (name, value string) {
	name, value, _ = strings.Cut(line, " =")
	return name, strings.TrimSpace(value)
}

// oneBlank forgets how lines were continued; postconf does so too.
func oneBlank(s string) string { return strings.Join(strings.Fields(s), " ") }

// ofTheHost are parameters whose defaults are the system's.
var ofTheHost = []string{"myhostname", "mydomain", "mynetworks", "process_id", "process_name", "mail_release_date", "mail_version", "config_directory",
	"proxy_read_maps"}

// TestDefaultsArePostfixs compares names and defaults of all parameters.
func TestDefaultsArePostfixs(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"main.cf": "", "master.cf": "smtp inet n - y - - smtpd\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := postconf(t, "-c", dir, "-d")
	if err != nil || len(lines) < 500 {
		t.Fatalf("%d parameters, %v", len(lines), err)
	}
	ours := postfix.Defaults()
	for _, line := range lines {
		name, value := nameValue(line)
		got, known := ours[name]
		if !known {
			t.Errorf("%s is not known", name)
		} else if got != value && !slices.Contains(ofTheHost, name) {
			t.Errorf("%s: default %q, Postfix's is %q", name, got, value)
		}
	}
}

func sites(t *testing.T) []string {
	entries, err := os.ReadDir(testdata)
	if err != nil || len(entries) < 12 {
		t.Fatalf("%d configurations, %v", len(entries), err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestValuesArePostfixs compares every setting of every configuration: as written (postconf -n), expanded (-x), and those of
// the services (-P). The configuration of mistakes must be refused by Postfix too.
func TestValuesArePostfixs(t *testing.T) {
	compared := 0
	for _, site := range sites(t) {
		dir, err := filepath.Abs(filepath.Join(testdata, site, "etc/postfix"))
		if err != nil {
			t.Fatal(err)
		}
		o, err := postfix.Read(dir, "host.example.org")
		if err != nil {
			t.Fatal(err)
		}
		written, err := postconf(t, "-c", dir, "-n")
		if site == "mistakes" {
			if err == nil || len(o.MainProblems) == 0 {
				t.Errorf("mistakes: Postfix says %v, we find %d problems", err, len(o.MainProblems))
			}
			continue
		}
		if err != nil || len(o.MainProblems)+len(o.MasterProblems) > 0 {
			t.Errorf("%s: Postfix says %v, we find %v %v", site, err, o.MainProblems, o.MasterProblems)
			continue
		}
		last := map[string]string{}
		for _, s := range o.Settings {
			last[s.Name] = s.Value
		}
		for _, line := range written {
			name, value := nameValue(line)
			if got, ok := last[name]; ok && oneBlank(got) != oneBlank(value) {
				t.Errorf("%s %s: %q, Postfix reads %q", site, name, got, value)
			} else if !ok && name != "config_directory" {
				t.Errorf("%s %s: Postfix reads %q, we nothing", site, name, value)
			}
			compared++
		}
		compared += expanded(t, o, site, dir)
		compared += services(t, o, site, dir)
	}
	if compared < 500 {
		t.Errorf("%d values were compared: this is too little", compared)
	}
}

func expanded(t *testing.T, o *postfix.Origin, site, dir string) (compared int) {
	lines, err := postconf(t, "-c", dir, "-x", "-n")
	if err != nil {
		t.Errorf("%s: %v", site, err)
	}
	for _, line := range lines {
		name, value := nameValue(line)
		if strings.Contains(value, dir) || name == "config_directory" { // -c makes it another folder for postconf
			continue
		}
		if got, err := o.Value(name, nil); err != nil || oneBlank(got) != oneBlank(value) {
			t.Errorf("%s %s: expanded %q, %v; Postfix says %q", site, name, got, err, value)
		}
		compared++
	}
	return compared
}

func services(t *testing.T, o *postfix.Origin, site, dir string) (compared int) {
	lines, err := postconf(t, "-c", dir, "-M")
	if err != nil {
		t.Errorf("%s: %v", site, err)
	}
	var theirs, ours []string
	for _, line := range lines {
		f := strings.Fields(line)
		theirs = append(theirs, strings.Join(f[:8], " "))
	}
	for _, s := range o.Services {
		ours = append(ours, strings.Join([]string{s.Name, s.Type, s.Private, s.Unprivileged, s.Chroot, s.Wakeup, s.MaxProcesses, s.Command}, " "))
	}
	if !slices.Equal(ours, theirs) {
		t.Errorf("%s: services\n%s\nPostfix reads\n%s", site, strings.Join(ours, "\n"), strings.Join(theirs, "\n"))
	}
	settings, err := postconf(t, "-c", dir, "-P")
	if err != nil {
		t.Errorf("%s: %v", site, err)
	}
	want := map[string]string{}
	for _, s := range o.Services {
		for _, p := range s.Override {
			want[s.Name+"/"+s.Type+"/"+p.Name] = p.Value
		}
	}
	for _, line := range settings {
		if line == "" {
			continue
		}
		name, value := nameValue(line)
		if got, ok := want[name]; !ok || got != value {
			t.Errorf("%s %s: %q, Postfix reads %q", site, name, got, value)
		}
		delete(want, name)
		compared++
	}
	for name := range want {
		t.Errorf("%s: Postfix does not read %s", site, name)
	}
	return compared + len(lines)
}

// TestExpansionsArePostfixs compares forms of expansion that the configurations do not have.
func TestExpansionsArePostfixs(t *testing.T) {
	texts := []string{"$one", "${one}", "$(one)x", "${one?set}", "${none?set}", "${none:unset}", "${one:unset}", "${one?{a}:{b}}", "${none?{a}:{b}}",
		"${blank?a}", "${blank:b}", "${{$one} == {1} ? {y} : {n}}", "${{$one}!={1}?{y}:{n}}", "${{10} > {9} ? {y} : {n}}", "${{a} < {b} ? {y} : {n}}",
		"${{10} < {9} ? {y} : {n}}", "${{3.10} >level {3.9} ? {y} : {n}}", "${{3.6} <=level {3.6} ? {y} : {n}}", "${one ? { a b } : { c }}",
		"$two $one.$two", "${two?$one}", "${nobody}x", "x${one?${two?{$one$two}:{n}}}y", "$smtpd_banner", "${relayhost:none}", "100$$", "${{$two} == {$one$one}}"}
	dir := t.TempDir()
	var main strings.Builder
	main.WriteString("compatibility_level = 3.6\nmyhostname = mx.example.org\none = 1\nnone =\nblank = $none\ntwo = ${one}${one}\n")
	for i, text := range texts {
		main.WriteString("x" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + " = " + text + "\n")
	}
	if err := os.WriteFile(filepath.Join(dir, "main.cf"), []byte(main.String()+"smtpd_restriction_classes = "+classes(len(texts))+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "master.cf"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	o, err := postfix.Read(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	lines, err := postconf(t, "-c", dir, "-x", "-n")
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[string]string{}
	for _, line := range lines {
		name, value := nameValue(line)
		theirs[name] = value
	}
	for i, text := range texts {
		name := "x" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		want, asked := theirs[name]
		got, err := o.Value(name, nil)
		if !asked || err != nil || strings.TrimSpace(got) != want {
			t.Errorf("%q: %q, %v; Postfix says %q (%v)", text, got, err, want, asked)
		}
	}
}

// classes names the parameters x… as restriction classes, so that postconf shows them.
func classes(n int) string {
	var names []string
	for i := range n {
		names = append(names, "x"+string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	return strings.Join(names, ", ")
}
