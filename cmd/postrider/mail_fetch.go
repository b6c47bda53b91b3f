package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
)

// maxHeader is how much of a message is read for its header, bytes.
const maxHeader = 1 << 20

func (c mailFetchCmd) Run(a *app) error {
	q, exact, err := c.query(c.mailWhich)
	if err != nil {
		return err
	}
	columns, err := chosenFields(c.Fields)
	if err != nil {
		return err
	}
	return a.operate(func(ctx context.Context, api admin.API) error {
		f := &fetch{app: a, ctx: ctx, api: api, query: q}
		switch {
		case len(c.Fields) > 0:
			err = f.fields(columns)
		case c.Headers:
			err = f.each(f.printHeader)
		case c.Structure:
			err = f.structures()
		case c.Mbox:
			err = f.each(f.printMbox)
		case c.Output != "":
			err = f.files(c.Output)
		default:
			exact = true
			err = f.one()
		}
		if err == nil && f.n == 0 && exact {
			err = noneMatch(q)
		}
		return err
	})
}

// fetch is one run of `mail fetch`.
type fetch struct {
	app   *app
	ctx   context.Context // of this run only
	api   admin.API
	query admin.MailQuery
	n     int // messages so far
}

// each runs fn on every message that matches.
func (f *fetch) each(fn func(admin.Found) error) error {
	return f.api.SearchMail(f.ctx, f.query, func(m admin.Found) error {
		f.n++
		return fn(m)
	})
}

func (f *fetch) open(m admin.Found) (io.ReadCloser, error) {
	return f.api.Message(f.ctx, admin.MessageID{Account: f.query.Account, Mailbox: m.Mailbox, UID: m.UID})
}

// read runs fn on a message's bytes.
func (f *fetch) read(m admin.Found, fn func(io.Reader) error) error {
	body, err := f.open(m)
	if err != nil {
		return err
	}
	return errors.Join(fn(body), body.Close())
}

var errSeveral = errors.New("several")

// one prints the one message that matches.
func (f *fetch) one() error {
	var first admin.Found
	err := f.each(func(m admin.Found) error {
		if f.n > 1 {
			return errSeveral
		}
		first = m
		return nil
	})
	if errors.Is(err, errSeveral) {
		return usagef("several messages match: say --output DIR for a file of each, --mbox for one mbox, or --headers, --structure, --fields")
	}
	if err != nil || f.n == 0 {
		return err
	}
	body, err := f.open(first)
	if err != nil {
		return err
	}
	return f.app.printMessage(body)
}

// header reads a message's header with its empty line.
func (f *fetch) header(m admin.Found) (h *header.Header, err error) {
	err = f.read(m, func(r io.Reader) error {
		top, err := io.ReadAll(io.LimitReader(r, maxHeader))
		if err == nil {
			h, _ = header.Parse(top, maxHeader) // one that is too long has its beginning
		}
		return err
	})
	return h, err
}

// printHeader writes a header, byte for byte but for the terminal's sake, and an empty line.
func (f *fetch) printHeader(m admin.Found) error {
	return f.read(m, func(r io.Reader) error {
		in, out := bufio.NewReader(io.LimitReader(r, maxHeader)), bufio.NewWriter(f.app.stdout)
		for {
			line, err := in.ReadString('\n')
			text := strings.TrimRight(line, "\r\n")
			if f.app.terminal() {
				text = printable(text)
			}
			_, _ = out.WriteString(text + "\n") // Flush has the error
			if text == "" || errors.Is(err, io.EOF) {
				return out.Flush()
			}
			if err != nil {
				return errors.Join(err, out.Flush())
			}
		}
	})
}

// printMbox writes a message as mboxrd: a line "From ", lines that begin so behind any ">" get one more, line feeds.
func (f *fetch) printMbox(m admin.Found) error {
	return f.read(m, func(r io.Reader) error {
		in, out := bufio.NewReader(r), bufio.NewWriter(f.app.stdout)
		fmt.Fprintf(out, "From MAILER-DAEMON %s\n", m.Received.UTC().Format(time.ANSIC))
		for {
			line, err := in.ReadBytes('\n')
			if bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
				_ = out.WriteByte('>')
			}
			if len(line) > 0 {
				line = append(bytes.TrimRight(line, "\r\n"), '\n')
				if f.app.terminal() {
					line = []byte(printable(string(line[:len(line)-1])) + "\n")
				}
				_, _ = out.Write(line)
			}
			if errors.Is(err, io.EOF) {
				_ = out.WriteByte('\n')
				return out.Flush()
			}
			if err != nil {
				return errors.Join(err, out.Flush())
			}
		}
	})
}

