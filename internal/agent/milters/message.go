package milters

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/envelope"
	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/internal/mail/status"
	"github.com/postrider/postrider/internal/wire/milter"
)

// Message gives the message to each filter, and does what it wants before the next one sees it.
func (s *session) Message(ctx context.Context, tx *gate.Transaction, m *gate.Message) error {
	s.tx = tx
	if tx.Changes.Pass {
		return nil
	}
	for _, f := range s.filters {
		if f.hold && tx.Changes.Hold == "" {
			tx.Changes.Hold = "milter " + f.Name + " could not be asked"
		}
		w := &wishes{}
		err := f.pass(ctx, gate.AtMessage, func(f *filter) (milter.Response, error) {
			if err := m.Complete(); err != nil {
				return milter.Response{Verdict: milter.Reject, Err: status.Of(err)}, nil
			}
			return f.message(ctx, m, w)
		})
		if err != nil {
			return err
		}
		if f.hold && tx.Changes.Hold == "" { // it failed just now
			tx.Changes.Hold = "milter " + f.Name + " could not be asked"
		}
		if !f.gone {
			if err := f.grant(ctx, m, w); err != nil {
				return err
			}
		}
	}
	return nil
}

// message sends all of it and returns the answer to the end, or an earlier one that ends it.
func (f *filter) message(ctx context.Context, m *gate.Message, w *wishes) (milter.Response, error) {
	c := f.conn
	r := milter.Response{Verdict: milter.Continue}
	var err error
	if c.Wants(milter.NoHeaders) {
		for _, field := range m.Header.Fields {
			name := m.Header.Name(field)
			if len(name) == 0 {
				continue // a line that is no field
			}
			// Filters expect the folds as Sendmail has them.
			value := strings.ReplaceAll(string(m.Header.Raw(field)), "\r\n", "\n")
			if r, err = c.Header(ctx, string(name), value); err != nil || r.Verdict != milter.Continue {
				break
			}
		}
		if over(r, err) {
			return r, err
		}
	}
	if r, err = c.EndOfHeader(ctx); over(r, err) {
		return r, err
	}
	if c.Wants(milter.NoBody) {
		if r, err = f.body(ctx, m.Body()); over(r, err) {
			return r, err
		}
	}
	w.body = m.ReplaceBody()
	var own error // of our disk
	r, err = c.End(ctx, func(mod milter.Modification) error {
		err := w.add(mod)
		if err != milter.ErrTooMuch {
			own = err
		}
		return err
	})
	if own != nil { // the filter still talks: its connection is of no use any more
		return milter.Response{Verdict: milter.Shutdown, Err: status.Of(own)}, nil
	}
	return r, err
}

// over tells whether an answer ends the message for a filter.
func over(r milter.Response, err error) bool {
	return err != nil || r.Verdict != milter.Continue && r.Verdict != milter.Skip
}

func (f *filter) body(ctx context.Context, body *recipe.Reader) (r milter.Response, err error) {
	r.Verdict = milter.Continue
	buf := make([]byte, min(max(body.Size(), 1), milter.MaxChunk))
	for {
		n, rerr := io.ReadFull(body, buf)
		if n > 0 {
			if r, err = f.conn.Body(ctx, buf[:n]); err != nil || r.Verdict != milter.Continue {
				return r, err
			}
		}
		if rerr == io.EOF || rerr == io.ErrUnexpectedEOF {
			return r, nil
		}
		if rerr != nil { // not the filter's failure: its default action is not for this
			return milter.Response{Verdict: milter.TempFail, Err: status.Of(rerr)}, nil
		}
	}
}

// wishes are what one filter wants changed.
type wishes struct {
	list    []milter.Modification
	size    int
	body    *gate.NewBody
	newBody bool
	cr      bool // the new body so far ends with CR
}

// maxWishes bounds what is kept in memory of the modifications of one filter; a new body is not.
const (
	maxWishes     = 10_000
	maxWishesSize = 4 << 20
)

// add takes a modification; a new body goes to where the message is.
func (w *wishes) add(m milter.Modification) error {
	if m.Kind == milter.ModBody {
		w.newBody = true
		return w.write(m.Body)
	}
	w.size += len(m.Name) + len(m.Value)
	w.list = append(w.list, m)
	if len(w.list) > maxWishes || w.size > maxWishesSize {
		return milter.ErrTooMuch
	}
	return nil
}

// write adds to the new body. Some filters end lines with LF alone; in a message they end with CRLF (RFC 5322 §2.3).
func (w *wishes) write(p []byte) error {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			w.cr = p[len(p)-1] == '\r'
			_, err := w.body.Write(p)
			return err
		}
		end := "\r\n"
		if i > 0 && p[i-1] == '\r' || i == 0 && w.cr {
			end = "\n"
		}
		if _, err := w.body.Write(append(p[:i:i], end...)); err != nil {
			return err
		}
		p, w.cr = p[i+1:], false
	}
	return nil
}

