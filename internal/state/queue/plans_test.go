package queue

import (
	"testing"

	"github.com/postrider/postrider/internal/state/db/dbtest"
)

func TestNoStatementReadsAWholeTable(t *testing.T) {
	dbtest.CheckPlans(t, dbtest.Open(t), map[string]string{
		"SELECT state, COUNT(*) FROM job":      "counts the whole queue, once in a start",
		"UPDATE job SET state = ? WHERE state": "holds the whole queue, in a repair",
	})
}