// files writes each message into a file of its own. None is overwritten.
func (f *fetch) files(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return withCode(exitCantCreate, "%w", err)
	}
	err := f.each(func(m admin.Found) error {
		name := strings.Map(func(r rune) rune {
			if r < ' ' || r == '/' || r == '\\' {
				return '.'
			}
			return r
		}, m.Mailbox)
		return f.read(m, func(r io.Reader) error {
			out, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%s-%d.eml", name, m.UID)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return withCode(exitCantCreate, "%w", err)
			}
			_, err = io.Copy(out, r)
			return errors.Join(err, out.Close())
		})
	})
	if err != nil {
		return err
	}
	return f.app.done(admin.Count{Messages: f.n}, "%s written to %s", messages(f.n), dir)
}

// headerField begins the name of a field of the header in --fields.
const headerField = "hdr."

// chosenFields reads --fields.
func chosenFields(names []string) (list []field, err error) {
	known := map[string]field{}
	var words []string
	for _, f := range fields() {
		known[f.name] = f
		words = append(words, f.name)
	}
	for _, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		f, ok := known[name]
		switch {
		case ok:
			list = append(list, f)
		case strings.HasPrefix(name, headerField) && len(name) > len(headerField):
			list = append(list, field{name: name})
		default:
			text := fmt.Sprintf("--fields: there is no %q", name)
			if near := config.Nearest(name, words); near != "" {
				text += fmt.Sprintf("; did you mean %q?", near)
			}
			return nil, usagef("%s There are %s and hdr.NAME", text, strings.Join(words, ", "))
		}
	}
	return list, nil
}

// fields prints what was chosen.
func (f *fetch) fields(columns []field) error {
	out := f.app.newFindings(columns)
	err := f.each(func(m admin.Found) error {
		values := map[string]any{}
		var h *header.Header
		for _, c := range columns {
			if c.value != nil {
				values[c.name] = c.value(&m)
				continue
			}
			if h == nil {
				var err error
				if h, err = f.header(m); err != nil {
					return err
				}
			}
			text, _ := h.Get(strings.TrimPrefix(c.name, headerField))
			values[c.name] = header.DecodeWords(header.DecodeRaw([]byte(text)))
		}
		return out.add(m, values)
	})
	if err != nil {
		return err
	}
	return out.end()
}

// part is a line of --structure.
type part struct {
	Number   string `json:"part"` // as in IMAP's BODY[…] (RFC 9051 §6.4.5.1); empty: the whole of several
	Type     string `json:"type"`
	Size     int64  `json:"size"`
	Encoding string `json:"encoding"`
	Filename string `json:"filename,omitempty"`
}

// structures prints the MIME parts of messages.
func (f *fetch) structures() error {
	out := f.app.newFindings([]field{fields()[0], fields()[1], {name: "part"}, {name: "type"}, {name: "length"}, {name: "encoding"}, {name: "filename"}})
	err := f.each(func(m admin.Found) error {
		p := mime.NewParser()
		if err := f.read(m, func(r io.Reader) error { _, err := io.Copy(p, r); return err }); err != nil {
			return err
		}
		parts := partsOf(p.Close().Root, "", nil)
		if f.app.flags.JSON {
			return out.add(m, map[string]any{"mailbox": m.Mailbox, "uid": m.UID, "parts": parts})
		}
		for _, one := range parts {
			if err := out.add(m, map[string]any{"part": dash(one.Number), "type": one.Type, "length": shortSize(one.Size),
				"encoding": one.Encoding, "filename": one.Filename}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return out.end()
}

// partsOf lists a part and those below it. A message that is one part has it as number 1.
func partsOf(p *mime.Part, number string, list []part) []part {
	if number == "" && p.Kind != mime.Multipart {
		number = "1"
	}
	name, ok := header.Get(p.DispParams, "filename")
	if !ok {
		name, _ = header.Get(p.Params, "name")
	}
	list = append(list, part{Number: number, Type: p.Type + "/" + p.Subtype, Size: p.Size(), Encoding: p.Encoding, Filename: header.DecodeWords(name)})
	for i, child := range p.Children {
		below := fmt.Sprint(i + 1)
		switch {
		case p.Kind == mime.Rfc822 && child.Kind == mime.Multipart:
			below = number // its parts are numbered below the message's own number
		case number != "":
			below = number + "." + below
		}
		list = partsOf(child, below, list)
	}
	return list
}
