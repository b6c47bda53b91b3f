package system

import (
	"fmt"
	"strings"

	"github.com/postrider/postrider/test/crash"
	"zombiezen.com/go/sqlite"
)

// mailboxes judges what each commit has in the mailboxes against what was acknowledged by then: a power cut at every commit,
// without a start. It looks at mailboxes, places and keywords, and at messages whose place was acknowledged; deliveries are in
// the journal too.
type mailboxes struct {
	facts  *crash.Facts
	emails map[string]email // by account/token
	last   *held
	judged int
	faults []string
}

type email struct{ account, id int64 }

// held is what a commit has.
type held struct {
	ids    map[string]email // mailboxes, places without their tokens, keywords
	emails map[email]bool   // that are in a mailbox
}

func newMailboxes(run *crash.Run) (*mailboxes, error) {
	facts, err := run.Facts()
	return &mailboxes{facts: facts, emails: map[string]email{}}, err
}

// commit judges one; the writes that complete it began on line begin.
func (m *mailboxes) commit(conn *sqlite.Conn, begin int64) error {
	h := &held{ids: map[string]email{}, emails: map[email]bool{}}
	err := rows(conn, "SELECT account_key, name FROM mailbox JOIN account USING (account_id)", func(stmt *sqlite.Stmt) {
		h.ids["mailbox "+local(stmt)+"/"+stmt.ColumnText(1)] = email{}
	})
	if err != nil {
		return err
	}
	err = rows(conn, `SELECT account_key, name, uid, account_id, email_id, keywords FROM entry JOIN mailbox USING (account_id, mailbox_id)
		JOIN account USING (account_id)`, func(stmt *sqlite.Stmt) {
		e := email{stmt.ColumnInt64(3), stmt.ColumnInt64(4)}
		h.ids[fmt.Sprintf("%s/%s/%d", local(stmt), stmt.ColumnText(1), stmt.ColumnInt64(2))] = e
		h.emails[e] = true
		for _, k := range strings.Fields(stmt.ColumnText(5)) {
			h.ids[local(stmt)+"/"+k] = e
		}
	})
	if err != nil {
		return err
	}
	m.last = h
	m.judge(begin)
	return nil
}

func local(stmt *sqlite.Stmt) string {
	name, _, _ := strings.Cut(stmt.ColumnText(0), "@")
	return name
}

// judge compares the last commit with what was acknowledged before a line.
func (m *mailboxes) judge(line int64) {
	owed, gone := m.facts.At(line)
	for _, id := range owed {
		if there, known := m.there(id); known && !there {
			m.faults = append(m.faults, fmt.Sprintf("%s was acknowledged, and the commit before line %d has it not", id, line))
		}
	}
	for _, id := range gone {
		if there, known := m.there(id); known && there {
			m.faults = append(m.faults, fmt.Sprintf("%s was acknowledged as gone, and the commit before line %d has it", id, line))
		}
	}
}

// there tells whether the last commit has what an ID of the ledger names; known is false for what only a listing can tell.
func (m *mailboxes) there(id string) (there, known bool) {
	m.judged++
	place, token := id, ""
	if strings.Count(id, "/") == 3 {
		at := strings.LastIndexByte(id, '/')
		place, token = id[:at], id[at+1:]
	}
	e, there := m.last.ids[place]
	account, rest, _ := strings.Cut(id, "/")
	switch {
	case token != "" && there:
		m.emails[account+"/"+token] = e
		return true, true
	case token != "" || strings.HasPrefix(id, "mailbox ") || strings.HasPrefix(rest, "kw-"):
		return there, true
	}
	e, known = m.emails[id]
	if !known {
		m.judged--
	}
	return known && m.last.emails[e], known
}
