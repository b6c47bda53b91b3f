package node

import (
	"testing"

	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/test/needs"
)

// Whole nodes again with their state on PostgreSQL: all of this package's tests.
func TestPostgreSQL(t *testing.T) { dbtest.OnPostgreSQL(t, needs.PostgreSQL) }
