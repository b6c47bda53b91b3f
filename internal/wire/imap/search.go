package imap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/wire/imap/view"
	"github.com/postrider/postrider/internal/wire/link"
)

// CriteriaError says what is wrong with search criteria that are not a client's.
type CriteriaError struct {
	At   int    // byte where the parser stood
	Word string // the key that there is not; empty: something else is wrong
	Text string
}

func (e *CriteriaError) Error() string { return e.Text }

// SearchKeys lists the words that may begin a search key (RFC 9051 §6.4.4 and extensions), in lower case.
func (s *Server) SearchKeys() []string {
	var list []string
	for k := range s.tables.search {
		list = append(list, strings.ToLower(k))
	}
	slices.Sort(list)
	return list
}

// CheckCriteria parses search criteria, in the words of the SEARCH command (RFC 9051 §6.4.4). An error is a
// *CriteriaError.
func (s *Server) CheckCriteria(criteria string) error {
	_, err := s.criteria(criteria)
	return err
}

func (s *Server) criteria(text string) (*searchNode, error) {
	if len(text) > s.config.Load().MaxLine || strings.ContainsAny(text, "\x00\r\n") {
		return nil, &CriteriaError{Text: "criteria are one line, and not too long"}
	}
	p := &parser{b: []byte(text), now: s.config.Load().Clock(), tables: s.tables}
	program := p.searchProgram()
	p.end()
	if p.err == nil {
		return program, nil
	}
	out := &CriteriaError{At: p.at, Text: p.err.Error()}
	var f *failure
	if errors.As(p.err, &f) {
		out.Text = f.text
	}
	// The parser has read a word before it finds that there is no such key.
	if word, ok := strings.CutPrefix(out.Text, unknownSearchKey); ok {
		out.Word = word
		out.At -= len(word)
	}
	return nil, out
}

// Search runs criteria over a mailbox outside of any connection, by the same parser, view and passes as SEARCH, and
// returns the UIDs of what matches, ascending. Messages that cannot be read match nothing that needs reading.
func (s *Server) Search(ctx context.Context, m Mailbox, criteria string) ([]uint32, error) {
	program, err := s.criteria(criteria)
	if err != nil {
		return nil, err
	}
	t := &link.Transport{} // nobody's: it only stands for this use of the view
	sh, err := s.hub.open(ctx, m.ID(), t)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	defer s.hub.close(sh, t)
	sel := &selection{mailbox: m, shared: sh, readOnly: true}
	sh.mu.Lock()
	sel.view = view.NewSession(sh.mailbox)
	sh.mu.Unlock()
	c := &conn{srv: s, cfg: s.config.Load(), log: s.log, t: t, sel: sel, state: selected}
	hits, err := c.search(ctx, program)
	if err != nil {
		return nil, err
	}
	uids := make([]uint32, len(hits))
	for i, index := range hits {
		uids[i] = sel.view.UID(uint32(index) + 1)
	}
	return uids, nil
}
