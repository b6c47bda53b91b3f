package imap_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/postrider/postrider/internal/wire/imap"
	"github.com/postrider/postrider/internal/wire/sasl"
)

// Search outside of a connection finds what SEARCH finds, and leaves nothing behind.
func TestServerSearch(t *testing.T) {
	s := newStore()
	srv := newServer(s, testConfig(s))
	id, err := s.Password(t.Context(), "alice", "secret")
	if err != nil {
		t.Fatal(err)
	}
	account, err := s.Account(t.Context(), sasl.Identity{Account: id.Account, Name: id.Name})
	if err != nil {
		t.Fatal(err)
	}
	defer account.Close()
	m, err := account.Select(t.Context(), imap.Name{"INBOX"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for criteria, want := range map[string][]uint32{
		"all":                                nil, // filled below
		"unseen":                             {2},
		`seen from "alice"`:                  {1},
		"subject CAFÉ":                       nil,
		`subject "CAFÉ"`:                     {2},
		"uid 2:*":                            {2},
		"1":                                  {1},
		"(or text world body grüße)":         nil,
		`(or text world body "grüße") not 2`: {1},
		"since 1-jan-1990 larger 10":         {1, 2},
		"keyword nothing":                    {},
	} {
		got, err := srv.Search(t.Context(), m, criteria)
		switch {
		case criteria == "all":
			if err != nil || len(got) != 2 {
				t.Errorf("all: %v, %v", got, err)
			}
		case want == nil:
			var wrong *imap.CriteriaError
			if !errors.As(err, &wrong) {
				t.Errorf("%s: %v, %v, want a complaint", criteria, got, err)
			}
		case err != nil || !slices.Equal(got, want):
			t.Errorf("%s: %v, %v, want %v", criteria, got, err, want)
		}
	}
	if n := s.Watchers(); n != 1 {
		t.Errorf("%d watchers, want the one of the view that is kept", n)
	}
	if err := srv.Shutdown(t.Context()); err != nil || s.Watchers() != 0 {
		t.Errorf("after shutdown %d watchers, %v", s.Watchers(), err)
	}
}

// What is wrong with criteria is told with its place.
func TestCheckCriteria(t *testing.T) {
	s := newStore()
	srv := newServer(s, testConfig(s))
	for _, c := range []struct{ text, want string }{
		{"unseen frm bob", `7 "FRM" Unknown SEARCH key FRM`},
		{"or unsen all", `3 "UNSEN" Unknown SEARCH key UNSEN`},
		{"from", `4 "" Missing argument at the end of the command`},
		{"since yesterday", `15 "" Bad date "yesterday"`},
		{"unseen  from bob", `7 "" Expected a word before " from bob"`},
		{"(unseen", `7 "" Missing argument at the end of the command`},
		{"", `0 "" Expected a word at the end of the command`},
		{"all\r\nall", `0 "" criteria are one line, and not too long`},
		{"subject {3}", `11 "" Expected a string at the end of the command`},
	} {
		err := srv.CheckCriteria(c.text)
		var wrong *imap.CriteriaError
		if !errors.As(err, &wrong) {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := fmt.Sprintf("%d %q %s", wrong.At, wrong.Word, wrong.Text); got != c.want {
			t.Errorf("%q: %s, want %s", c.text, got, c.want)
		}
	}
	if keys := srv.SearchKeys(); !slices.Contains(keys, "unseen") || !slices.Contains(keys, "sentsince") {
		t.Errorf("keys: %v", keys)
	}
}
