// Command postrider is the whole mail system: the server (serve, quickstart), and the commands of its operator.
//
// It never takes a password from the command line and never writes one to a log. While a server runs, the operator's
// commands speak to it through run_dir/admin.sock; else they open the data directory themselves, under its lock, as its
// owner. Exit codes are those of sysexits.h (exit.go).
//
//	main.go        the names under which the program is started
//	cli.go, cli_*.go   every command and flag with its help text
//	app.go         what a command has at hand: streams, flags, configuration
//	where.go       which configuration file and data directory are meant
//	open.go        the operator's API: of the running server, or of the data directory
//	serve.go       serve: from the configuration to the last signal
//	log.go         the server's log
//	privilege.go   which user does the work
//	readable.go    what that user can read
//	notify.go      what systemd is told
//	privhelper.go  the helper for what needs root
//	quickstart.go, announce.go   quickstart, and what it prints
//	domain.go, account.go, alias.go, queue*.go, mail.go, config.go, check.go   the operator's commands
//	sendmail*.go   sendmail, mailq, newaliases
//	postmap.go     postmap, postalias
//	postfix_tool.go, postqueue.go, postsuper.go, postcat.go, qshape.go   Postfix's commands for the queue, by their names
//	postconf.go, postfix.go   our settings under Postfix's names; starting and stopping the server
//	migrate.go     from another mail system to ours
//	password.go, pw.go   asking for a password; stored forms of passwords
//	man.go         the manual pages, made from cli*.go and the configuration's keys
//	output.go      tables, colour, JSON
//	exit.go        exit codes
package main

import (
	"os"
	"path/filepath"
	"syscall"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(start(newApp(), os.Args)) }

// start runs the program that the first argument names; by any other name it is postrider.
func start(a *app, args []string) int {
	syscall.Umask(0o077) // what is made is for its owner; the one folder that is not gets its mode explicitly
	programs := map[string]func(*app, []string) int{
		"sendmail": sendmail, "mailq": mailq, "newaliases": newaliases,
		"postmap": postmap, "postalias": postalias,
		"postqueue": postqueue, "postsuper": postsuper, "postcat": postcat, "qshape": qshape,
		"postconf": postconf, "postfix": postfixCommand,
	}
	if program := programs[filepath.Base(args[0])]; program != nil {
		return program(a, args[1:])
	}
	if len(args) > 1 && programs[args[1]] != nil { // `postrider sendmail …`, where there is no link of that name
		return programs[args[1]](a, args[2:])
	}
	return commands(a, args[1:])
}
