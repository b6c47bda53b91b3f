package config

// Pipe is a transport that gives messages to a program, pipe(8); its name stands in transport tables and settings as that of
// any other. The helper runs it (docs/pipes.md).
type Pipe struct {
	// The program, by its whole path, and its arguments. ${recipient} and other macros stand for parts of the envelope. No shell.
	Argv []string `toml:"argv"`
	// Who runs it: "user" or "user:group", never root.
	User string `toml:"user"`
	// Letters as in master.cf: B blank line at the end, D Delivered-To, F From_ line, O X-Original-To, R Return-Path, X final
	// delivery, h domain and u user in lower case, q white space quoted, "." dots doubled, ">" From_ lines in the text quoted.
	Flags string `toml:"flags"`
	// The largest message. 0B: any.
	Size Size `toml:"size" min:"0" max:"2GiB"`
	// Where it runs.
	Directory string `toml:"directory"`
	// What ${sender} is when there is none.
	NullSender string `toml:"null_sender"`
	// The ends of lines that it gets.
	EOL string `toml:"eol" enum:"lf,crlf"`
	// Programs at once.
	DestinationConcurrencyLimit int `toml:"destination_concurrency_limit" min:"1" max:"1000"`
	// Recipients that it is started for at once; with the flag D it is 1.
	DestinationRecipientLimit int `toml:"destination_recipient_limit" min:"1" max:"1000"`
	// The longest that it may take.
	TimeLimit Duration `toml:"time_limit" min:"1s" max:"1h"`
}
