package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
)

func TestTablesIn(t *testing.T) {
	for text, want := range map[string]string{
		"hash:/etc/virtual": "hash:/etc/virtual",
		"check_client_access cidr:x, check_sender_access hash:y": "cidr:x hash:y",
		"check_client_access { regexp:/x, permit }":              "regexp:/x",
		"check_policy_service inet:127.0.0.1:10023":              "",
		"!proxy:hash:/x": "proxy:hash:/x",
		"unionmap:{hash:a,pipemap:{hash:b, cidr:c}}": "unionmap:{hash:a,pipemap:{hash:b, cidr:c}} hash:a pipemap:{hash:b, cidr:c} hash:b cidr:c",
		"static:{a hash:b}":                          "static:{a hash:b}",
		"{ unclosed":                                 "",
	} {
		if got := strings.Join(tablesIn(text, 0), " "); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestCheckTables(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "virtual"), []byte("a@example.org joe\nlonely\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.Defaults()
	c.Routing.VirtualAliasMaps = []string{"hash:virtual, texthash:none"}
	wrong, warnings := CheckTables(c, dir)
	if len(wrong) != 1 || wrong[0].Key != "routing.virtual_alias_maps" || !strings.Contains(wrong[0].Text, "no such file") {
		t.Errorf("wrong: %v", wrong)
	}
	if len(warnings) != 1 || !strings.HasPrefix(warnings[0].Text, "line 2:") {
		t.Errorf("warnings: %v", warnings)
	}
}
