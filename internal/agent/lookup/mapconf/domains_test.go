package mapconf

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/decide/table"
)

type down struct{}

func (down) Lookup(context.Context, string) (string, bool, error) {
	return "", false, errors.New("down")
}
func (down) Pattern() bool { return false }

func TestDomains(t *testing.T) {
	file := filepath.Join(t.TempDir(), "domains")
	if err := os.WriteFile(file, []byte("file.test # comment\nother.test, third.test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(name string) (table.List, error) {
		if name == "fail:x" {
			return table.List{down{}}, nil
		}
		t, err := table.Inline(strings.TrimPrefix(name, "inline:"))
		return table.List{t}, err
	}
	d, err := NewDomains([]string{"!no.test", "Example.ORG", "no.test", file, "inline:{t.test=1}"}, open)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"a@example.org": true, "a@EXAMPLE.org": true, "a@no.test": false, "a@third.test": true, "a@t.test": true, "example.org": false,
		"@example.org": false, "a@": false, "a@sub.example.org": false, "a@b@file.test": true} {
		if got, err := d.Takes(t.Context(), key); err != nil || got != want {
			t.Errorf("%s: %t, %v", key, got, err)
		}
	}
	if d, err = NewDomains([]string{"a.test", "fail:x"}, open); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Takes(t.Context(), "x@a.test"); !got || err != nil {
		t.Errorf("%t, %v", got, err)
	}
	if _, err := d.Takes(t.Context(), "x@b.test"); err == nil {
		t.Error("a list that cannot be asked has an answer")
	}
	var nobody *Domains
	if got, _ := nobody.Takes(t.Context(), "x"); !got {
		t.Error("no list, and a key is refused")
	}
	if _, err := NewDomains(strings.Fields(strings.Repeat("fail:x ", 11)), open); err == nil {
		t.Error("any number of tables")
	}
}
