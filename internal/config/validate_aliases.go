package config

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func defaultRouting() Routing {
	return Routing{AppendAtMyorigin: true, VirtualAliasExpansionLimit: 1000, VirtualAliasRecursionLimit: 1000,
		CanonicalClasses:             []string{"envelope_sender", "envelope_recipient", "header_sender", "header_recipient"},
		MasqueradeClasses:            []string{"envelope_sender", "header_sender", "header_recipient"},
		PropagateUnmatchedExtensions: []string{"canonical", "virtual"},
		DefaultPrivs:                 "nobody", OwnerRequestSpecial: true, CommandTimeLimit: Duration(1000 * time.Second), MailboxSizeLimit: 10 << 30}
}

// aliasRules are those of what the helper does for aliases(5) and .forward.
func aliasRules(c *Config) []rule {
	r := c.Routing
	var rs []rule
	needs := func(wanted bool, key, what string) {
		rs = append(rs, rule{wanted && !c.Helper.Enabled, "routing." + key, what + " by the helper, as root: set helper.enabled = true and start postrider-helper.socket"})
	}
	needs(len(r.AllowMailToCommands) > 0, "allow_mail_to_commands", "commands are run")
	needs(len(r.AllowMailToFiles) > 0, "allow_mail_to_files", "files are written")
	needs(r.MailboxCommand != "", "mailbox_command", "commands are run")
	needs(r.HomeMailbox != "", "home_mailbox", "files of users are written")
	rs = append(rs, rule{strings.HasPrefix(r.HomeMailbox, "/") || strings.Contains("/"+r.HomeMailbox+"/", "/../"), "routing.home_mailbox",
		fmt.Sprintf("%q: wants a path below the user's home, such as \"Maildir/\"", r.HomeMailbox)},
		rule{r.MailboxCommand != "" && r.HomeMailbox != "", "routing.home_mailbox", "and routing.mailbox_command are both set: the command would get it all"},
		rule{strings.ContainsAny(r.MailboxCommand+r.HomeMailbox, "\x00\r\n"), "routing.mailbox_command", "has a control character"})
	needs(len(r.ForwardPath) > 0, "forward_path", ".forward files are read")
	for _, path := range r.ForwardPath {
		rs = append(rs, rule{!strings.HasPrefix(path, "$home/") && !strings.HasPrefix(path, "/"), "routing.forward_path",
			fmt.Sprintf("%q: wants a path that begins with $home/ or /", path)})
	}
	for key, list := range map[string][]string{"allow_mail_to_commands": r.AllowMailToCommands, "allow_mail_to_files": r.AllowMailToFiles} {
		rs = append(rs, rule{slices.Contains(list, "forward") && len(r.ForwardPath) == 0, "routing." + key,
			"\"forward\" means .forward files: set routing.forward_path, or leave it out"})
	}
	return append(rs, rule{r.DefaultPrivs == "" || r.DefaultPrivs == "root", "routing.default_privs", "wants a user without rights, such as \"nobody\""})
}
