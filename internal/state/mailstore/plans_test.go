package mailstore_test

import (
	"testing"

	"github.com/postrider/postrider/internal/state/db/dbtest"
)

func TestNoStatementReadsAWholeTable(t *testing.T) {
	dbtest.CheckPlans(t, dbtest.Open(t), map[string]string{
		"SELECT account_id FROM account_state ORDER": "lists the accounts",
		"SELECT queue_id FROM delivered ORDER BY":    "one row, from the end",
		"SELECT account_id FROM account_removed":     "lists the removed accounts",
		"SELECT COUNT(*) FROM expunged":              "`postrider store stats`",
		"SELECT COUNT(*) FROM account_removed":       "`postrider store stats`",
		"SELECT COUNT(*), CAST":                      "the records of one pack, from an index alone",
		"SELECT m.account_id":                        "Verify", "SELECT a.account_id": "Verify", "SELECT e.account_id": "Verify",
	})
}
