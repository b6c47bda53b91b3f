package imap

import (
	"bufio"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/wire/imap/view"
)

// encoder writes responses straight into the connection's buffer; errors stay in the buffer and show at the flush.
type encoder struct {
	*bufio.Writer
	utf8     bool // the client has enabled UTF-8: RFC 6855 §3, RFC 9051 §6.3.1
	modseq   bool // the client has enabled CONDSTORE: FETCH responses about flags tell MODSEQ (RFC 7162 §3.1)
	vanished bool // the client has enabled QRESYNC: VANISHED in the place of EXPUNGE (RFC 7162 §3.2.10)
}

// str writes text that needs no quoting.
func (e *encoder) str(parts ...string) {
	for _, s := range parts {
		e.WriteString(s)
	}
}

// num writes a number.
func (e *encoder) num(n uint64) { e.Write(strconv.AppendUint(e.AvailableBuffer(), n, 10)) }

// crlf ends a response.
func (e *encoder) crlf() { e.WriteString("\r\n") }

// form tells how s can be written: as a quoted string or only as a literal, and whether a quoted one needs escapes. Long
// strings are better off as literals: clients have line buffers.
func (e *encoder) form(s string) (quoted, escape bool) {
	if len(s) > 1000 {
		return false, false
	}
	wide := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == 0 || c == '\r' || c == '\n':
			return false, false
		case c == '"' || c == '\\':
			escape = true
		case c >= 0x80:
			wide = true
		}
	}
	return !wide || e.utf8 && utf8.ValidString(s), escape
}

// string writes s as a quoted string or, where that cannot hold it, as a literal.
func (e *encoder) string(s string) {
	quoted, escape := e.form(s)
	if !quoted {
		if strings.IndexByte(s, 0) >= 0 {
			s = strings.ReplaceAll(s, "\x00", "?") // CHAR8 has no NUL
		}
		e.literal(int64(len(s)))
		e.WriteString(s)
		return
	}
	e.WriteByte('"')
	for escape {
		i := strings.IndexAny(s, `"\`)
		if i < 0 {
			break
		}
		e.WriteString(s[:i])
		e.WriteByte('\\')
		e.WriteByte(s[i])
		s = s[i+1:]
	}
	e.WriteString(s)
	e.WriteByte('"')
}

// literal writes the head of a literal of n bytes.
func (e *encoder) literal(n int64) {
	e.WriteByte('{')
	e.num(uint64(n))
	e.WriteString("}\r\n")
}

// stream writes n bytes of r from off as a literal. A source that fails in the middle leaves a reply that cannot be
// repaired: the connection must end, and the error says so.
func (e *encoder) stream(r io.ReaderAt, off, n int64) error {
	e.literal(n)
	// The buffer of the writer is the only copy: read straight into its free part.
	for n > 0 {
		if e.Available() == 0 {
			if err := e.Flush(); err != nil {
				return err
			}
		}
		free := e.AvailableBuffer()
		free = free[:min(int64(cap(free)), n)]
		if m, err := r.ReadAt(free, off); m < len(free) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if _, err := e.Write(free); err != nil {
			return err
		}
		off, n = off+int64(len(free)), n-int64(len(free))
	}
	return nil
}

// mailbox writes a mailbox name.
func (e *encoder) mailbox(name string) {
	if !e.utf8 {
		name = encodeUTF7(name)
	}
	if name != "" && !strings.EqualFold(name, "NIL") {
		atom := true
		for i := range len(name) {
			atom = atom && atomChar(name[i])
		}
		if atom {
			e.WriteString(name)
			return
		}
	}
	e.string(name)
}

// uidSet writes ascending or other UIDs in their order, runs joined: RFC 4315 §4 lets no set be reordered.
func (e *encoder) uidSet(uids []uint32) {
	for i := 0; i < len(uids); {
		j := i
		for j+1 < len(uids) && uids[j+1] == uids[j]+1 {
			j++
		}
		if i > 0 {
			e.WriteByte(',')
		}
		e.num(uint64(uids[i]))
		if j > i {
			e.WriteByte(':')
			e.num(uint64(uids[j]))
		}
		i = j + 1
	}
}

// updates writes what a Sync of the view found (RFC 9051 §7.4, §7.5).
func (e *encoder) updates(u *view.Updates) {
	if e.vanished && len(u.UIDs) > 0 {
		slices.Sort(u.UIDs)
		e.str("* VANISHED ")
		e.uidSet(u.UIDs)
		e.crlf()
		u.Expunged = nil
	}
	for _, seq := range u.Expunged {
		e.str("* ")
		e.num(uint64(seq))
		e.str(" EXPUNGE\r\n")
	}
	if u.Exists >= 0 {
		e.str("* ")
		e.num(uint64(u.Exists))
		e.str(" EXISTS\r\n")
	}
	if u.Keywords != nil {
		e.flagsResponse(u.Keywords)
	}
	for i := range u.Flags {
		e.fetchFlags(&u.Flags[i], true)
	}
}

// fetchFlags writes "* n FETCH (UID u FLAGS (…) MODSEQ (m))".
func (e *encoder) fetchFlags(r *view.Row, uid bool) {
	e.str("* ")
	e.num(uint64(r.Seq))
	e.str(" FETCH (")
	if uid {
		e.str("UID ")
		e.num(uint64(r.UID))
		e.WriteByte(' ')
	}
	e.str("FLAGS (", r.Text, ")")
	if e.modseq {
		e.str(" MODSEQ ")
		e.modSeqValue(r.ModSeq)
	}
	e.str(")\r\n")
}

// fetchModSeq writes "* n FETCH (UID u MODSEQ (m))".
func (e *encoder) fetchModSeq(r *view.Row, uid bool) {
	e.str("* ")
	e.num(uint64(r.Seq))
	e.str(" FETCH (")
	if uid {
		e.str("UID ")
		e.num(uint64(r.UID))
		e.WriteByte(' ')
	}
	e.str("MODSEQ ")
	e.modSeqValue(r.ModSeq)
	e.str(")\r\n")
}

// dateTime writes a date-time in its quotes, RFC 9051 §9.
func (e *encoder) dateTime(t time.Time) {
	e.WriteByte('"')
	e.Write(t.AppendFormat(e.AvailableBuffer(), "_2-Jan-2006 15:04:05 -0700"))
	e.WriteByte('"')
}

// flagsResponse is the FLAGS response, RFC 9051 §7.3.5.
func (e *encoder) flagsResponse(keywords []string) {
	e.str("* FLAGS (", view.Flags{System: view.AllSystem, Keywords: strings.Join(keywords, " ")}.String(), ")\r\n")
}
