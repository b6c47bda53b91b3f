package db_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail/status"
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
		{"ErrorCodes", testErrorCodes},
		{"UnsuitableLater", testUnsuitableLater},
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

// What the server says of a statement decides what the peer hears; what passes leaves the database usable.
func testErrorCodes(t *testing.T, server string) {
	raise := func(code string) func(*db.Tx) error {
		return func(tx *db.Tx) error {
			if err := put(9, 1)(tx); err != nil {
				return err
			}
			_, err := tx.Exec("DO $$ BEGIN RAISE EXCEPTION 'as a test' USING ERRCODE = '" + code + "'; END $$")
			return err
		}
	}
	d := closed(t)(db.OpenPostgres(t.Context(), dbtest.NewSchema(t, server), db.Options{Schema: dbtest.Schema}))
	for i, c := range []struct {
		name, code string
		want       error
	}{
		{"disk full", "53100", status.ErrNoSpace},
		{"too many connections", "53300", db.ErrUnavailable},
		{"serialization", "40001", db.ErrUnavailable},
		{"deadlock", "40P01", db.ErrUnavailable},
		{"lock timeout", "55P03", db.ErrUnavailable},
		{"statement timeout", "57014", db.ErrUnavailable},
		{"shutdown", "57P01", db.ErrUnavailable},
		{"read only", "25006", db.ErrUnavailable},
		{"unique", "23505", db.ErrUnique},
		{"not null", "23502", db.ErrConstraint},
	} {
		if err := d.Write(t.Context(), raise(c.code)); !errors.Is(err, c.want) {
			var e *status.Error
			if w, ok := c.want.(*status.Error); !ok || !errors.As(err, &e) || e.Code != w.Code {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if err := d.Write(t.Context(), put(int64(100+i), 1)); err != nil {
			t.Errorf("after %s: %v", c.name, err)
		}
	}
	for _, code := range []string{"58030", "XX001", "XX002"} {
		told := make(chan error, 1)
		d, err := db.OpenPostgres(t.Context(), dbtest.NewSchema(t, server), db.Options{Schema: dbtest.Schema, Fatal: func(err error) { told <- err }})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Write(t.Context(), raise(code)); !errors.Is(err, status.ErrFatal) || len(told) != 1 {
			t.Errorf("%s: %v", code, err)
		}
		if err := d.Write(t.Context(), put(1, 1)); !errors.Is(err, status.ErrFatal) {
			t.Errorf("after %s: %v", code, err)
		}
		if err := d.Close(); !errors.Is(err, status.ErrFatal) {
			t.Errorf("close after %s: %v", code, err)
		}
	}
}

// A server that is another one when the connection comes back, or was set up otherwise, gets no writes that could be lost.
func testUnsuitableLater(t *testing.T, server string) {
	clock := time.Unix(1_700_000_000, 0)
	now := func() time.Time { clock = clock.Add(time.Second); return clock } // asked by the writer alone
	d := closed(t)(db.OpenPostgres(t.Context(), dbtest.NewSchema(t, server), db.Options{Schema: dbtest.Schema, Now: now,
		Fatal: func(err error) { t.Errorf("fatal: %v", err) }}))
	if err := d.Write(t.Context(), put(1, 1)); err != nil {
		t.Fatal(err)
	}
	set := func(value string) {
		dbtest.Command(t, server, "ALTER SYSTEM SET full_page_writes = "+value)
		dbtest.Command(t, server, "SELECT pg_reload_conf()")
		for range 1000 { // a session reads it when it comes to it
			if got := dbtest.Command(t, server, "SHOW full_page_writes"); got[0] == value {
				return
			}
		}
		t.Fatal("the server does not take the setting")
	}
	set("off")
	defer set("on")
	dbtest.Command(t, server, endSessions)
	for range 2 { // the first may still meet the old session
		if err := d.Write(t.Context(), put(2, 1)); code(err) != unavailable {
			t.Errorf("written where a power cut could damage it: %v", err)
		}
	}
	set("on")
	if err := d.Write(t.Context(), put(3, 1)); err != nil {
		t.Errorf("the server is as it was: %v", err)
	}
}
