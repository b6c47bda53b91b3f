package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

func TestMarksInComments(t *testing.T) {
	src := `package x
// RFC 5321 §4.5.3.1.8 and RFC
// 3463 §2, §3.1; RFC 2047 as a whole
var a = "RFC 1 §1" // RFC 5322 §3.6.
// RFC 9051 §A.2`
	got, err := inFile("x.go", src)
	if err != nil {
		t.Fatal(err)
	}
	want := []mark{{rfc: 5321, section: "4.5.3.1.8"}, {rfc: 3463, section: "2"}, {rfc: 3463, section: "3.1"}, {rfc: 2047},
		{rfc: 5322, section: "3.6"}, {rfc: 9051, section: "A.2"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestSectionsInNaturalOrder(t *testing.T) {
	s := []string{"A.1", "4.10", "", "4.2", "4", "3"}
	slices.SortFunc(s, natural)
	if want := []string{"", "3", "4", "4.2", "4.10", "A.1"}; !reflect.DeepEqual(s, want) {
		t.Errorf("%v", s)
	}
}

func TestCheckFailsOnAStalePage(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "page.md")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.go", "package x\n// RFC 5321 §2\nvar a int\n")
	if err := run(dir, page, ""); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, "", page); err != nil {
		t.Errorf("a fresh page: %v", err)
	}
	write("b.go", "package x\n// RFC 5322 §2\nvar b int\n")
	if err := run(dir, "", page); err == nil {
		t.Error("a stale page passes")
	}
}
