package postfix

import (
	"os"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
)

const doc = "../../../docs/migrate-postfix.md"

// made parts the text of docs/migrate-postfix.md that people write from the table that is made from the code.
const made = "<!-- The rest is made from the code: go test ./internal/migrate/postfix -update -->\n\n"

func TestDocumentIsCurrent(t *testing.T) {
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	head, table, ok := strings.Cut(string(text), made)
	if !ok {
		t.Fatalf("%s lacks the line %q", doc, made)
	}
	if *update {
		if err := os.WriteFile(doc, []byte(head+made+Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if table != Markdown() {
		t.Errorf("%s is not current: go test ./internal/migrate/postfix -update\n%s", doc, firstDifference(table, Markdown()))
	}
}

// TestHundredAreTranslated is what was promised; keys must exist.
func TestHundredAreTranslated(t *testing.T) {
	keys := map[string]bool{"import.sh": true}
	for _, k := range config.Keys() {
		keys[k] = true
	}
	n := 0
	for _, e := range Catalogue() {
		if e.Fate == Translated {
			n++
		}
		for _, k := range e.Keys {
			if !keys[k] {
				t.Errorf("%s: there is no key %s", e.Name, k)
			}
		}
		if e.Fate != Translated && e.Text == "" {
			t.Errorf("%s: nothing is said of it", e.Name)
		}
	}
	if n < 100 {
		t.Errorf("%d parameters are translated", n)
	}
}
