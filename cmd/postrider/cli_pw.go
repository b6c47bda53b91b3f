package main

type (
	pwCmd struct {
		Hash    pwHashCmd    `cmd:"" help:"Print the stored form of a password, which is asked for or read from standard input."`
		Check   pwCheckCmd   `cmd:"" help:"Tell whether a password fits a stored form. Both are asked for, or are two lines of standard input: the stored form, then the password."`
		Schemes pwSchemesCmd `cmd:"" help:"List the schemes that are known."`
	}
	pwHashCmd struct {
		Scheme string `help:"Scheme to write: ARGON2ID, SCRAM-SHA-256, SHA512-CRYPT, BLF-CRYPT." default:"ARGON2ID" placeholder:"SCHEME"`
		User   string `help:"Login name, for schemes that need it." placeholder:"USER"`

		PasswordStdin bool `help:"Read the password from the first line of standard input."`
	}
	pwCheckCmd struct {
		User  string `help:"Login name; DIGEST-MD5 needs it." placeholder:"USER"`
		Stdin bool   `help:"Read both from standard input."`
	}
	pwSchemesCmd struct{}
)
