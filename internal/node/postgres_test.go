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
		databaseFromABackup(t, server)
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

// databaseFromABackup is TestDatabaseFromABackup's case where the rows of the database are put back. (What a check finds and
// mends beyond that is tested on SQLite, whose files can be copied and damaged.)
func databaseFromABackup(t testing.TB, server string) {
	t.Helper()
	dir, url := t.TempDir(), dbtest.NewSchema(t, server)
	c := testConfig(t, dir, `database.engine = "postgres"`, fmt.Sprintf("database.url = %q", url))
	each := func(do string) {
		t.Helper()
		dbtest.Command(t, url, "DO $x$ DECLARE t text; BEGIN FOR t IN SELECT table_name FROM information_schema.tables WHERE "+
			"table_schema = current_schema() AND table_name NOT LIKE 'kept%' LOOP "+do+" END LOOP; END $x$")
	}
	n, stop := start(t, c)
	addUser(t, n, "alice", "pw")
	must(t, send(t, n, "alice@here.example", "Subject: old\r\n\r\nx\r\n"))
	eventually(t, "delivery", func() bool { return len(readAll(t, n)) == 1 })
	queueMessage(t, n)
	n.ageing.note(t.Context())
	each("EXECUTE format('CREATE TABLE %I AS TABLE %I', 'kept_' || t, t);")
	must(t, send(t, n, "alice@here.example", "Subject: new\r\n\r\nx\r\n"))
	eventually(t, "delivery", func() bool { return len(readAll(t, n)) == 2 })
	n.ageing.note(t.Context())
	stop()
	each("EXECUTE format('TRUNCATE TABLE %I', t); EXECUTE format('INSERT INTO %I OVERRIDING SYSTEM VALUE TABLE %I', t, 'kept_' || t);")
	for range 2 {
		if _, err := Open(t.Context(), Options{Config: c, Log: testLog(t)}); !errors.Is(err, ErrOldDatabase) {
			t.Fatalf("opened: %v", err)
		}
	}
	var found []string
	must(t, CheckOffline(t.Context(), Options{Config: c}, admin.CheckQuery{Repair: true}, func(e admin.CheckEvent) error {
		if e.Fault != nil {
			found = append(found, e.Fault.Kind)
		}
		if e.Summary != nil && !e.Summary.Clean {
			t.Errorf("%+v: %v", e.Summary, found)
		}
		return nil
	}))
	n, stop = start(t, c)
	defer stop()
	if got := readAll(t, n); len(got) != 2 || got["new"] == nil {
		t.Errorf("repaired: %v", got)
	}
	list, err := n.queue.List(t.Context())
	must(t, err)
	if len(list) != 1 || list[0].State != "hold" {
		t.Errorf("queue: %+v", list)
	}
}
