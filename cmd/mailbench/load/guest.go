package load

import "context"

// Guest is an SMTP or LMTP connection that has greeted, and logged in if a user is configured, and then waits: what a
// crowd is made of.
type Guest struct{ k *conn }

// Visit connects and speaks until the first MAIL might be sent. Of the configuration only what concerns the connection is
// used.
func Visit(ctx context.Context, cfg Config) (*Guest, error) {
	cfg = cfg.withDefaults()
	k, err := dial(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	return &Guest{k}, nil
}

// Noop asks whether the server still listens (RFC 5321 §4.1.1.9).
func (g *Guest) Noop() error { return g.k.expect("NOOP\r\n", 250) }

// Quit says goodbye and closes.
func (g *Guest) Quit() error {
	err := g.k.expect("QUIT\r\n", 221)
	g.k.close()
	return err
}

// Close ends the connection without a word.
func (g *Guest) Close() error {
	g.k.close()
	return nil
}
