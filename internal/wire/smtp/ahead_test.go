package smtp

import (
	"context"
	"slices"
	"testing"

	"github.com/postrider/postrider/internal/mail/envelope"
)

// curious asks at each call whether the client was ahead.
type curious struct {
	backend
	ahead []bool
}

type curiousSession struct {
	Session
	b *curious
	p *Peer
}

func (b *curious) Connect(ctx context.Context, p *Peer) (Session, error) {
	s, err := b.backend.Connect(ctx, p)
	return curiousSession{s, b, p}, err
}

func (s curiousSession) Rcpt(ctx context.Context, e *envelope.Envelope, r *envelope.Recipient) error {
	s.b.ahead = append(s.b.ahead, s.p.Ahead())
	return s.Session.Rcpt(ctx, e, r)
}

func (s curiousSession) Ready(ctx context.Context, e *envelope.Envelope) error {
	s.b.ahead = append(s.b.ahead, s.p.Ahead())
	return s.Session.Ready(ctx, e)
}

// PIPELINING allows a client that said EHLO to send on, but not past DATA; the octets of BDAT follow it by right.
func TestAhead(t *testing.T) {
	const rest = "MAIL FROM:<a@b.example>\\r\\nRCPT TO:<b@example.test>\\r\\n"
	for _, c := range []struct {
		text string
		want []bool
	}{
		{"C> EHLO c\\r\\n" + rest + "DATA\\r\\n\nS...: 354 End data with <CR><LF>.<CR><LF>\nC-close", []bool{false, false}},
		{"C> EHLO c\\r\\n" + rest + "DATA\\r\\nx\\r\\n.\\r\\n\nS...: /250 2.0.0 Ok.*/\nC-close", []bool{false, true}},
		{"C> EHLO c\\r\\n" + rest + "BDAT 3 LAST\\r\\nx\\r\\n\nS...: /250 2.0.0 Ok.*/\nC-close", []bool{false, false}},
		{"C> HELO c\\r\\n" + rest + "DATA\\r\\n\nS...: 354 End data with <CR><LF>.<CR><LF>\nC-close", []bool{true, false}},
	} {
		bubble(t, func(t *testing.T) {
			b := &curious{}
			s := testServer(t, "", &b.backend, func(cfg *Config) { cfg.Backend = b })
			play(t, s, TLSStart, "S: 220 mx.example.test ESMTP\n"+c.text)
			if !slices.Equal(b.ahead, c.want) {
				t.Errorf("%q: %v, want %v", c.text, b.ahead, c.want)
			}
		})
	}
}
