package postfix

import (
	"strings"

	"github.com/postrider/postrider/internal/config"
)

// maxHints bounds how many names are compared with all that there are.
const maxHints = 200

// unknown judges a name that Postfix does not know: the operator's own, used as $name or as a class of restrictions, or a
// mistake.
func (m *move) unknown(p *param) verdict {
	if user := m.user(p.name); user != "" {
		return meaningless("a name of your own; its value went to where it is used: %s", user)
	}
	if m.hints++; m.hints > maxHints {
		return unsupported("Postfix does not know it, nor do we; remove it")
	}
	if near := config.Nearest(p.name, Names()); near != "" {
		return unsupported("Postfix does not know it, nor do we; did you mean %s?", near)
	}
	return unsupported("Postfix does not know it, nor do we; remove it")
}

// user finds who uses a name of the operator's own.
func (m *move) user(name string) string {
	if m.users == nil {
		m.users = map[string]string{}
		classes, _ := m.Value("smtpd_restriction_classes", nil)
		for class := range strings.FieldsFuncSeq(classes, listSeparator) {
			m.users[class] = "smtpd_restriction_classes"
		}
		for _, s := range m.Settings {
			m.usedBy(s.Name, s.Value)
		}
		for _, s := range m.Services {
			for _, o := range s.Override {
				m.usedBy(s.Label()+" -o "+o.Name, o.Value)
			}
		}
	}
	if user := m.users[name]; user != "" && user != name {
		return user
	}
	for i := range len(name) { // ldap:source, whose settings are source_server_host, …
		if name[i] == '_' && m.users[name[:i]+"_"] != "" {
			return m.users[name[:i]+"_"]
		}
	}
	return ""
}

// usedBy notes the names that a value uses; those of databases whose settings stand in main.cf with a "_" at their end.
func (m *move) usedBy(user, value string) {
	note := func(name string) {
		if m.users[name] == "" || m.users[name] == name {
			m.users[name] = user
		}
	}
	for rest := value; ; {
		i := strings.IndexByte(rest, '$')
		if i < 0 {
			break
		}
		rest = strings.TrimLeft(rest[i+1:], "{(")
		note(rest[:nameEnd(rest)])
	}
	for word := range strings.FieldsFuncSeq(value, listSeparator) {
		if kind, source, ok := strings.Cut(strings.TrimPrefix(word, "proxy:"), ":"); ok && isDatabase(kind) && source != "" {
			note(source + "_")
		}
	}
}
