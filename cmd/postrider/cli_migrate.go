package main

type (
	migrateCmd struct {
		Postfix migratePostfixCmd `cmd:"" help:"Make our configuration of one of Postfix, and tell the fate of every line. The source is only read. Exit code 78: something is left for you to see to."`
	}
	migratePostfixCmd struct {
		From          string `required:"" help:"The folder with main.cf and master.cf: /etc/postfix, or ROOT/etc/postfix in a copy of another system." placeholder:"DIR" type:"path"`
		Output        string `help:"A folder to make: postrider.toml, the tables from Postfix's folder, import.sh, report.txt. It must not be there, or be empty. Without it nothing is written but the report." placeholder:"DIR" type:"path"`
		KeepMailboxes bool   `help:"Let mail go on to the program that keeps mailboxes now, such as Dovecot behind LMTP. Without it, mailboxes are ours."`
		DryRun        bool   `help:"Write nothing; print the configuration that would be written behind the report."`
	}
)
