package gate

import (
	"io"

	"github.com/postrider/postrider/internal/mail/header"
)

// Message is a message as gates see it: the bytes of the client, with what gates before have changed.
type Message struct {
	Header *header.Header // the top header
	Size   int64          // octets
	// Open reads the whole message, with its header. It may be called more than once, one reader at a time.
	Open func() io.Reader
}
