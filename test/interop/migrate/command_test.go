package migrate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/interop/system"
)

func TestMain(m *testing.M) { os.Exit(system.Main(m)) }

// TestServerTakesWhatIsMade runs the command over every configuration. What it says of the result, having looked at it as
// `config check` does, may be about certificates only, which are not in the copies: all tables open, all restrictions are
// understood, none is an open relay.
func TestServerTakesWhatIsMade(t *testing.T) {
	for _, site := range sites(t) {
		out := filepath.Join(t.TempDir(), "new")
		said := system.Run(t, system.Command{Name: system.Binary(t), AnyCode: true,
			Args: []string{"--json", "migrate", "postfix", "--from", filepath.Join(testdata, site, "etc/postfix"), "--output", out}})
		var answer struct {
			OK     bool `json:"ok"`
			Counts map[string]int
			Lines  []struct{ File, Fate, Text string }
		}
		if err := json.Unmarshal([]byte(said.Stdout), &answer); err != nil {
			t.Fatalf("%s: %v\n%s", site, err, said.All())
		}
		if answer.OK != (said.Code == 0) || said.Code != 0 && said.Code != 78 {
			t.Errorf("%s: ok is %v, the exit code %d", site, answer.OK, said.Code)
		}
		if answer.Counts["translated"] == 0 {
			t.Errorf("%s: nothing is translated", site)
		}
		for _, l := range answer.Lines {
			told := site == "mistakes" && strings.HasPrefix(l.Text, `routing.mydestination: "-x.example"`) // a mistake of its own
			if l.File == "postrider.toml" && !told && !strings.HasPrefix(l.Text, "tls.") {
				t.Errorf("%s: %s", site, l.Text)
			}
		}
		if _, err := os.Stat(filepath.Join(out, "report.txt")); err != nil {
			t.Errorf("%s: %v", site, err)
		}
	}
}
