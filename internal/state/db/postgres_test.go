package db_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/internal/state/schema"
	"github.com/postrider/postrider/test/needs"
)

func TestPostgreSQL(t *testing.T) {
	server := needs.PostgreSQL(t)
	t.Run("Contract", func(t *testing.T) {
		dbtest.Run(t, func(t *testing.T, opt db.Options) *db.DB {
			return closed(t)(db.OpenPostgres(t.Context(), dbtest.NewSchema(t, server), opt))
		})
	})
	for _, c := range []struct {
		name string
		fn   func(*testing.T, opener)
	}{{"SchemaRefusals", testSchemaRefusals}, {"StoreSchemaAndBoot", testStoreSchemaAndBoot}} {
		t.Run(c.name, func(t *testing.T) {
			url := dbtest.NewSchema(t, server)
			c.fn(t, func(ctx context.Context, opt db.Options) (*db.DB, error) { return db.OpenPostgres(ctx, url, opt) })
		})
	}
	for _, c := range []struct {
		name string
		fn   func(*testing.T, string)
	}{
		{"Refused", testRefused},
		{"Order", testOrder},
		{"SessionLost", testSessionLost},
		{"SessionsEnd", testSessionsEnd},
		{"OneServer", testOneServer},
		{"CommitAnswerLost", testCommitAnswerLost},
		{"CommitUnknown", testCommitUnknown},
	} {
		t.Run(c.name, func(t *testing.T) { c.fn(t, server) })
	}
}

// What a positive answer could not rest on is refused with the reason.
func testRefused(t *testing.T, server string) {
	dbtest.Command(t, server, "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
	foreign := dbtest.NewSchema(t, server)
	dbtest.Command(t, foreign, "CREATE TABLE theirs (a BIGINT)")
	for _, c := range []struct {
		name, url string
		want      error
		text      string
	}{
		{"encoding", strings.Replace(server, "/postgres?", "/ascii?", 1), db.ErrUnsuitable, "ENCODING 'UTF8'"},
		{"no schema", server + "&search_path=nowhere", db.ErrUnsuitable, "no schema of search_path"},
		{"somebody's tables", foreign, db.ErrForeign, "a database of its own"},
		{"no database", strings.Replace(server, "/postgres?", "/nothing?", 1), nil, "does not exist"},
		{"no server", "postgres://postrider@127.0.0.1:1/mail?sslmode=disable", db.ErrUnavailable, "refused"},
		{"no url", "postgres://%zz", nil, "database url"},
	} {
		_, err := db.OpenPostgres(t.Context(), c.url, db.Options{Schema: schema.Store})
		if err == nil || c.want != nil && !errors.Is(err, c.want) && code(err) != unavailable || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Texts sort byte by byte, as in SQLite, and come back as they were, whatever they are.
func testOrder(t *testing.T, server string) {
	texts := []string{"", "A", "B", "a", "b", "z", "\u00e4", "\u00fc", "\uffff", "\U0001F600", "\x00", "x\xff", "x\xc3", "\U0010FF41", "\U0010FFFF\x80"}
	inOrder := []string{"", "A", "B", "a", "b", "z", "\u00e4", "\u00fc", "\uffff", "\U0001F600"}
	d := closed(t)(db.OpenPostgres(t.Context(), dbtest.NewSchema(t, server), db.Options{Schema: dbtest.Schema}))
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		for i, s := range texts {
			if _, err := tx.Exec("INSERT INTO thing (id, name) VALUES (?, ?)", len(texts)-i, s); err != nil {
				return err
			}
			var back string
			if found, err := tx.QueryRow("SELECT name FROM thing WHERE name = ?", s).Scan(&back); !found || back != s {
				return fmt.Errorf("%q came back as %q: %w", s, back, err)
			}
		}
		var got []string
		rows := tx.Query("SELECT name FROM thing WHERE id > ? ORDER BY name", len(texts)-len(inOrder))
		for rows.Next() {
			got = append(got, rows.Text(0))
		}
		if strings.Join(got, "|") != strings.Join(inOrder, "|") {
			t.Errorf("order is %q", got)
		}
		return rows.Err()
	})
	if err != nil {
		t.Error(err)
	}
}
