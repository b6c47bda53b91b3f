package system

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/mail/recipe"
	"github.com/postrider/postrider/test/crash"
	"github.com/postrider/postrider/test/crash/disk"
	"zombiezen.com/go/sqlite"
)

// mailboxes judges what each commit has in the mailboxes against what was acknowledged by then: a power cut at every commit,
// without a start. It looks at mailboxes, places and keywords, at messages whose place was acknowledged, and at deliveries: no
// commit says that their record is settled before one has them in their mailbox.
type mailboxes struct {
	facts   *crash.Facts
	emails  map[string]email          // by account/token
	journal map[string]recipe.BlobRef // deliveries that no commit has had yet, by account/token: where in a pack the token is
	last    *held
	judged  int
	faults  []string
}

type email struct{ account, id int64 }

// held is what a commit has.
type held struct {
	ids    map[string]email // mailboxes, places without their tokens, keywords
	emails map[email]bool   // that are in a mailbox
}

func newMailboxes(run *crash.Run) (*mailboxes, error) {
	facts, err := run.Facts()
	m := &mailboxes{facts: facts, emails: map[string]email{}, journal: map[string]recipe.BlobRef{}}
	written := map[string]recipe.BlobRef{}
	for i := range run.History.Ops {
		op := &run.History.Ops[i]
		if op.Kind != disk.Data || !strings.HasSuffix(op.Path, ".pack") {
			continue
		}
		for _, at := range anyToken.FindAllSubmatchIndex(op.Data, -1) {
			token := string(op.Data[at[2]:at[3]])
			if _, copied := written[token]; !copied {
				number, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(op.Path), ".pack"), 10, 64)
				if err != nil {
					return nil, err
				}
				written[token] = recipe.BlobRef{Pack: number, Offset: op.Offset + int64(at[0])}
			}
		}
	}
	for _, a := range run.Acks {
		if _, token, _ := strings.Cut(a.ID, "/"); a.Kind == "250" {
			m.journal[a.ID] = written[token]
		}
	}
	return m, err
}

var anyToken = regexp.MustCompile(tokenField + `(\S+)\r\n`)

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
	return m.settled(conn, begin)
}

// settled judges the deliveries that no commit before this one had.
func (m *mailboxes) settled(conn *sqlite.Conn, begin int64) error {
	to := map[int64]int64{}
	// Where jobs have rows, these have the message; no job of these clients comes to that unless it takes a minute.
	err := rows(conn, "SELECT pack, settled FROM pack WHERE pack NOT IN (SELECT pack FROM job)", func(stmt *sqlite.Stmt) {
		to[stmt.ColumnInt64(0)] = stmt.ColumnInt64(1)
	})
	if err != nil {
		return err
	}
	there := map[string][]recipe.BlobRef{}
	err = rows(conn, "SELECT account_key, pack, place, length FROM email JOIN account USING (account_id)", func(stmt *sqlite.Stmt) {
		there[local(stmt)] = append(there[local(stmt)], recipe.BlobRef{Pack: stmt.ColumnInt64(1), Offset: stmt.ColumnInt64(2), Length: stmt.ColumnInt64(3)})
	})
	if err != nil {
		return err
	}
	for id, at := range m.journal {
		account, _, _ := strings.Cut(id, "/")
		if slices.ContainsFunc(there[account], func(e recipe.BlobRef) bool {
			return e.Pack == at.Pack && e.Offset <= at.Offset && at.Offset < e.Offset+64+e.Length
		}) {
			delete(m.journal, id)
			m.judged++
		} else if to[at.Pack] > at.Offset {
			m.faults = append(m.faults, fmt.Sprintf("%s is settled in a commit (line %d) and in no mailbox", id, begin))
		}
	}
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
