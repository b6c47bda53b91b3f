package header

import (
	"errors"
	"slices"

	"github.com/postrider/postrider/internal/mail/recipe"
)

// MaxRanges is the limit of pieces that an Edit may cut a message into.
const MaxRanges = 1000

// ErrTooManyRanges is returned by Edit.Apply when a hostile header would need more than MaxRanges pieces.
var ErrTooManyRanges = errors.New("too many fields to remove")

// Edit is a change of the top header of a message.
type Edit struct {
	Remove  []string // names of fields to remove, e.g. "Bcc" (RFC 5322 §3.6.3); each occurrence
	Prepend []byte   // whole fields with CRLF, in front of everything
	Append  []byte   // whole fields with CRLF, after the last field
}

// Apply gives the message after the edit as a recipe over the stored bytes, and the edited header block for those who
// must read it again (without the body). h is the parsed header at the start of the body that ref names. No byte that
// stays is copied into the recipe.
func (e Edit) Apply(h *Header, ref recipe.BlobRef) (recipe.Recipe, []byte, error) {
	type span struct{ start, end int }
	var keep []span // of the fields
	end := 0
	for _, f := range h.Fields {
		end = f.End
		if slices.ContainsFunc(e.Remove, func(name string) bool { return h.Is(f, name) }) {
			continue
		}
		if n := len(keep); n > 0 && keep[n-1].end == f.Start {
			keep[n-1].end = f.End
		} else {
			keep = append(keep, span{f.Start, f.End})
		}
	}
	if len(keep) > MaxRanges {
		return nil, nil, ErrTooManyRanges
	}
	tail := e.Append
	if n := len(keep); n > 0 && len(tail) > 0 && h.block[keep[n-1].end-1] != '\n' {
		tail = append([]byte("\r\n"), tail...) // the message ended inside its last field
	}
	var r recipe.Recipe
	var block []byte
	literal := func(b []byte) {
		if len(b) > 0 {
			r, block = append(r, recipe.Literal(b)), append(block, b...)
		}
	}
	literal(e.Prepend)
	for _, k := range keep {
		r = append(r, recipe.Segment{Blob: ref, Offset: int64(k.start), Length: int64(k.end - k.start)})
		block = append(block, h.block[k.start:k.end]...)
	}
	literal(tail)
	block = append(block, h.block[end:h.Size]...)
	if rest := ref.Length - int64(end); rest > 0 {
		// Together with the last piece where they touch.
		if n := len(r); n > 0 && r[n-1].Literal == nil && r[n-1].Offset+r[n-1].Length == int64(end) {
			r[n-1].Length += rest
		} else {
			r = append(r, recipe.Segment{Blob: ref, Offset: int64(end), Length: rest})
		}
	}
	return r, block, r.Check()
}
