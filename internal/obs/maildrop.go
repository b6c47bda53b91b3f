package obs

import (
	"fmt"
	"log/slog"
)

// Maildrop is what became of a maildrop in a POP3 session.
type Maildrop struct {
	Messages       int   // at the login
	Bytes          int64 // of those
	Tops           int   // TOPs
	TopBytes       int64 // sent for them
	Retrieved      int   // RETRs
	RetrievedBytes int64 // sent for them
	Removed        int   // messages removed at QUIT
}

// dovecot writes it as Dovecot does behind the reason of a logout.
func (d *Maildrop) dovecot() string {
	if d == nil {
		return ""
	}
	return fmt.Sprintf(" top=%d/%d, retr=%d/%d, del=%d/%d, size=%d", d.Tops, d.TopBytes, d.Retrieved, d.RetrievedBytes, d.Removed, d.Messages, d.Bytes)
}

func (d *Maildrop) attrs() []slog.Attr {
	if d == nil {
		return nil
	}
	return []slog.Attr{slog.Int(KeyMessages, d.Messages), slog.Int64(KeySize, d.Bytes), slog.Int(KeyTops, d.Tops), slog.Int(KeyRetrieved, d.Retrieved),
		slog.Int(KeyRemoved, d.Removed)}
}
