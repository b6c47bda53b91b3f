package dbtest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// serverVariable carries the URL of the PostgreSQL server from OnPostgreSQL to the process it starts.
const serverVariable = "POSTRIDER_TEST_POSTGRESQL"

func server() string { return os.Getenv(serverVariable) }

// OnPostgreSQL runs all tests of the calling package once more, in a process of its own, with the databases that Open,
// OpenFile and Place give lying on the server that start starts. args are flags for that process:
//
//	func TestPostgreSQL(t *testing.T) { dbtest.OnPostgreSQL(t, needs.PostgreSQL) }
func OnPostgreSQL(t *testing.T, start func(testing.TB) string, args ...string) {
	t.Helper()
	if server() != "" {
		return // this is that process
	}
	program, err := os.Executable()
	must(t, "this program", err)
	args = append(args, "-test.count=1", "-test.timeout=5m")
	if testing.Short() {
		args = append(args, "-test.short")
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), serverVariable+"="+start(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("with PostgreSQL: %v\n%s", err, out)
	}
}

// NewSchema makes an empty schema in the database at url and returns the URL of it.
func NewSchema(t testing.TB, url string) string {
	t.Helper()
	id, err := uuid.NewRandom()
	must(t, "name of a schema", err)
	name := "test_" + strings.ReplaceAll(id.String(), "-", "")
	Command(t, url, "CREATE SCHEMA "+name)
	return url + "&search_path=" + name
}

// Settings are what a configuration needs, if anything, so that the state of a server in dir lies below OnPostgreSQL on
// PostgreSQL: each folder has a schema of its own there.
func Settings(t testing.TB, dir string) []string {
	t.Helper()
	base := server()
	if base == "" {
		return nil
	}
	name := "test_" + strings.ReplaceAll(uuid.NewSHA1(uuid.NameSpaceURL, []byte(dir)).String(), "-", "")
	Command(t, base, "CREATE SCHEMA IF NOT EXISTS "+name)
	return []string{`database.engine = "postgres"`, fmt.Sprintf("database.url = %q", base+"&search_path="+name)}
}

// Command runs a command in a session of its own and returns the first column of its rows.
func Command(t testing.TB, url, sql string) (list []string) {
	t.Helper()
	conn, err := pgconn.Connect(t.Context(), url)
	must(t, "connect", err)
	results, err := conn.Exec(t.Context(), sql).ReadAll()
	must(t, sql, err)
	for _, row := range results[len(results)-1].Rows {
		list = append(list, string(row[0]))
	}
	must(t, "close", conn.Close(t.Context()))
	return list
}
