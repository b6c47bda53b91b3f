package content

import (
	"context"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/flow"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/mail/recipe"
)

// Outgoing applies the tables of Header to the header of a message that leaves (smtp_header_checks), but for MIME fields, and
// returns how it is to be read then. What is stored does not change. Of the actions those that concern the whole message have
// no meaning here and are passed over. A header longer than package mime looks at, or of too many fields, is left alone.
func (c *Checks) Outgoing(ctx context.Context, job *flow.Job, r *recipe.Reader) (*recipe.Reader, error) {
	head := make([]byte, min(r.Size(), mime.MaxTopHeader+1))
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, err
	}
	h, err := header.Parse(head, mime.MaxTopHeader)
	if err != nil || len(h.Fields) == 0 {
		return r, nil
	}
	m := gate.NewMessage(stored{r}, head, h, true, r.Size())
	if len(m.Header.Fields) == 0 || m.Complete() != nil { // text without a header; or too many fields
		return r, nil
	}
	x := &examination{Checks: c, ctx: ctx, m: m, leaving: true, tx: &gate.Transaction{Transaction: &flow.Transaction{ID: job.ID}, Conn: &gate.Conn{}}}
	before := m.Header
	if err := x.fields(); err != nil {
		return nil, err
	}
	if m.Header == before {
		return r, nil
	}
	return m.Open(), nil
}

// stored is a message that is stored, as the bytes of one that is judged.
type stored struct{ *recipe.Reader }

// Append is not called: only fields change.
func (stored) Append([]byte) (int64, error) { return 0, recipe.ErrInvalid }

// Self stands for the whole message.
func (s stored) Self() recipe.BlobRef {
	ref := flow.Self
	ref.Length = s.Size()
	return ref
}
