package postfix

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Origin is a configuration of Postfix as it was read.
type Origin struct {
	Dir      string // where main.cf and master.cf are
	Settings []Setting
	Services []Service

	MainProblems, MasterProblems []Problem

	hostname string            // of the system, where main.cf names none
	last     map[string]int    // name → index in Settings of the one that counts
	defaults map[string]string // of Postfix
}

// Read reads DIR/main.cf and DIR/master.cf, and changes nothing. Without master.cf there are no services. hostname is what
// the system calls itself.
func Read(dir, hostname string) (*Origin, error) {
	main, err := readFile(filepath.Join(dir, "main.cf"))
	if err != nil {
		return nil, err
	}
	master, err := readFile(filepath.Join(dir, "master.cf"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return newOrigin(dir, hostname, main, master), nil
}

func newOrigin(dir, hostname, main, master string) *Origin {
	o := &Origin{Dir: dir, hostname: hostname, last: map[string]int{}, defaults: Defaults()}
	o.Settings, o.MainProblems = ParseMain(main)
	for i, s := range o.Settings {
		o.last[s.Name] = i
	}
	o.Services, o.MasterProblems = ParseMaster(master)
	return o
}

// readFile reads a text of bounded size.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && !fi.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than 4 MiB", path)
	}
	return string(text), err
}

// At returns where a file of the old system is found now: below DIR, if it is in Postfix's own folder; below the folder
// that DIR is the etc/postfix of, if that is a copy of a whole system; else at its own place.
func (o *Origin) At(path string) string {
	if !filepath.IsAbs(path) {
		return filepath.Join(o.Dir, path)
	}
	if rest, ok := o.inside(path); ok {
		return filepath.Join(o.Dir, rest)
	}
	if root, ok := strings.CutSuffix(filepath.Clean(o.Dir), "/etc/postfix"); ok {
		return filepath.Join(root, path)
	}
	return path
}

// inside tells whether a path is in Postfix's folder, and where there.
func (o *Origin) inside(path string) (rest string, ok bool) {
	dir, _ := o.Value("config_directory", nil)
	for _, d := range []string{dir, "/etc/postfix", filepath.Clean(o.Dir)} {
		if rest, ok = strings.CutPrefix(filepath.Clean(path), strings.TrimSuffix(d, "/")+"/"); ok && d != "" {
			return rest, true
		}
	}
	return "", false
}

// IsSet tells whether main.cf sets a parameter.
func (o *Origin) IsSet(name string) bool {
	_, ok := o.last[name]
	return ok
}

// raw is a parameter's value as it is written, for a service (nil: main.cf alone).
func (o *Origin) raw(name string, s *Service) (string, bool) {
	if s != nil {
		if v, ok := s.override(name); ok {
			return v, true
		}
		if name == "service_name" {
			return s.Name, true
		}
	}
	if i, ok := o.last[name]; ok {
		return o.Settings[i].Value, true
	}
	switch name { // what Postfix takes from the system, or makes of other parameters
	case "myhostname":
		return o.hostname, true
	case "mydomain":
		host, _ := o.raw("myhostname", s)
		if _, domain, ok := strings.Cut(host, "."); ok {
			return domain, true
		}
		return "localdomain", true
	}
	if v, ok := o.defaults[name]; ok {
		return v, true
	}
	for _, ending := range perTransport {
		if prefix, ok := strings.CutSuffix(name, ending); ok && prefix != "default" && o.isTransport(prefix) {
			if v, ok := o.defaults["default"+ending]; ok {
				return v, true
			}
			return "$" + strings.TrimPrefix(ending, "_"), ending == "_initial_destination_concurrency"
		}
	}
	return "", false
}

func (o *Origin) isTransport(name string) bool {
	return slices.ContainsFunc(o.Services, func(s Service) bool { return s.Type == "unix" && s.Name == name })
}

// Value is a parameter's value with all $ expanded, for a service (nil: main.cf alone). What cannot be expanded is "".
func (o *Origin) Value(name string, s *Service) (string, error) {
	v, _, err := o.expanded(name, s)
	return v, err
}

// runtime are parameters whose $ are filled in when they are used: $rbl_code, $user, $home.
var runtime = []string{"default_rbl_reply", "luser_relay", "forward_path", "mailbox_command", "command_execution_directory", "smtpd_reject_footer",
	"postscreen_reject_footer", "command_expansion_filter", "execution_directory_expansion_filter", "forward_expansion_filter", "smtpd_expansion_filter",
	"postscreen_expansion_filter", "local_command_shell"}

func (o *Origin) expanded(name string, s *Service) (string, []string, error) {
	raw, _ := o.raw(name, s)
	if slices.Contains(runtime, name) {
		return raw, nil, nil
	}
	return o.expand(raw, s)
}

func (o *Origin) expand(text string, s *Service) (string, []string, error) {
	return Expand(text, func(name string) (string, bool) { return o.raw(name, s) })
}

// Default is Postfix's own value of a parameter, expanded with what main.cf says.
func (o *Origin) Default(name string) (value string, known bool) {
	raw, known := o.defaults[name]
	switch {
	case name == "myhostname" || name == "mydomain":
		return "", known
	case !known:
		for _, ending := range perTransport {
			if prefix, ok := strings.CutSuffix(name, ending); ok && o.isTransport(prefix) {
				raw, known = o.defaults["default"+ending], true
			}
		}
	}
	value, _, _ = o.expand(raw, nil)
	return value, known
}

// service finds a service by name and type.
func (o *Origin) service(name, kind string) *Service {
	for i := range o.Services {
		if o.Services[i].Name == name && o.Services[i].Type == kind {
			return &o.Services[i]
		}
	}
	return nil
}
