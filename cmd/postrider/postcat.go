package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/mail/address"
	"github.com/postrider/postrider/internal/mail/queueid"
)

// postcat is Postfix's command of that name: it shows a message of the queue, its envelope as the records that a queue file of
// Postfix would have. docs/postfix-commands.md has what differs.
func postcat(a *app, args []string) int {
	c := &cat{postfixTool: postfixTool{app: a, name: "postcat", code: 1, usage: "postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] " +
		"[-e (envelope records)] [-h (header text)] [-q (access queue)] [-v] [file(s)...]"}}
	return c.end(c.run(args))
}

// cat is one run of postcat. Records have the place that they would have in a file: a letter, the length in units of seven
// bits, the text.
type cat struct {
	postfixTool
	w                      *bufio.Writer
	body, envelope, header bool
	decimal, offsets       bool
	verbose, queue         bool
	offset                 int64
	skip                   int64 // -s: records before it are not shown
}

// The letters of records, as postcat -d shows their numbers.
const (
	recSize       = 'C'
	recTime       = 'T'
	recAttribute  = 'A'
	recSender     = 'S'
	recOriginal   = 'O'
	recRecipient  = 'R'
	recDone       = 'D'
	recMessage    = 'M'
	recText       = 'N'
	recTextBroken = 'L'
	recExtracted  = 'X'
	recEnd        = 'E'
)

// recordText is how much of a line one record holds, bytes.
const recordText = 2048

func (c *cat) run(args []string) error {
	options, names, err := c.options(args, "bc:dehoqrs:v")
	if err != nil {
		return err
	}
	for _, o := range options {
		switch o.letter {
		case 'b':
			c.body = true
		case 'e':
			c.envelope = true
		case 'h':
			c.header = true
		case 'd':
			c.decimal = true
		case 'o':
			c.offsets = true
		case 'q':
			c.queue = true
		case 'v':
			c.verbose = true
		case 's':
			if _, err := fmt.Sscanf(o.value, "%d", &c.skip); err != nil || c.skip < 0 {
				return fmt.Errorf("bad offset: %s", o.value)
			}
		}
	}
	if !c.body && !c.envelope && !c.header {
		c.body, c.envelope, c.header = true, true, true
	}
	if err := c.place(options); err != nil {
		return err
	}
	if !c.queue {
		if len(names) == 0 {
			return errors.New("standard input is no queue file; messages are no files here: name them by their queue ids, with -q")
		}
		return fmt.Errorf("open %s: messages are no files here: name them by their queue ids, with -q", names[0])
	}
	if len(names) == 0 {
		return nil
	}
	c.w = bufio.NewWriter(c.stdout)
	err = c.operateQueue(func(ctx context.Context, api admin.API) error {
		for _, name := range names {
			if err := c.show(ctx, api, name); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, c.w.Flush())
}

func (c *cat) show(ctx context.Context, api admin.API, id string) error {
	if !maybeID(id) {
		return fmt.Errorf("bad mail queue ID: %s", id)
	}
	if _, err := queueid.Parse(id); err != nil {
		return fmt.Errorf("open queue file %s: No such file or directory", id)
	}
	j, err := api.Job(ctx, id)
	if admin.KindOf(err) == admin.NotFound {
		return fmt.Errorf("open queue file %s: No such file or directory", id)
	}
	if err != nil {
		return err
	}
	if j.Envelope == nil {
		return fmt.Errorf("%s: the message is set aside as corrupt, and cannot be read", id)
	}
	c.offset = 0
	path := queuePath(j)
	if c.envelope {
		fmt.Fprintf(c.w, "*** ENVELOPE RECORDS %s ***\n", path)
	}
	for _, r := range envelopeRecords(j, c.contentAt(j)) {
		c.record(r)
	}
	c.mark(recMessage, "MESSAGE CONTENTS", path)
	if err := c.message(ctx, api, id); err != nil {
		return err
	}
	c.mark(recExtracted, "HEADER EXTRACTED", path)
	c.mark(recEnd, "MESSAGE FILE END", path)
	return nil
}

// queuePath is the name that the message's file would have: that of a deferred one is in a folder named for its id's
// microseconds (hash_queue_depth 1).
func queuePath(j admin.Job) string {
	id, err := queueid.Parse(j.ID)
	if j.State != "deferred" || err != nil {
		return j.State + "/" + j.ID
	}
	return fmt.Sprintf("%s/%.1s/%s", j.State, fmt.Sprintf("%05X", id.Micros()%1e6), j.ID)
}

// record is one of the envelope.
type record struct {
	letter byte
	name   string
	text   string
	stored int // bytes in a file, where they are others than the text's
}

func (r record) size() int {
	if r.stored > 0 {
		return r.stored
	}
	return len(r.text)
}

// contentAt is where the message would begin in a file.
func (c *cat) contentAt(j admin.Job) (at int64) {
	for _, r := range envelopeRecords(j, 0) {
		at += recordSize(r.size())
	}
	return at + recordSize(0)
}

func recordSize(n int) int64 {
	size := int64(1 + 1 + n)
	for n >>= 7; n > 0; n >>= 7 {
		size++
	}
	return size
}

// envelopeRecords are the envelope in the order of Postfix's cleanup(8).
func envelopeRecords(j admin.Job, content int64) []record {
	e := j.Envelope
	utf8 := 0
	if e.UTF8 {
		utf8 = 1
	}
	arrival := j.Arrival.Local().Format("Mon Jan _2 15:04:05 2006")
	list := []record{
		{letter: recSize, name: "message_size", text: fmt.Sprintf("%15d %15d %15d %15d %15d %15d", j.Size, content, len(e.Recipients), 0, j.Size, utf8)},
		{letter: recTime, name: "message_arrival_time", text: arrival, stored: len(fmt.Sprintf("%d %6d", j.Arrival.Unix(), 0))},
		{letter: recAttribute, name: "create_time", text: arrival, stored: len(fmt.Sprintf("create_time=%d", j.Arrival.Unix()))},
	}
	attribute := func(name, value string) {
		if value != "" {
			list = append(list, record{letter: recAttribute, name: "named_attribute", text: name + "=" + value})
		}
	}
	attribute("log_ident", j.ID)
	attribute("envelope_id", e.EnvID)
	attribute("ret_flags", map[string]string{"full": "1", "hdrs": "2"}[e.Ret])
	list = append(list, record{letter: recSender, name: "sender", text: unquoted(j.Sender)})
	attribute("encoding", map[string]string{"8bitmime": "8bit", "binarymime": "binary"}[e.Body])
	if cl := e.Client; cl.Address != "" {
		name, port := cl.Name, fmt.Sprint(cl.Port)
		if name == "" {
			name = "unknown"
		}
		family := "2" // AF_INET
		if strings.Contains(cl.Address, ":") {
			family = "10" // AF_INET6
		}
		attribute("log_client_name", name)
		attribute("log_client_address", cl.Address)
		attribute("log_client_port", port)
		attribute("log_message_origin", name+"["+cl.Address+"]")
		attribute("log_helo_name", cl.Helo)
		attribute("log_protocol_name", cl.Protocol)
		attribute("sasl_username", cl.Login)
		attribute("client_name", name)
		attribute("reverse_client_name", name)
		attribute("client_address", cl.Address)
		attribute("client_port", port)
		attribute("helo_name", cl.Helo)
		attribute("protocol_name", cl.Protocol)
		attribute("client_address_type", family)
	}
	for _, r := range e.Recipients {
		flags := 0
		for _, word := range r.Notify {
			flags |= map[string]int{"never": 1, "success": 2, "failure": 4, "delay": 8}[word]
		}
		if flags != 0 {
			attribute("notify_flags", fmt.Sprint(flags))
		}
		orcpt := r.ORcpt
		if orcpt == "" {
			orcpt = "rfc822;" + r.Original
		}
		attribute("dsn_orig_rcpt", orcpt)
		to := record{letter: recRecipient, name: "recipient", text: unquoted(r.Address)}
		if r.Done {
			to.letter, to.name = recDone, "done_recipient"
		}
		list = append(list, record{letter: recOriginal, name: "original_recipient", text: unquoted(r.Original)}, to)
	}
	return list
}

// unquoted is an address as queue files have it: without the quotes that its local part needs elsewhere.
func unquoted(s string) string {
	a, err := address.Parse(s, true)
	if err != nil || a.IsZero() {
		return s
	}
	return a.Local + "@" + a.Domain
}

// message writes header and body: a record for each line, several for a long one.
func (c *cat) message(ctx context.Context, api admin.API, id string) (err error) {
	if !c.header && !c.body && !c.offsets {
		return nil
	}
	m, err := api.JobMessage(ctx, id)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	r := bufio.NewReaderSize(m, recordText+len("\r\n"))
	inBody, fresh := false, true // in the header, at the beginning of a line
	for {
		line, err := r.Peek(r.Size())
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		letter, name, size := byte(recText), "regular_text", len(line)
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			size = end + 1
		} else if len(line) == r.Size() {
			letter, name, size = recTextBroken, "unterminated_text", recordText
		}
		text := line[:size]
		if letter == recText {
			text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		}
		if fresh && !inBody && !isField(text) {
			inBody = true
		}
		c.text(c.header && !inBody || c.body && inBody, letter, name, text)
		fresh = letter == recText
		if _, err := r.Discard(size); err != nil {
			return err
		}
	}
}

// isField tells whether a line belongs to a header: a field's name and colon, or a further line of one.
func isField(line []byte) bool {
	if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
		return len(bytes.TrimSpace(line)) > 0
	}
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return false
	}
	for _, b := range bytes.TrimRight(line[:i], " \t") {
		if b <= ' ' || b >= 0x7f {
			return false
		}
	}
	return true
}

