package queue

import (
	"testing"

	"github.com/postrider/postrider/internal/state/db/dbtest"
)

func TestNoStatementReadsAWholeTable(t *testing.T) {
	dbtest.CheckPlans(t, dbtest.Open(t), map[string]string{
		"UPDATE job SET state = ? WHERE state": "holds the whole queue, in a repair",
	})
}
