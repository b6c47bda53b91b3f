package postfix

import (
	"fmt"
	"regexp"
	"strings"
)

// unitName is a service's name that can be that of a unit of systemd.
var unitName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,60}$`)

// spawnSocket is where a program that Postfix started for each connection is reached once systemd starts it.
func spawnSocket(name string) string { return "/run/" + name + ".sock" }

// spawned judges a program that the old system started for each connection, such as a policy service, and writes units that
// let systemd do so.
func (m *move) spawned(s *Service) verdict {
	used := false
	for _, o := range m.Settings {
		used = used || strings.Contains(o.Value, "unix:private/"+s.Name)
	}
	if !used {
		return meaningless("nothing asks it")
	}
	user, program := "nobody", ""
	for i, arg := range s.Args {
		if u, ok := strings.CutPrefix(arg, "user="); ok {
			user, _, _ = strings.Cut(u, ":")
		}
		if first, ok := strings.CutPrefix(arg, "argv="); ok {
			program = strings.Join(append([]string{first}, s.Args[i+1:]...), " ")
			break
		}
	}
	if !unitName.MatchString(s.Name) || !unitName.MatchString(user) || !strings.HasPrefix(program, "/") {
		return unsupported("let systemd start it: a socket unit with ListenStream=%s and Accept=yes, and a service that runs it", spawnSocket(s.Name))
	}
	program = strings.NewReplacer("%", "%%", "$", "$$").Replace(program)
	m.files["systemd/"+s.Name+".socket"] = fmt.Appendf(nil, "[Unit]\nDescription=%s, as Postfix's master.cf started it\n\n[Socket]\nListenStream=%s\nAccept=yes\n"+
		"SocketGroup=postrider\nSocketMode=0660\n\n[Install]\nWantedBy=sockets.target\n", s.Name, spawnSocket(s.Name))
	m.files["systemd/"+s.Name+"@.service"] = fmt.Appendf(nil, "[Unit]\nDescription=%s for one connection\n\n[Service]\nExecStart=%s\nUser=%s\n"+
		"StandardInput=socket\nStandardOutput=socket\nStandardError=journal\n", s.Name, program, user)
	return unsupported("systemd must start it: copy systemd/%s.socket and systemd/%s@.service to /etc/systemd/system, then systemctl enable --now %s.socket",
		s.Name, s.Name, s.Name)
}
