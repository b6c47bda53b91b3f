package node

import (
	"os"
	"path/filepath"
	"regexp"
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

// What the server would refuse at its start `config check` has to name, with the key.
func TestCheckTablesFilters(t *testing.T) {
	for text, want := range map[string]string{
		"smtpd_milters = [\"inet:127.0.0.1\"]":                                            "filters.smtpd_milters: .*inet:host:port",
		"smtpd_milters = [\"{ inet:127.0.0.1:8891, default_action=acept }\"]":             "filters.smtpd_milters: .*acept.*accept",
		"non_smtpd_milters = [\"unix:x\"]":                                                "filters.non_smtpd_milters: .*absolute",
		"content_filter = \"uucp:there\"":                                                 "filters.content_filter: unknown transport .uucp.",
		"content_filter = \"smtp:[127.0.0.1]:100250\"":                                    "filters.content_filter: .*port",
		"content_filter = \"local:\"":                                                     "filters.content_filter: .*no filter would see",
		"content_filter = \"smtp:[127.0.0.1]:10025\"\nsmtpd_milters = [\"inet:mx:8891\"]": "",
	} {
		c, err := config.Parse("test", []byte("[filters]\n"+text+"\n"), nil)
		if err != nil {
			t.Fatal(text, err)
		}
		got, _ := CheckTables(c, t.TempDir())
		switch {
		case want == "" && len(got) == 0:
		case want == "" || len(got) != 1 || !regexp.MustCompile("^"+want).MatchString(got[0].Key+": "+got[0].Text):
			t.Errorf("%s: %v, want %s", text, got, want)
		}
		if err := joined(got); (err != nil) != (want != "") {
			t.Errorf("%s: the start is refused with %v", text, err)
		}
	}
}
