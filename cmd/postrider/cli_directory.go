package main

import "github.com/postrider/postrider/internal/config"

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
		Remove   accountRemoveCmd   `cmd:"" help:"Remove an account with all its mail. Its space comes back after store.keep_expunged."`
		Setup    accountSetupCmd    `cmd:"" help:"Tell how mail clients are set up: settings for people, pages, DNS records, a QR code."`
	}
	passwordFlags struct {
		PasswordStdin bool `help:"Read the password from the first line of standard input." xor:"password"`
		StoredStdin   bool `help:"Read it as another mail system stored it: {SCHEME}data of Dovecot, or a form of crypt(3), such as shadow(5) has." xor:"password"`
	}
	accountAddCmd struct {
		Address string `arg:"" help:"The account's address."`
		passwordFlags
		System  bool        `help:"The account of a system user, whose password the system checks (auth.system). The user has the address's local part for a name."`
		User    string      `help:"The system user's name, where it is another. Means --system." placeholder:"NAME"`
		NoLogin bool        `help:"An account that only receives mail, without a password."`
		Quota   config.Size `help:"Room for its mail, such as 2GiB. Default: no limit." placeholder:"SIZE"`
	}
	accountListCmd struct {
		Domain   string          `arg:"" optional:"" help:"Only those of this domain."`
		Inactive config.Duration `help:"Only those that may log in, and that nobody has logged in to for so long, such as 90d." placeholder:"TIME"`
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
	accountSetupCmd struct {
		Address      string `arg:"" help:"The account's address."`
		QR           bool   `name:"qr" help:"Draw a QR code that leads an iPhone, iPad or Mac to its profile."`
		QRPNG        string `name:"qr-png" help:"Write that code to an image." placeholder:"FILE" type:"path"`
		MobileConfig string `name:"mobileconfig" help:"Write the profile itself; signed, if a server with https runs." placeholder:"FILE" type:"path"`
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