// prefix writes what -o and -d put in front, and moves on.
func (c *cat) prefix(show bool, letter byte, size int) (shown bool) {
	at := c.offset
	c.offset += recordSize(size)
	if !show || at < c.skip {
		return false
	}
	if c.offsets {
		fmt.Fprintf(c.w, "%9d ", at)
	}
	if c.decimal {
		fmt.Fprintf(c.w, "%3d ", letter)
	}
	return true
}

func (c *cat) record(r record) {
	if c.prefix(c.envelope, r.letter, r.size()) {
		fmt.Fprintf(c.w, "%s: %s\n", r.name, c.safe([]byte(r.text)))
	}
}

// text writes a line of the message; the parts of a long one are lines of their own with -v and -o only.
func (c *cat) text(show bool, letter byte, name string, text []byte) {
	if !c.prefix(show, letter, len(text)) {
		return
	}
	end := "\n"
	if c.verbose {
		fmt.Fprintf(c.w, "%s: ", name)
	} else if letter == recTextBroken && !c.offsets {
		end = ""
	}
	_, _ = c.w.Write(c.safe(text)) // Flush has the error
	_, _ = c.w.WriteString(end)
}

func (c *cat) mark(letter byte, text, path string) {
	if c.prefix(c.envelope, letter, 0) {
		fmt.Fprintf(c.w, "*** %s %s ***\n", text, path)
	}
}

// safe is text as it is, unless a terminal shows it.
func (c *cat) safe(text []byte) []byte {
	if !c.terminal() {
		return text
	}
	return []byte(printable(string(text)))
}
