package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/postrider/postrider/internal/config"
)

const about = `Postrider is a mail system in one program.

    postrider quickstart    to try it: everything on loopback, nothing to set up
    postrider serve         to run it

The other commands look after it, whether or not a server runs.`

// flags are those that every command has.
type flags struct {
	Config string `help:"Configuration file. Default: /etc/postrider/postrider.toml, or an empty one where there is none." placeholder:"FILE" type:"path"`
	Dir    string `help:"Data directory, with the configuration DIR/postrider.toml if that is there. Default: $$POSTRIDER_DIR, else what the configuration says." placeholder:"DIR" type:"path"`
	JSON   bool   `name:"json" help:"Write JSON, for programs."`
}

// cli is every command. The texts of the help stand here and nowhere else.
type cli struct {
	flags

	Quickstart quickstartCmd `cmd:"" help:"Make a mail system on loopback and serve it: domain, certificate, two accounts."`
	Serve      serveCmd      `cmd:"" help:"Serve in the foreground. TERM drains, HUP reloads the configuration."`
	Status     statusCmd     `cmd:"" help:"Tell whether a server runs, and where it listens."`
	Config_    configCmd     `cmd:"" name:"config" help:"Look at the configuration."`
	Domain     domainCmd     `cmd:"" help:"Domains whose mail is delivered here."`
	Account    accountCmd    `cmd:"" help:"Accounts: who has mailboxes."`
	Alias      aliasCmd      `cmd:"" help:"Aliases: addresses that lead to others, here or elsewhere."`
	Queue      queueCmd      `cmd:"" help:"Messages on their way."`
	Mail       mailCmd       `cmd:"" help:"Read the mail of an account, postmaster's for instance."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

type sets struct {
	Set []string `help:"Override a key of the configuration, as in --set 'smtp.max_recipients=200'. Strings need TOML's quotes: --set 'hostname=\"mx.example.org\"'. May be repeated." placeholder:"KEY=VALUE" sep:"none"`
}

type (
	quickstartCmd struct {
		Domain     string `help:"Domain of the accounts. Default: example.test." placeholder:"DOMAIN"`
		PortOffset *int   `help:"Added to every service's standard port. Default: 10000, so that SMTP listens on 10025." placeholder:"N"`
		sets
	}
	serveCmd   struct{ sets }
	statusCmd  struct{}
	versionCmd struct{}

	configCmd struct {
		Check   configCheckCmd   `cmd:"" help:"Read the configuration and tell what is wrong with it."`
		Show    configShowCmd    `cmd:"" help:"Print every key with its value."`
		Default configDefaultCmd `cmd:"" help:"Print the commented example: every key with its default."`
		Diff    configDiffCmd    `cmd:"" help:"Print what a reload would change in the running server; without one, what differs from the defaults."`
	}
	configCheckCmd struct{ sets }
	configShowCmd  struct {
		Running bool `help:"Ask the running server instead of the file."`
		sets
	}
	configDefaultCmd struct{}
	configDiffCmd    struct{ sets }
)

type (
	domainCmd struct {
		Add    domainAddCmd    `cmd:"" help:"Add a domain."`
		List   domainListCmd   `cmd:"" help:"List the domains."`
		Show   domainShowCmd   `cmd:"" help:"Show a domain."`
		Set    domainSetCmd    `cmd:"" help:"Change a domain's settings."`
		Remove domainRemoveCmd `cmd:"" help:"Remove a domain that has no accounts and aliases any more."`
	}
	domainSettings struct {
		CatchAll  *string `help:"Address that takes mail for what nobody else takes; '' for none." placeholder:"ADDRESS"`
		Delimiter *string `help:"Characters of which each begins an extension: with + mail for user+x@ goes to user@; '' for none." placeholder:"CHARS"`
	}
	domainAddCmd struct {
		Domain string `arg:"" help:"The domain's name."`
		domainSettings
	}
	domainListCmd struct{}
	domainShowCmd struct {
		Domain string `arg:"" help:"The domain's name."`
	}
	domainSetCmd struct {
		Domain string `arg:"" help:"The domain's name."`
		domainSettings
	}
	domainRemoveCmd struct {
		Domain string `arg:"" help:"The domain's name."`
	}
)

type (
	accountCmd struct {
		Add      accountAddCmd      `cmd:"" help:"Add an account. The password is asked for, or read from standard input; never from the command line."`
		List     accountListCmd     `cmd:"" help:"List accounts."`
		Show     accountShowCmd     `cmd:"" help:"Show an account."`
		Set      accountSetCmd      `cmd:"" help:"Change an account's settings."`
		Password accountPasswordCmd `cmd:"" help:"Change an account's password. It is asked for, or read from standard input."`
		Remove   accountRemoveCmd   `cmd:"" help:"Remove an account with all its mail."`
	}
	passwordFlags struct {
		PasswordStdin bool `help:"Read the password from the first line of standard input."`
	}
	accountAddCmd struct {
		Address string `arg:"" help:"The account's address."`
		passwordFlags
		NoLogin bool        `help:"An account that only receives mail, without a password."`
		Quota   config.Size `help:"Room for its mail, such as 2GiB. Default: no limit." placeholder:"SIZE"`
	}
	accountListCmd struct {
		Domain string `arg:"" optional:"" help:"Only those of this domain."`
	}
	accountShowCmd struct {
		Address string `arg:"" help:"The account's address."`
	}
	accountSetCmd struct {
		Address string       `arg:"" help:"The account's address."`
		Login   *bool        `help:"Whether somebody may log in." negatable:""`
		Quota   *config.Size `help:"Room for its mail, such as 2GiB; 0B for no limit." placeholder:"SIZE"`
	}
	accountPasswordCmd struct {
		Address string `arg:"" help:"The account's address."`
		passwordFlags
	}
	accountRemoveCmd struct {
		Address string `arg:"" help:"The account's address."`
	}
)

type (
	aliasCmd struct {
		Add    aliasAddCmd    `cmd:"" help:"Add an alias."`
		List   aliasListCmd   `cmd:"" help:"List aliases."`
		Show   aliasShowCmd   `cmd:"" help:"Show an alias."`
		Set    aliasSetCmd    `cmd:"" help:"Replace the targets of an alias, or add it."`
		Remove aliasRemoveCmd `cmd:"" help:"Remove an alias."`
	}
	aliasAddCmd struct {
		Address string   `arg:"" help:"The alias's address, in one of our domains."`
		Targets []string `arg:"" name:"target" help:"Addresses that its mail goes to."`
	}
	aliasListCmd struct {
		Domain string `arg:"" optional:"" help:"Only those of this domain."`
	}
	aliasShowCmd struct {
		Address string `arg:"" help:"The alias's address."`
	}
	aliasSetCmd    aliasAddCmd
	aliasRemoveCmd struct {
		Address string `arg:"" help:"The alias's address."`
	}
)

type (
	queueCmd struct {
		List    queueListCmd    `cmd:"" help:"List the messages in the queue, oldest first."`
		Show    queueShowCmd    `cmd:"" help:"Show a message in the queue."`
		Flush   queueFlushCmd   `cmd:"" help:"Try everything that waits now."`
		Delete  queueDeleteCmd  `cmd:"" help:"Remove messages for good. Nobody is told."`
		Hold    queueHoldCmd    `cmd:"" help:"Stop deliveries of messages until they are released."`
		Release queueReleaseCmd `cmd:"" help:"Let held messages go on."`
	}
	queueListCmd struct{}
	queueShowCmd struct {
		ID      string `arg:"" name:"queue-id" help:"The message's id."`
		Message bool   `help:"Print the message itself."`
	}
	queueFlushCmd struct{}
	queueIDs      struct {
		IDs []string `arg:"" optional:"" name:"queue-id" help:"The messages' ids."`
		All bool     `help:"All messages in the queue."`
	}
	queueDeleteCmd  struct{ queueIDs }
	queueHoldCmd    struct{ queueIDs }
	queueReleaseCmd struct{ queueIDs }
)

type (
	mailCmd struct {
		List mailListCmd `cmd:"" help:"List an account's mailboxes, or the newest messages of one."`
		Read mailReadCmd `cmd:"" help:"Print a message. Nothing is marked as read."`
	}
	mailListCmd struct {
		Account string `help:"The account's address." required:"" placeholder:"ADDRESS"`
		Mailbox string `arg:"" optional:"" help:"The mailbox whose messages to list; levels are separated by /."`
		Limit   int    `help:"How many of the newest messages." default:"100" placeholder:"N"`
	}
	mailReadCmd struct {
		Account string `help:"The account's address." required:"" placeholder:"ADDRESS"`
		Mailbox string `help:"The mailbox." default:"INBOX" placeholder:"MAILBOX"`
		UID     uint32 `arg:"" name:"uid" help:"The message's number in the list."`
	}
)

// commands is the program postrider.
func commands(a *app, args []string) int {
	c := &cli{}
	exited := -1
	parser, err := kong.New(c, kong.Name("postrider"), kong.Description(about), kong.Writers(a.stdout, a.stderr),
		kong.Exit(func(code int) { exited = code }), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Bind(a))
	if err != nil {
		return a.fail(err)
	}
	if len(args) > 0 && args[0] == "help" {
		args = append(args[1:], "--help")
	}
	if len(args) == 0 {
		parser.Stdout = a.stderr
		_, _ = parser.Parse([]string{"--help"})
		return exitUsage
	}
	ctx, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		return a.fail(&usageError{explain(err)})
	}
	a.flags = c.flags
	return a.fail(ctx.Run(a))
}

// explain puts kong's words about a wrong command line into ours: the nearest right word, and where help is.
func explain(err error) string {
	text, node := err.Error(), (*kong.Node)(nil)
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if node = parse.Context.Selected(); node == nil {
			node = parse.Context.Model.Node
		}
	}
	if node == nil {
		return text
	}
	path := node.FullPath()
	if word := regexp.MustCompile(`^(?:unexpected argument|unknown flag) "?([^",]+)"?`).FindStringSubmatch(text); word != nil {
		text, _, _ = strings.Cut(text, ", did you mean")
		if near := config.Nearest(word[1], words(node, strings.HasPrefix(word[1], "-"))); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
	}
	return fmt.Sprintf("%s\nSee: %s --help", text, path)
}

// words are what could stand in the place of a wrong word.
func words(node *kong.Node, isFlag bool) (list []string) {
	if !isFlag {
		for _, child := range node.Children {
			list = append(list, child.Name)
		}
		return list
	}
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			list = append(list, "--"+f.Name)
		}
	}
	return list
}

func (versionCmd) Run(a *app) error {
	return a.show(struct {
		Version string `json:"version"`
	}{version}, func(w io.Writer) { fmt.Fprintln(w, "postrider", version) })
}
