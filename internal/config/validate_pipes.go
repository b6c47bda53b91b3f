package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// setDefaults are those of pipe(8).
func (p *Pipe) setDefaults() {
	*p = Pipe{Directory: "/", NullSender: "MAILER-DAEMON", EOL: "lf", DestinationConcurrencyLimit: 20, DestinationRecipientLimit: 50,
		TimeLimit: Duration(1000 * time.Second)}
}

// Has tells whether a flag is set.
func (p *Pipe) Has(flag byte) bool { return strings.IndexByte(p.Flags, flag) >= 0 }

// Recipients is how many the program gets at once: Delivered-To is one's.
func (p *Pipe) Recipients() int {
	if p.Has('D') {
		return 1
	}
	return p.DestinationRecipientLimit
}

// Account splits user:group.
func (p *Pipe) Account() (user, group string) {
	user, group, _ = strings.Cut(p.User, ":")
	return user, group
}

// PipeFlags are those of pipe(8).
const PipeFlags = "BDFORXhqu.>"

// reserved are the transports that are there in any case.
func reserved() []string {
	return []string{"smtp", "relay", "lmtp", "local", "virtual", "error", "retry", "discard"}
}

// pipeRules are those of [pipes.NAME].
func pipeRules(c *Config) (rs []rule) {
	for _, name := range names(c.Pipes) {
		p := c.Pipes[name]
		key := "pipes." + name
		user, group := p.Account()
		rs = append(rs,
			rule{slices.Contains(reserved(), name), key, "is the name of a transport that is there already: choose another"},
			rule{!c.Helper.Enabled, key, "programs are run by the helper, as root: set helper.enabled = true and start postrider-helper.socket"},
			rule{len(p.Argv) == 0, key + ".argv", "is empty; wants a program and its arguments, such as [\"/usr/bin/program\", \"--to\", \"${recipient}\"]"},
			rule{user == "" || user == "root" || group == "root" || strings.HasSuffix(p.User, ":"), key + ".user", "wants \"user\" or \"user:group\", not root"},
			rule{!filepath.IsAbs(p.Directory), key + ".directory", "wants an absolute path"},
			rule{strings.Trim(p.Flags, PipeFlags) != "", key + ".flags", fmt.Sprintf("%q has letters that are none of %s", p.Flags, PipeFlags)})
		rs = append(rs, rule{shellMacros(p.Argv), key + ".argv", "gives a macro to a shell as part of its text: a sender chooses addresses, and so what would be run. " +
			"Put it behind the text, [\"/bin/sh\", \"-c\", \"program \\\"$$1\\\"\", \"sh\", \"${recipient}\"]"})
		for i, item := range p.Argv {
			_, err := MacrosOf(item)
			rs = append(rs, rule{err != nil, key + ".argv", fmt.Sprint(err)},
				rule{strings.ContainsRune(item, 0), key + ".argv", "has a byte 0"},
				rule{i == 0 && (!filepath.IsAbs(item) || strings.ContainsAny(item, "$ \t")), key + ".argv",
					fmt.Sprintf("%q: the first item is the program's whole path, each argument an item of its own: [\"/usr/bin/program\", \"-f\", \"${sender}\"]", item)})
		}
	}
	return rs
}

// shellMacros tells whether a shell would read a macro's value as its text, sh -c.
func shellMacros(argv []string) bool {
	if len(argv) == 0 || !slices.Contains([]string{"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox"}, filepath.Base(argv[0])) {
		return false
	}
	text := slices.IndexFunc(argv, func(s string) bool { return len(s) > 1 && s[0] == '-' && s[1] != '-' && strings.Contains(s, "c") }) + 1
	if text == 0 || text == len(argv) {
		return false
	}
	used, _ := MacrosOf(argv[text]) // an error has a rule of its own
	return len(used) > 0
}
