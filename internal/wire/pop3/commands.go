package pop3

import "context"

// command is an entry of the table.
type command struct {
	states   state
	least    int  // arguments
	most     int  // arguments
	verbatim bool // everything behind the verb is one argument
	run      func(ctx context.Context, c *conn, args []string) error
}

// commands is every command. LAST and XTND are of older protocols (RFC 1460), APOP needs passwords stored in the clear.
func commands() map[string]command {
	const anytime = authorization | transaction
	return map[string]command{
		"USER": {states: authorization, verbatim: true, run: userCommand},
		"PASS": {states: authorization, verbatim: true, run: passCommand},
		"AUTH": {states: authorization, most: 2, run: authCommand},
		"STLS": {states: authorization, run: stlsCommand},
		"UTF8": {states: authorization, run: utf8Command},
		"CAPA": {states: anytime, run: capaCommand},
		"LANG": {states: anytime, most: 1, run: langCommand},
		"QUIT": {states: anytime, run: quitCommand},
		"STAT": {states: transaction, run: statCommand},
		"LIST": {states: transaction, most: 1, run: listCommand},
		"UIDL": {states: transaction, most: 1, run: uidlCommand},
		"RETR": {states: transaction, least: 1, most: 1, run: retrCommand},
		"TOP":  {states: transaction, least: 2, most: 2, run: topCommand},
		"DELE": {states: transaction, least: 1, most: 1, run: deleCommand},
		"RSET": {states: transaction, run: rsetCommand},
		"NOOP": {states: transaction, run: noopCommand},
	}
}

func noopCommand(_ context.Context, c *conn, _ []string) error {
	c.ok("Nothing done")
	return nil
}
