package db_test

import (
	"testing"

	"github.com/postrider/postrider/internal/state/db"
	"github.com/postrider/postrider/internal/state/db/dbtest"
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
		fn   func(*testing.T, string)
	}{
		{"SessionLost", testSessionLost},
		{"OneServer", testOneServer},
		{"CommitAnswerLost", testCommitAnswerLost},
	} {
		t.Run(c.name, func(t *testing.T) { c.fn(t, server) })
	}
}
