package suppress_test

import (
	"testing"

	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/test/needs"
)

// All of this package's tests again, on the other engine.
func TestPostgreSQL(t *testing.T) { dbtest.OnPostgreSQL(t, needs.PostgreSQL) }
