package content

import (
	"bytes"
	"strings"

	"github.com/postrider/postrider/internal/decide/gate"
	"github.com/postrider/postrider/internal/decide/table"
	"github.com/postrider/postrider/internal/mail/header"
)

// maxLine is how much of a field is looked up (Postfix: header_size_limit).
const maxLine = 102400

// fields examines the message's own header.
func (x *examination) fields() error {
	if len(x.Header)+len(x.MIME)+len(x.Body) == 0 {
		return nil
	}
	var edits []gate.Edit
	shift := 0 // of places, by the edits so far
	h := x.m.Header
	for i, f := range h.Fields {
		name := string(h.Name(f))
		if name == "" && (i > 0 || !bytes.HasPrefix(bytes.TrimLeft(h.Raw(f), ">"), []byte("From "))) {
			if err := x.text(h, i); err != nil {
				return err
			}
			break
		}
		if name == "" {
			continue // the line that mbox files have in front of a message
		}
		setting, tables := "header_checks", x.Header
		switch {
		case isMIME(name):
			setting, tables = "mime_header_checks", x.MIME
		case x.leaving:
			setting = "smtp_header_checks"
		}
		v, err := x.look(setting, tables, logical(name, h.Raw(f)))
		if err != nil {
			return err
		}
		if x.over {
			break
		}
		if v.prepend != "" {
			edits = append(edits, edit(gate.Insert, v.prepend, i+shift))
			shift++
		}
		if v.drop {
			edits = append(edits, gate.Edit{Kind: gate.Drop, Index: i + shift})
			shift--
		}
		if v.replace != "" {
			edits = append(edits, edit(gate.Replace, v.replace, i+shift))
		}
	}
	return x.m.Edit(edits...)
}

// text examines the lines of the header from the first that is no field on: to Postfix, and to many who read mail, they are the
// body's. They are looked at and stay as they are.
func (x *examination) text(h *header.Header, from int) error {
	if x.leaving {
		return nil
	}
	for _, f := range h.Fields[from:] {
		raw := h.Raw(f)
		if name := h.Name(f); len(name) > 0 {
			raw = append(append(append([]byte(nil), name...), ':'), raw...)
		}
		for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
			if _, err := x.look(body, x.Body, string(line[:min(len(line), piece)])); err != nil || x.over {
				return err
			}
		}
	}
	return nil
}

func edit(kind gate.EditKind, field string, at int) gate.Edit {
	name, value, _ := strings.Cut(field, ":")
	return gate.Edit{Kind: kind, Name: name, Value: value, Index: at}
}

// logical is a field as it is looked up: with its folds, as line feeds.
func logical(name string, raw []byte) string {
	if len(raw) > maxLine {
		raw = raw[:maxLine]
	}
	return name + ":" + strings.ReplaceAll(string(raw), "\r\n", "\n")
}

// isMIME tells the fields of MIME (RFC 2045 §3).
func isMIME(name string) bool {
	return len(name) >= 8 && strings.EqualFold(name[:8], "content-") || strings.EqualFold(name, "MIME-Version")
}

// of chooses the tables for a field in the body: of a part all are MIME's, of an attached message those that are.
func (x *examination) of(nested bool, name string) (string, table.List) {
	if nested && !isMIME(name) {
		return "nested_header_checks", x.Nested
	}
	return "mime_header_checks", x.MIME
}