// grant does what the filter wants.
func (f *filter) grant(ctx context.Context, m *gate.Message, w *wishes) error {
	changes := &f.s.tx.Changes
	var edits []gate.Edit
	for _, mod := range w.list {
		f.s.conn.Tell(gate.AtMessage, "milter "+f.Name, describe(mod))
		switch mod.Kind {
		case milter.ModAddHeader, milter.ModInsertHeader, milter.ModChangeHeader:
			e, keep, err := f.edit(ctx, mod)
			if err != nil {
				return err
			}
			if keep {
				edits = append(edits, e)
			}
		case milter.ModQuarantine:
			changes.Hold = "milter " + f.Name + ": " + plain(mod.Value)
		default:
			if err := f.address(mod); err != nil {
				return err
			}
		}
	}
	if err := m.Edit(edits...); err != nil {
		return err
	}
	if w.newBody {
		return w.body.Close()
	}
	return nil
}

// edit is a change of the header. Our Received field, which filters do not see, is number 0 to them.
func (f *filter) edit(ctx context.Context, mod milter.Modification) (e gate.Edit, keep bool, err error) {
	e = gate.Edit{Name: mod.Name, Value: mod.Value}
	removes := mod.Kind == milter.ModChangeHeader && mod.Value == ""
	if !f.conn.LeadingSpace() && !removes {
		e.Value = " " + e.Value
	}
	switch {
	case mod.Kind == milter.ModAddHeader:
		e.Kind = gate.Append
	case mod.Kind == milter.ModChangeHeader:
		e.Kind, e.Index = gate.Change, int(min(mod.Index, 1<<20))
	case mod.Index == 0:
		e.Kind = gate.Above
	default:
		e.Kind, e.Index = gate.Insert, int(min(mod.Index, 1<<20))-1
	}
	if f.s.set.Added == nil || removes {
		return e, true, nil
	}
	field, err := f.s.set.Added(ctx, f.s.tx, e.Name+":"+e.Value)
	if err != nil || field == "" {
		return e, false, err
	}
	if name, value, ok := strings.Cut(field, ":"); ok {
		e.Name, e.Value = name, value
	}
	return e, true, nil
}

// address is a change of the envelope. What is no address is passed over, as Postfix does, with a word in the log.
func (f *filter) address(mod milter.Modification) error {
	a, err := parseAddress(mod.Name)
	if err != nil || a.IsZero() && mod.Kind != milter.ModFrom {
		f.s.set.Log.Warn("a milter named what is no address", "milter", f.Name, "address", plain(mod.Name))
		return nil
	}
	changes := &f.s.tx.Changes
	switch mod.Kind {
	case milter.ModFrom:
		changes.From = &a
	case milter.ModAddRcpt, milter.ModAddRcptPar:
		if len(changes.Add) >= maxAdded {
			return milter.ErrTooMuch
		}
		changes.Remove = without(changes.Remove, a)
		changes.Add = append(changes.Add, envelope.Recipient{To: a, Notify: notify(mod.Value)})
	case milter.ModDeleteRcpt:
		changes.Remove = append(changes.Remove, a)
		kept := changes.Add[:0]
		for _, r := range changes.Add {
			if r.To.Key() != a.Key() {
				kept = append(kept, r)
			}
		}
		changes.Add = kept
	}
	return nil
}

const maxAdded = 1000 // recipients of one message

func without(list []address.Address, a address.Address) (kept []address.Address) {
	for _, b := range list {
		if b.Key() != a.Key() {
			kept = append(kept, b)
		}
	}
	return kept
}

// notify reads NOTIFY of a recipient's parameters (RFC 3461 §4.1).
func notify(params string) (n envelope.Notify) {
	for _, word := range strings.Fields(strings.ToUpper(params)) {
		list, ok := strings.CutPrefix(word, "NOTIFY=")
		if !ok {
			continue
		}
		for _, w := range strings.Split(list, ",") {
			switch w {
			case "NEVER":
				return envelope.NotifyNever
			case "SUCCESS":
				n |= envelope.NotifySuccess
			case "FAILURE":
				n |= envelope.NotifyFailure
			case "DELAY":
				n |= envelope.NotifyDelay
			}
		}
	}
	return n
}

func describe(m milter.Modification) string {
	return map[byte]string{milter.ModAddHeader: "addheader ", milter.ModInsertHeader: "insheader ", milter.ModChangeHeader: "chgheader ",
		milter.ModFrom: "chgfrom ", milter.ModAddRcpt: "addrcpt ", milter.ModAddRcptPar: "addrcpt ", milter.ModDeleteRcpt: "delrcpt ",
		milter.ModQuarantine: "quarantine "}[m.Kind] + plain(fmt.Sprintf("%.100s", m.Name))
}

// plain makes a filter's words fit for logs.
func plain(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, []byte(strings.ToValidUTF8(s, "?"))))
}
