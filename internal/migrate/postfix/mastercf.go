package postfix

import (
	"fmt"
	"slices"
	"strings"
)

// Service is one entry of master.cf, master(5).
type Service struct {
	Name, Type, Private, Unprivileged, Chroot, Wakeup, MaxProcesses, Command string

	Args     []string  // what follows the command, without -o
	Override []Setting // each -o
	Line     int
}

// serviceTypes are those of master(5).
var serviceTypes = []string{"inet", "unix", "unix-dgram", "fifo", "pass"}

// ParseMaster reads the text of a master.cf.
func ParseMaster(text string) (services []Service, bad []Problem) {
	lines, bad := logicalLines(text)
	place := map[string]int{} // label → index
	for _, l := range lines {
		if len(services) == maxServices {
			return services, append(bad, Problem{l.line, fmt.Sprintf("more than %d services", maxServices)})
		}
		s, err := parseService(l.text)
		if err != nil {
			bad = append(bad, Problem{l.line, err.Error()})
			continue
		}
		s.Line = l.line
		for i := range s.Override {
			s.Override[i].Line = l.line
		}
		if i, twice := place[s.Label()]; twice {
			bad = append(bad, Problem{l.line, fmt.Sprintf("the service %s %s was already defined in line %d; this one counts", s.Name, s.Type, services[i].Line)})
			services[i] = s
			continue
		}
		place[s.Label()] = len(services)
		services = append(services, s)
	}
	return services, bad
}

func parseService(line string) (Service, error) {
	words, err := splitArgs(line)
	if err != nil {
		return Service{}, err
	}
	if len(words) < 8 {
		return Service{}, fmt.Errorf("%d fields in %q: a service has eight or more: name type private unprivileged chroot wakeup maxproc command",
			len(words), clip(line))
	}
	s := Service{Name: words[0], Type: words[1], Private: words[2], Unprivileged: words[3], Chroot: words[4], Wakeup: words[5],
		MaxProcesses: words[6], Command: words[7]}
	if !slices.Contains(serviceTypes, s.Type) {
		return s, fmt.Errorf("%q is no type of a service; those are %s", s.Type, strings.Join(serviceTypes, ", "))
	}
	for _, w := range []string{s.Private, s.Unprivileged, s.Chroot} {
		if w != "y" && w != "n" && w != "-" {
			return s, fmt.Errorf("%q: expected is y, n or -", w)
		}
	}
	for rest := words[8:]; len(rest) > 0; rest = rest[1:] {
		option, isOption := strings.CutPrefix(rest[0], "-o")
		if !isOption || len(s.Args) > 0 && !strings.HasPrefix(s.Args[len(s.Args)-1], "-") { // after the first word that is no option, all are the program's
			s.Args = append(s.Args, rest[0])
			continue
		}
		if option == "" {
			if len(rest) == 1 {
				return s, fmt.Errorf("-o at the end of %q: expected is -o name=value", clip(line))
			}
			rest = rest[1:]
			option = rest[0]
		}
		name, value, err := nameValue(unbrace(option))
		if err != nil {
			return s, fmt.Errorf("-o: %w", err)
		}
		s.Override = append(s.Override, Setting{Name: name, Value: value})
	}
	return s, nil
}

// splitArgs splits by blanks, except in braces.
func splitArgs(s string) (words []string, err error) {
	depth, start := 0, -1
	for i := range len(s) {
		blank := strings.IndexByte(blanks, s[i]) >= 0
		switch {
		case blank && depth == 0 && start >= 0:
			words, start = append(words, s[start:i]), -1
		case !blank && start < 0:
			start = i
		}
		switch {
		case s[i] == '{':
			depth++
		case s[i] == '}' && depth > 0:
			depth--
		}
	}
	if depth > 0 {
		return nil, fmt.Errorf("a brace { is not closed in %q", clip(s))
	}
	if start >= 0 {
		words = append(words, s[start:])
	}
	return words, nil
}

// unbrace takes "{ text }" for text.
func unbrace(s string) string {
	if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") {
		return strings.Trim(s[1:len(s)-1], blanks)
	}
	return s
}

// Label names the service as postconf -M does: "submission/inet".
func (s Service) Label() string { return s.Name + "/" + s.Type }

// override returns the value that the service gives a parameter.
func (s Service) override(name string) (string, bool) {
	for _, o := range slices.Backward(s.Override) {
		if o.Name == name {
			return o.Value, true
		}
	}
	return "", false
}
