package postfix

import (
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/config"
)

// startHelper is what the operator has to do where the helper is needed.
const startHelper = "it is done by the helper: start postrider-helper.socket (docs/pipes.md)"

// userMailbox keeps mailbox_command or home_mailbox where mailboxes stay what they are.
func userMailbox(m *move, p *param) verdict {
	if p.value == "" {
		return same("as Postfix's own default")
	}
	if !m.opt.KeepMailboxes {
		return meaningless("%s (--keep-mailboxes would keep it)", ownMail)
	}
	v := m.put(p, "routing."+p.name, p.value)
	return merge(v, m.put(p, "helper.enabled", true)).with("%s", startHelper)
}

// program judges a service that gives mail to a program, pipe(8).
func (m *move) program(p *param, s *Service) verdict {
	if !m.transportUsed(s.Name) {
		return meaningless("nothing sends mail to it")
	}
	if m.keepsMailboxes(s.Name) && !m.opt.KeepMailboxes {
		return meaningless("mail is kept here, and the program that kept it is not asked (--keep-mailboxes would ask it)")
	}
	set, err := pipeKeys(s)
	if err != "" {
		return unsupported("%s: write [pipes.%s] by hand", err, clip(s.Name))
	}
	for ending, key := range map[string]string{"_destination_concurrency_limit": "destination_concurrency_limit",
		"_destination_recipient_limit": "destination_recipient_limit", "_time_limit": "time_limit"} {
		name := s.Name + ending
		if !m.IsSet(name) {
			continue
		}
		value, _ := m.Value(name, nil)
		if n, err := parseInt(value); err == nil && key != "time_limit" {
			set[key] = n
		} else if d, err := parseTime(value, 's'); err == nil && key == "time_limit" {
			set[key] = d
		}
	}
	from := &param{name: s.Label(), file: p.file, line: p.line}
	v := verdict{}
	for key, value := range set {
		full := "pipes." + s.Name + "." + key
		m.set[full] = assignment{config.Literal(value), []string{from.origin()}}
		v.keys = append(v.keys, full)
	}
	slices.Sort(v.keys)
	v.fate = Translated
	return merge(v, m.put(from, "helper.enabled", true)).with("%s", startHelper)
}

// keepsMailboxes tells a transport that only settings of mailboxes name.
func (m *move) keepsMailboxes(name string) bool {
	named := false
	for _, setting := range m.Settings {
		for word := range strings.FieldsFuncSeq(setting.Value, listSeparator) {
			if word != name && !strings.HasPrefix(word, name+":") {
				continue
			}
			if setting.Name != "virtual_transport" && setting.Name != "mailbox_transport" && setting.Name != "local_transport" {
				return false
			}
			named = true
		}
	}
	return named && !m.used[name]
}

// pipeKeys reads the arguments of a pipe(8) service.
func pipeKeys(s *Service) (set map[string]any, err string) {
	set = map[string]any{}
	for i, word := range s.Args {
		word = unbrace(word)
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, strconv.Quote(clip(word)) + " is no attribute of pipe(8)"
		}
		switch name {
		case "argv":
			argv := []string{value}
			for _, arg := range s.Args[i+1:] {
				argv = append(argv, unbrace(arg))
			}
			set["argv"] = argv
			return set, ""
		case "user", "flags", "directory", "null_sender":
			set[name] = value
		case "size":
			n, err := parseInt(value)
			if err != nil {
				return nil, err.Error()
			}
			set[name] = config.Size(n)
		case "eol":
			if set[name] = "lf"; value == `\r\n` {
				set[name] = "crlf"
			}
		default:
			return nil, "the attribute " + clip(name) + "= is not known here"
		}
	}
	return nil, "it has no argv="
}

// pipeEntries are the keys of [pipes.NAME] that are written, with the texts of the example.
func (m *move) pipeEntries(example []config.Entry) (out []config.Entry) {
	var names []string
	for key := range m.set {
		if part := strings.Split(key, "."); len(part) == 3 && part[0] == "pipes" && !slices.Contains(names, part[1]) {
			names = append(names, part[1])
		}
	}
	slices.Sort(names)
	const placeholder = "pipes.NAME"
	for _, name := range names {
		for _, e := range example {
			if key, ok := strings.CutPrefix(e.Name, placeholder); ok {
				e.Name = "pipes." + name + key
				out = append(out, e)
			}
		}
	}
	return out
}
