package config

// Routing is where mail goes, in the words of Postfix (docs/routing.md).
type Routing struct {
	// Tables of addresses and what they stand for, virtual(5).
	VirtualAliasMaps []string `toml:"virtual_alias_maps"`
	// Tables of aliases(5): what names of this host stand for (docs/aliases.md). Such as "hash:/etc/aliases"; none by default.
	AliasMaps []string `toml:"alias_maps"`
	// The tables that newaliases checks. Empty: those of alias_maps.
	AliasDatabase []string `toml:"alias_database"`
	// Where "|command" may stand: alias, forward. Nowhere by default; needs the helper, as root.
	AllowMailToCommands []string `toml:"allow_mail_to_commands" enum:"alias,forward"`
	// Where "/file/name" may stand: alias, forward. Nowhere by default; needs the helper, as root.
	AllowMailToFiles []string `toml:"allow_mail_to_files" enum:"alias,forward"`
	// Files in which system users say where their mail goes, the first that exists: such as "$home/.forward${recipient_delimiter}${extension}", "$home/.forward". None by default; needs the helper.
	ForwardPath []string `toml:"forward_path"`
	// The user who runs commands and writes files that an alias file of root's names. Never root.
	DefaultPrivs string `toml:"default_privs"`
	// The copies of an alias that has an owner-NAME come from owner-NAME; with this, from the address that owner-NAME stands for.
	ExpandOwnerAlias bool `toml:"expand_owner_alias"`
	// owner-NAME and NAME-request are not split at a recipient delimiter "-".
	OwnerRequestSpecial bool `toml:"owner_request_special"`
	// The longest that a command of an alias or .forward may take.
	CommandTimeLimit Duration `toml:"command_time_limit" min:"1s" max:"1h"`
	// The largest that a mailbox file may become, and any file that a command writes.
	MailboxSizeLimit Size `toml:"mailbox_size_limit" min:"1MiB" max:"1TiB"`
}
