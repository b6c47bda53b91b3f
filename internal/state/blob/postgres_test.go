package blob_test

import (
	"testing"

	"github.com/postrider/postrider/internal/state/db/dbtest"
	"github.com/postrider/postrider/test/needs"
)

// What stands on a database, on the other engine.
func TestPostgreSQL(t *testing.T) {
	dbtest.OnPostgreSQL(t, needs.PostgreSQL, "-test.run=^(TestContractDB|TestCatalog|TestCheckReferable)$")
}
