package db

import "strings"

// withoutSmallIntegers writes a statement so that SQLite does not prepare it anew for its arguments.
//
// The planner guesses that a column that equals -1, 0 or 1 says little, for it is a flag then (whereLoopOutputAdjust), and
// asks the arguments too: a statement with "= ?" in its WHERE is compiled again each time such a number is bound. Our
// numbers are ids, the first account's and every INBOX's among them, and that compilation was a tenth of what IMAP cost. The
// number of rows behind LIMIT it looks at too (computeLimitRegisters), whatever it is: each such statement was compiled again
// at every use, which was a tenth of a STORE.
// A unary plus changes nothing of any value, and hides the argument from the guess.
func withoutSmallIntegers(sql string) string {
	return strings.ReplaceAll(strings.ReplaceAll(sql, "= ?", "= +?"), "LIMIT ?", "LIMIT +?")
}

// sqlite returns the form in which a statement is prepared for SQLite.
func (tx *Tx) sqlite(sql string) string {
	if own, ok := tx.rewritten[sql]; ok {
		return own
	}
	if tx.rewritten == nil {
		tx.rewritten = map[string]string{}
	}
	own := withoutSmallIntegers(sql)
	tx.rewritten[strings.Clone(sql)] = own
	return own
}
