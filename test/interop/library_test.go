package interop

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-message/textproto"
)

// group is a group's beginning or end as addresses writes it.
var group = regexp.MustCompile(` ?\[(;|[^<>\]]*:)\]`)

// failed marks what the library could not read.
const failed = "failed: "

// compareWithLibrary reads the same messages with go-message (headers, multiparts) and the standard library (addresses,
// parameters).
func compareWithLibrary(t *testing.T, all []stored) {
	var names []string
	var ours, theirs []facts
	for _, m := range all {
		f := facts{}
		if err := f.entity("", bufio.NewReader(bytes.NewReader(m.text)), true); err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		a := factsOf(t, m)
		for k := range a { // the library knows no Content-MD5 and the like: nobody sent any
			if strings.HasSuffix(k, "md5") || strings.HasSuffix(k, "language") {
				f[k] = "NIL"
			}
		}
		names, ours, theirs = append(names, m.name), append(ours, a), append(theirs, f)
	}
	compare(t, names, ours, theirs, libraryDeviations())
}

// entity reads a header and the body below it. top: a whole message, of which the envelope is wanted.
func (f facts) entity(path string, r *bufio.Reader, top bool) error {
	h, err := textproto.ReadHeader(r)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if top {
		f.envelopeOf(strings.TrimSpace(path+" envelope"), &h)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return f.content(path, &h, body)
}

func (f facts) content(path string, h *textproto.Header, body []byte) error {
	at := func(name string) string { return strings.TrimSpace(strings.TrimPrefix(path, ".") + " " + name) }
	typ, list, err := mime.ParseMediaType(h.Get("Content-Type"))
	switch {
	case !h.Has("Content-Type"):
		typ, list = "text/plain", map[string]string{"charset": "us-ascii"} // RFC 2045 §5.2
	case err != nil:
		typ = failed + typ
	}
	f[at("type")], f[at("params")] = typ, paramText(list)
	f[at("location")] = orNILs(h.Get("Content-Location"))
	f[at("disposition")] = "NIL"
	if d := h.Get("Content-Disposition"); d != "" {
		kind, list, err := mime.ParseMediaType(d)
		if err != nil {
			kind = failed + kind
		}
		f[at("disposition")], f[at("disposition params")] = kind, paramText(list)
	}
	if strings.HasPrefix(typ, "multipart/") {
		return f.parts(path, list["boundary"], body)
	}
	f[at("id")] = orNILs(h.Get("Content-Id"))
	f[at("description")] = orNILs(h.Get("Content-Description"))
	f[at("encoding")] = strings.ToLower(h.Get("Content-Transfer-Encoding"))
	if f[at("encoding")] == "" {
		f[at("encoding")] = "7bit" // RFC 2045 §6.1
	}
	f[at("size")] = strconv.Itoa(len(body))
	if strings.HasPrefix(typ, "text/") || typ == "message/rfc822" {
		f[at("lines")] = strconv.Itoa(bytes.Count(body, []byte("\n")))
	}
	if typ == "message/rfc822" {
		inner := bufio.NewReader(bytes.NewReader(body))
		ih, err := textproto.ReadHeader(inner)
		if err != nil {
			return err
		}
		f.envelopeOf(at("envelope"), &ih)
		rest, err := io.ReadAll(inner)
		if err != nil {
			return err
		}
		return f.content(path+".1", &ih, rest)
	}
	return nil
}

func (f facts) parts(path, boundary string, body []byte) error {
	r := textproto.NewMultipartReader(bytes.NewReader(body), boundary)
	for i := 1; ; i++ {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) || err != nil && i > 1 {
			return nil
		} else if err != nil {
			f[failed] = err.Error() // its boundary never comes
			return nil
		}
		b, err := io.ReadAll(p)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if err := f.content(fmt.Sprintf("%s.%d", path, i), &p.Header, b); err != nil {
			return err
		}
	}
}

