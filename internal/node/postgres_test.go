package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/test/needs"
)

// Whole nodes again with their state on PostgreSQL: all of this package's tests.
func TestPostgreSQL(t *testing.T) {
	dbtest.OnPostgreSQL(t, func(t testing.TB) string {
		server := needs.PostgreSQL(t)
		packsAndRowsBelongTogether(t, server)
		return server
	})
}

func packsAndRowsBelongTogether(t testing.TB, server string) {
	first, second, third := t.TempDir(), t.TempDir(), t.TempDir()
	url := dbtest.NewSchema(t, server)
	file := filepath.Join(third, "url")
	if err := os.WriteFile(file, []byte(url+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	postgres := func(dir string) *config.Config {
		return testConfig(t, dir, `database.engine = "postgres"`, fmt.Sprintf("database.url_file = %q", file))
	}
	refused := func(c *config.Config, want string) {
		t.Helper()
		if _, err := Open(t.Context(), Options{Config: c, Log: &obs.Log{Logger: slog.New(slog.DiscardHandler)}, Version: "test"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	n, stop := start(t, postgres(first))
	addUser(t, n, "alice", "pw")
	if err := send(t, n, "alice@here.example", "Subject: x\r\n\r\nx\r\n"); err != nil {
		t.Fatal(err)
	}
	stop()
	refused(postgres(second), "is not its data_dir")
	refused(testConfig(t, first), "has the messages of a database on PostgreSQL")
	_, stop = start(t, testConfig(t, second))
	stop()
	refused(postgres(second), "its messages belong to SQLite")
	n, stop = start(t, postgres(first))
	c := login(t, n, "alice@here.example", "pw")
	arrived(t, c, "INBOX", 1)
	c.Close()
	stop()
	// The database is lost, and a new one is in its place.
	other := testConfig(t, first, `database.engine = "postgres"`, fmt.Sprintf("database.url = %q", dbtest.NewSchema(t, server)))
	refused(other, "the database is empty")
	for range 2 { // cut off at its end, and again
		rebuildOnPostgreSQL(t, other)
		refused(other, "the database is empty")
	}
	err := CheckOffline(t.Context(), Options{Config: other}, admin.CheckQuery{Rebuild: true}, func(e admin.CheckEvent) error {
		if e.Summary != nil && !e.Summary.Clean {
			t.Errorf("%+v", e.Summary)
		}
		return nil
	})
	must(t, err)
	n, stop = start(t, other)
	if got := readAll(t, n); len(got) != 1 || got["x"] == nil {
		t.Errorf("rebuilt: %v", got)
	}
	stop()
	refused(postgres(second), "its messages belong to SQLite")
	if err := os.WriteFile(file, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(postgres(first), "it wants the URL")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refused(postgres(first), "no such file")
}

// rebuildOnPostgreSQL ends a rebuild before it is done.
func rebuildOnPostgreSQL(t testing.TB, c *config.Config) {
	t.Helper()
	cut := errors.New("cut off")
	err := CheckOffline(t.Context(), Options{Config: c}, admin.CheckQuery{Rebuild: true}, func(e admin.CheckEvent) error {
		if e.Progress != nil && e.Progress.Stage == "rebuild: installation" {
			return cut
		}
		return nil
	})
	if !errors.Is(err, cut) {
		t.Fatal(err)
	}
}
