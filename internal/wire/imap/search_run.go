package imap

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/postrider/postrider/internal/mail/header"
	"github.com/postrider/postrider/internal/mail/mime"
	"github.com/postrider/postrider/internal/wire/imap/view"
)

// searchNode is one key of a search, or several under AND, OR, NOT.
type searchNode struct {
	op   searchOp
	kids []*searchNode // opAnd, opOr, opNot

	set     numbers // opSet
	uid     bool
	object  ObjectKind // opSet, but of the messages with an id of that kind (RFC 8474); 0: not
	account int64
	number  uint64
	spans   view.Spans // once prepared

	// A leaf: match sees a candidate of whom want is loaded.
	want   Want
	match  func(*candidate) (bool, error)
	field  TextField // where needle is looked for, for an index
	needle string    // folded
	text   bool      // reads whole bodies

	hits    []uint32 // what an index answered: the UIDs, among those asked for
	indexed bool
}

type searchOp uint8

const (
	opLeaf searchOp = iota
	opAnd
	opOr
	opNot
	opSet
)

// candidate is a message while it is looked at.
type candidate struct {
	row    view.Row
	msg    *Message // what the nodes of this pass want
	parsed *header.Header

	mem    *searchMemory
	folded bool                  // mem.header is of this message
	texts  map[*mime.Part][]byte // folded texts of parts
}

