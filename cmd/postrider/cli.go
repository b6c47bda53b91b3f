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
	Group      groupCmd      `cmd:"" help:"Groups: addresses with members."`
	Queue      queueCmd      `cmd:"" help:"Messages on their way."`
	Mail       mailCmd       `cmd:"" help:"Read, search and change the mail of an account, postmaster's for instance."`
	Check      checkCmd      `cmd:"" help:"Look at everything that is stored, and mend it. Mail goes on meanwhile."`
	Store      storeCmd      `cmd:"" help:"What the packs of messages hold, and giving space back to the disk."`
	Session    sessionCmd    `cmd:"" help:"Connections of clients."`
	Trace      traceCmd      `cmd:"" help:"Tell what became of messages and connections, step by step."`
	Explain    explainCmd    `cmd:"" help:"Tell what would happen to a message, stage by stage, and which rules decide. Nothing is sent or remembered."`
	Ban        banCmd        `cmd:"" help:"Networks whose clients are not let in."`

	Suppression suppressionCmd `cmd:"" help:"Addresses that bulk mail is not sent to: they failed for good, or complained."`

	Migrate    migrateCmd    `cmd:"" help:"Make our configuration of that of another mail system."`
	Limits     limitsCmd     `cmd:"" help:"Who has used up how much of the limits in time, and of the failed logins that are free; the fullest first."`
	Pw         pwCmd         `cmd:"" help:"Make and check stored passwords, in the forms of Dovecot and crypt(3)."`
	Man        manCmd        `cmd:"" hidden:"" help:"Write the manual pages into a folder; for packages."`
	Privhelper privhelperCmd `cmd:"" help:"Do for the server what needs root, and nothing else. Started by systemd, or as root."`
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
	manCmd     struct {
		Dir string `arg:"" help:"The folder." type:"path"`
	}

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
