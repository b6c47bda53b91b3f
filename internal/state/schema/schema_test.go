package schema

import (
	"io/fs"
	"regexp"
	"testing"
)

// What SQLite takes and PostgreSQL would not, beyond the replacements that package db names.
var notPortable = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\bAUTOINCREMENT\b`),
	regexp.MustCompile(`(?i)\bSTRICT\b`),
	regexp.MustCompile(`(?i)\b(PRAGMA|VIRTUAL|ROWID\b[^;]*\bROWID|GLOB|IFNULL|COLLATE\s+NOCASE)\b`),
	regexp.MustCompile(`(?i)\b(DATETIME|BOOLEAN|VARCHAR|INT|TINYINT|DOUBLE|CLOB|NUMERIC)\b`),
	regexp.MustCompile(`(?i)\bINSERT\s+OR\b`),
	regexp.MustCompile("[`\\[\\]\"]"), // quoting of names
}

var (
	comment   = regexp.MustCompile(`--[^\n]*`)
	assigned  = regexp.MustCompile(`(?i)\bINTEGER\s+PRIMARY\s+KEY\b`)
	integer   = regexp.MustCompile(`(?i)\bINTEGER\b`)
	withoutID = regexp.MustCompile(`(?i)\bWITHOUT\s+ROWID\b`)
)

func TestPortable(t *testing.T) {
	names, err := fs.Glob(Store, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(Store, name)
		if err != nil {
			t.Fatal(err)
		}
		sql := comment.ReplaceAllString(string(text), "")
		sql = assigned.ReplaceAllString(sql, "")
		sql = withoutID.ReplaceAllString(sql, "")
		for _, re := range append(notPortable, integer) {
			if m := re.FindString(sql); m != "" {
				t.Errorf("%s: %q is not in the vocabulary that both engines share", name, m)
			}
		}
	}
}