// header reads the top header, once.
func (m *candidate) header() (*header.Header, error) {
	if m.parsed != nil {
		return m.parsed, nil
	}
	size := int(min(m.msg.MIME.HeaderSize(), maxHeader))
	b := slices.Grow(m.mem.block[:0], size)[:size]
	m.mem.block = b
	if n, err := m.msg.Body.ReadAt(b, 0); n < len(b) {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	m.parsed, _ = header.Parse(b, len(b)) // a header without its end is searched as far as it goes
	return m.parsed, nil
}

// needs is the union of what a node wants; text: it reads whole bodies.
func (n *searchNode) needs() (want Want, text bool) {
	if n.indexed {
		return 0, false
	}
	want, text = n.want, n.text
	for _, k := range n.kids {
		w, t := k.needs()
		want, text = want|w, text || t
	}
	return want, text
}

// prepare resolves the sets and the object ids.
func (n *searchNode) prepare(ctx context.Context, s *selection) (err error) {
	if n.object != 0 {
		n.spans, err = s.findObject(ctx, n)
		return err
	}
	if n.op == opSet && !n.uid && !n.set.saved {
		// Lenient, as Dovecot and Cyrus are: "SEARCH 1:*" in an empty mailbox finds nothing and is no error.
		n.spans = s.view.InSeq(n.set.set)
		return nil
	}
	if n.op == opSet {
		n.spans, err = s.resolve(n.set, n.uid)
		return err
	}
	for _, k := range n.kids {
		if err := k.prepare(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// findObject is the messages with an object id: a set like any other.
func (s *selection) findObject(ctx context.Context, n *searchNode) (view.Spans, error) {
	if n.account != s.mailbox.ID().Account {
		return nil, nil
	}
	uids, err := s.mailbox.SearchObject(ctx, n.object, n.number)
	set := make(view.Set, len(uids))
	for i, uid := range uids {
		set[i] = view.Range{First: uid, Last: uid}
	}
	return s.view.ByUID(set), err
}

// eval decides on one candidate.
func (n *searchNode) eval(m *candidate) (bool, error) {
	switch n.op {
	case opSet:
		return n.spans.Has(int(m.row.Seq) - 1), nil
	case opNot:
		ok, err := n.kids[0].eval(m)
		return !ok, err
	case opAnd, opOr:
		for _, k := range n.kids {
			if ok, err := k.eval(m); err != nil || ok == (n.op == opOr) {
				return ok, err
			}
		}
		return n.op == opAnd, nil
	}
	if n.indexed {
		_, ok := slices.BinarySearch(n.hits, m.row.UID)
		return ok, nil
	}
	return n.match(m)
}

// search returns the indexes of the messages that match, ascending. It goes from the cheap to the dear: what the view
// knows, then metadata, then headers, then whole bodies, each only for what is left.
func (c *conn) search(ctx context.Context, program *searchNode) ([]int, error) {
	if err := program.prepare(ctx, c.sel); err != nil {
		return nil, err
	}
	spans := c.sel.view.All()
	var passes [4][]*searchNode
	for _, k := range flatten(program, nil) {
		if k.op == opSet && k.spans.Len() < spans.Len() {
			spans = k.spans // start from the smallest set
		}
		p := passOf(k)
		passes[p] = append(passes[p], k)
	}
	hits, err := c.searchView(spans, passes[0])
	for _, nodes := range passes[1:] {
		if err != nil || len(nodes) == 0 || len(hits) == 0 {
			continue
		}
		if err = c.askIndex(ctx, nodes, hits); err == nil {
			hits, err = c.searchMessages(ctx, nodes, hits)
		}
	}
	return hits, err
}

// flatten lists what must all be true.
func flatten(n *searchNode, out []*searchNode) []*searchNode {
	if n.op != opAnd {
		return append(out, n)
	}
	for _, k := range n.kids {
		out = flatten(k, out)
	}
	return out
}

// passOf: 0 the view, 1 metadata, 2 headers, 3 bodies.
func passOf(n *searchNode) int {
	switch want, text := n.needs(); {
	case text:
		return 3
	case want&WantBody != 0:
		return 2
	case want != 0:
		return 1
	}
	return 0
}

func evalAll(nodes []*searchNode, m *candidate) (bool, error) {
	for _, n := range nodes {
		if ok, err := n.eval(m); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// searchView is the first pass, from memory.
func (c *conn) searchView(spans view.Spans, nodes []*searchNode) (hits []int, err error) {
	rows := make([]view.Row, 0, min(rowBatch, spans.Len()))
	var m candidate
	for _, sp := range spans {
		for sp.From < sp.To {
			sh := c.sel.shared
			sh.mu.Lock()
			rows, sp = c.sel.view.Rows(sh.mailbox, sp, rows[:0])
			sh.mu.Unlock()
			for i := range rows {
				if rows[i].Gone {
					continue
				}
				m.row = rows[i]
				if ok, err := evalAll(nodes, &m); err != nil {
					return nil, err
				} else if ok {
					hits = append(hits, int(m.row.Seq)-1)
				}
			}
		}
	}
	return hits, nil
}

// askIndex lets the mailbox's index, if it has one, answer the text leaves.
func (c *conn) askIndex(ctx context.Context, nodes []*searchNode, hits []int) error {
	index, ok := c.sel.mailbox.(TextSearcher)
	if !ok {
		return nil
	}
	uids := make([]uint32, len(hits))
	for i, h := range hits {
		uids[i] = c.sel.view.UID(uint32(h) + 1)
	}
	return eachLeaf(nodes, func(n *searchNode) (err error) {
		if n.field != (TextField{}) && n.needle != "" {
			n.hits, n.indexed, err = index.SearchText(ctx, n.field, n.needle, uids)
		}
		return err
	})
}

func eachLeaf(nodes []*searchNode, do func(*searchNode) error) error {
	for _, n := range nodes {
		if n.op == opLeaf {
			if err := do(n); err != nil {
				return err
			}
		}
		if err := eachLeaf(n.kids, do); err != nil {
			return err
		}
	}
	return nil
}

// searchMessages is a pass over messages, in batches.
func (c *conn) searchMessages(ctx context.Context, nodes []*searchNode, in []int) (out []int, err error) {
	var want Want
	for _, n := range nodes {
		w, _ := n.needs()
		want |= w
	}
	out = in[:0]
	var uids []uint32
	var mem searchMemory
	for len(in) > 0 {
		batch := in[:min(len(in), MaxBatch)]
		in = in[len(batch):]
		uids = uids[:0]
		for _, i := range batch {
			uids = append(uids, c.sel.view.UID(uint32(i)+1))
		}
		j := 0
		decide := func(uid uint32, msg *Message) error {
			for uids[j] != uid {
				j++ // gone meanwhile
			}
			if msg != nil && msg.Damaged {
				return nil // nobody can tell what is in it
			}
			ok, err := c.matches(nodes, &candidate{row: view.Row{UID: uid, Seq: uint32(batch[j]) + 1}, msg: msg, mem: &mem})
			if ok {
				out = append(out, batch[j])
			}
			if err == nil {
				err = ctx.Err() // one message may take long
			}
			return err
		}
		if want != 0 {
			err = c.sel.mailbox.Messages(ctx, uids, want, func(msg *Message) error { return decide(msg.UID, msg) })
		} else {
			for _, uid := range uids {
				err = errors.Join(err, decide(uid, nil))
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// matches decides on one message. One that is gone meanwhile does not match.
func (c *conn) matches(nodes []*searchNode, m *candidate) (bool, error) {
	c.sel.shared.mu.Lock()
	row, ok := c.sel.shared.mailbox.Get(m.row.UID)
	c.sel.shared.mu.Unlock()
	if !ok {
		return false, nil
	}
	row.Seq = m.row.Seq
	m.row = row
	return evalAll(nodes, m)
}
