package smtp

import (
	"errors"
	"io"

	"github.com/postrider/postrider/internal/mail/status"
)

// body is the reader that Session.Data gets. It hands out runs of the input buffer; where they come from is the source's
// affair: dotSource for DATA, chunkSource for BDAT. The first violation of the rules (bare LF or CR, NUL, size) is
// remembered, returned by every Read from there on, and becomes the reply.
type body struct {
	source source
	run    []byte // decoded, not yet handed out
	size   int64  // octets decoded
	max    int64
	err    error // sticky: io.EOF, a violation, or what broke the connection
}

// source gives the next run of decoded octets, valid until the next call, or io.EOF. A *status.Error is a violation of the
// text's rules: the source can go on behind it. Any other error is the connection's end.
type source interface {
	next() ([]byte, error)
}

// errAborted: the client gave the message up (RSET, QUIT or the like between two chunks).
var errAborted = errors.New("message given up by the client")

func (b *body) fetch() error {
	if b.err != nil {
		return b.err
	}
	run, err := b.source.next()
	b.size += int64(len(run))
	if err == nil && b.size > b.max {
		err = ErrTooBig
	}
	if err != nil {
		b.err = err
		return err
	}
	b.run = run
	return nil
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	for len(b.run) == 0 {
		if err := b.fetch(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.run)
	b.run = b.run[n:]
	return n, nil
}

// WriteTo implements io.WriterTo: the octets go from the input buffer to w without a copy between.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if len(b.run) == 0 {
			if err := b.fetch(); err == io.EOF {
				return total, nil
			} else if err != nil {
				return total, err
			}
		}
		n, err := w.Write(b.run)
		b.run = b.run[n:]
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// drain reads to the end of the message, at most limit octets beyond the largest size, so that the reply can be sent where the client looks for
// it. It returns the violation met, here or before, and what broke the connection.
func (b *body) drain(limit int64) (violation *status.Error, broken error) {
	b.run = nil
	err := b.err
	for {
		var bad *status.Error
		switch {
		case err == io.EOF:
			b.err = io.EOF
			return violation, nil
		case errors.As(err, &bad):
			if violation == nil {
				violation = bad
			}
		case err != nil:
			b.err = err
			return violation, err
		}
		if b.size > b.max+limit {
			return violation, errSkipped
		}
		var run []byte
		run, err = b.source.next()
		b.size += int64(len(run))
		if err == nil && b.size > b.max {
			err = ErrTooBig
		}
	}
}