func (f facts) envelopeOf(where string, h *textproto.Header) {
	text := func(name string) string {
		if !h.Has(name) {
			return "NIL"
		}
		return h.Get(name)
	}
	from := addressText(h, "From")
	orFrom := func(name string) string {
		if list := addressText(h, name); list != "NIL" {
			return list
		}
		return from
	}
	for name, v := range map[string]string{
		"date": text("Date"), "subject": text("Subject"), "in-reply-to": text("In-Reply-To"), "message-id": text("Message-Id"),
		"from": from, "sender": orFrom("Sender"), "reply-to": orFrom("Reply-To"),
		"to": addressText(h, "To"), "cc": addressText(h, "Cc"), "bcc": addressText(h, "Bcc"),
	} {
		f[where+" "+name] = v
	}
}

// addressText reads an address field with net/mail, names decoded.
func addressText(h *textproto.Header, name string) string {
	v := h.Get(name)
	if v == "" {
		return "NIL"
	}
	list, err := mail.ParseAddressList(v)
	if err != nil {
		return failed + err.Error()
	}
	var out []string
	for _, a := range list {
		i := strings.LastIndexByte(a.Address, '@')
		out = append(out, mailboxText(a.Name, a.Address[:i], a.Address[i+1:]))
	}
	return orNILs(strings.Join(out, " "))
}

func orNILs(s string) string {
	if s == "" {
		return "NIL"
	}
	return s
}

func paramText(list map[string]string) string {
	var out []string
	for k, v := range list {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return orNILs(strings.Join(out, "; "))
}

// libraryDeviations are where the library says something else, and why we do not.
func libraryDeviations() []deviation {
	key := regexp.MustCompile
	return []deviation{
		{48, key(`envelope`), func(k string, a, b facts) bool {
			return oneSpace(decodeWords(a[k])) == oneSpace(decodeWords(b[k]))
		}, "encoded words, and folds: net/mail decodes names and go-message unfolds to one blank; the bytes are the same"},
		{10, key(`envelope subject`), func(k string, a, b facts) bool {
			return has8bit(b[k]) && oneSpace(decodeWords(a[k])) == oneSpace(latin1(b[k]))
		}, "raw 8-bit bytes in Subject: the library leaves them, we send encoded words (RFC 6855)"},
		{14, key(`envelope (from|to|cc|sender|reply-to)$`), func(k string, a, b facts) bool {
			return strings.HasPrefix(b[k], failed) && a[k] != ""
		}, "addresses that are none by RFC 5322, or with raw 8-bit bytes: net/mail refuses the field, we show what can be read"},
		{4, key(`envelope (to|cc)$`), func(k string, a, b facts) bool {
			return orNILs(strings.TrimSpace(group.ReplaceAllString(a[k], ""))) == b[k]
		}, "groups: net/mail does not tell them (RFC 9051 §7.5.2 wants them)"},
		{13, key(`(size|lines)$`), func(k string, a, b facts) bool {
			ours, err1 := strconv.Atoi(a[k])
			theirs, err2 := strconv.Atoi(b[k])
			return err1 == nil && err2 == nil && (strings.HasSuffix(k, "size") && ours-theirs == 2 || strings.HasSuffix(k, "lines") && ours-theirs == 1)
		}, "a multipart without its end: go-message takes the last line break for the missing boundary's (Dovecot does not)"},
		{1, key(`params$`), func(k string, a, b facts) bool { return strings.ReplaceAll(b[k], `\`, "") == a[k] },
			"backslashes in a quoted string quote (RFC 5322 §3.2.4): the standard library leaves Windows paths as they are"},
		{4, key(`(type|disposition|params|lines)$`), func(k string, _, b facts) bool {
			path := strings.TrimRight(k, "abcdefghijklmnopqrstuvwxyz")
			return strings.HasPrefix(b[strings.TrimSuffix(path, "disposition ")+"type"], failed) || strings.HasPrefix(b[k], failed)
		}, "Content-Type or Content-Disposition that breaks RFC 2045 §5.1: the library refuses all of it"},
		{10, key(``), func(k string, _, b facts) bool { return b[failed] != "" && !strings.Contains(k, "envelope") },
			"a multipart whose boundary never comes: go-message fails, we say one empty text/plain, as Dovecot does (RFC 9051 wants a part)"},
	}
}
