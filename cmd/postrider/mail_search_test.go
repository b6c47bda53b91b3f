package main

import (
	"log/slog"
	"testing"

	"github.com/postrider/postrider/internal/wire/imap"
)

// What people type becomes what IMAP wants, or is left for its parser to judge.
func TestCriteria(t *testing.T) {
	engine := imap.New(nil, slog.New(slog.DiscardHandler), imap.Config{})
	for _, c := range []struct {
		words []string
		want  string
		exact bool
		wrong bool // for the parser
	}{
		{[]string{"7"}, "UID 7", true, false},
		{[]string{"3:9,12", "100:*"}, "UID 3:9,12,100:*", true, false},
		{[]string{"*"}, "UID *", true, false},
		{[]string{"all"}, "all", false, false},
		{[]string{"unseen", "from", "bob"}, "unseen from bob", false, false},
		{[]string{"uid", "1:*"}, "uid 1:*", false, false},
		{[]string{"subject", "quarterly report"}, `subject "quarterly report"`, false, false},
		{[]string{"subject", "50%"}, `subject "50%"`, false, false},
		{[]string{"subject", "Größe"}, `subject "Größe"`, false, false},
		{[]string{"subject", ""}, `subject ""`, false, false},
		{[]string{"subject", `a"b\c`}, `subject "a\"b\\c"`, false, false},
		{[]string{"subject", "foo (bar)"}, `subject "foo (bar)"`, false, false},
		{[]string{"subject", `"as it is"`}, `subject "as it is"`, false, false},
		{[]string{"keyword", "$Junk"}, "keyword $Junk", false, false},
		{[]string{`subject "one word for the shell"`}, `subject "one word for the shell"`, false, false},
		{[]string{"not", "(from a to b)"}, "not (from a to b)", false, false},
		{[]string{"or", "(from", "a", "to", "b)", "seen"}, "or (from a to b) seen", false, false},
		{[]string{"header", "list-id", "<x.example>"}, "header list-id <x.example>", false, false},
		{[]string{"subject", "two\r\nlines"}, "subject \"two\r\nlines\"", false, true},
		{[]string{"frm", "bob"}, "frm bob", false, true},
	} {
		got, exact, err := criteria(c.words)
		if err != nil || got != c.want || exact != c.exact {
			t.Errorf("%q: %q, %v, %v; want %q", c.words, got, exact, err, c.want)
		}
		if err := engine.CheckCriteria(got); c.wrong != (err != nil) {
			t.Errorf("%q: %v", got, err)
		}
	}
	if _, _, err := criteria(nil); exitCode(err) != exitUsage {
		t.Error(err)
	}
}

func TestFlagWords(t *testing.T) {
	for text, want := range map[string][]string{
		"seen": {`\seen`}, `\Seen,Work`: {`\Seen`, "Work"}, "Flagged draft,$Junk": {`\Flagged`, `\draft`, "$Junk"}, "": nil, "unseen": {"unseen"},
	} {
		got := flagWords(text)
		if len(got) != len(want) {
			t.Errorf("%q: %q", text, got)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%q: %q, want %q", text, got, want)
			}
		}
	}
}
