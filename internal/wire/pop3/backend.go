package pop3

import (
	"context"
	"io"

	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// Backend opens maildrops.
//
// All methods of the interfaces in this file may block and end when ctx does, unless they say otherwise. Their errors reach
// the client through status.Of, with the response code that errors.go's table gives, or the one that Coded attached.
type Backend interface {
	// Open begins the one session that an account's maildrop can have (RFC 1939 §4), and calls add for each message in
	// ascending order of UID. ErrInUse: there is a session. The engine closes the Maildrop when the connection ends; until
	// then no other Open of it succeeds.
	Open(ctx context.Context, id sasl.Identity, add func(uid uint32, size int64)) (Maildrop, error)
}

// Maildrop is an open maildrop. Only one goroutine uses it at a time. UIDs are those that Open gave.
type Maildrop interface {
	// UniqueID is what UIDL says of a message (RFC 1939 §7): 1 to 70 characters from ! to ~, never used for another message
	// of the maildrop. It does not block.
	UniqueID(uid uint32) string
	// Body opens a message; whole says that all of it will be read, not only the beginning. ErrGone: it is no longer there.
	// ErrDamaged: it cannot be read.
	Body(ctx context.Context, uid uint32, whole bool) (Body, error)
	// Update marks the messages seen and removes the others, durably; both lists ascend. UIDs that are no longer there are
	// passed over. An error means that not all of removed are gone.
	Update(ctx context.Context, seen, removed []uint32) error
	// Close ends the session without any change. It does not block.
	Close()
}

// Body is the bytes of a message, as stored. *recipe.Reader is one.
type Body interface {
	io.ReaderAt
	Size() int64
}

// The refusals that a Backend knows by name.
var (
	ErrInUse   = Coded("IN-USE", status.Temp(451, 2, 0, "Another POP3 session has this maildrop; try again later")) // RFC 2449 §8.1.2
	ErrGone    = Coded("", status.Perm(550, 1, 0, "Message has been removed by another session"))
	ErrDamaged = Coded("SYS/PERM", status.Perm(550, 3, 0, "Message is damaged and cannot be shown")) // RFC 3206 §4
)
