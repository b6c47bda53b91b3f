package system

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/test/crash"
	"github.com/postrider/postrider/test/crash/disk"
	"github.com/postrider/postrider/test/crash/order"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// storage judges what acknowledgements do not show: SQLite's own order at checkpoints (order.Database), that no commit ever
// held a reference to bytes which were not on the disk with their name, or mailboxes without what was acknowledged before (mailboxes), and that no pack lost its name before it was
// durable that it may.
type storage struct {
	run     *crash.Run
	data    map[string][]*disk.Op // writes to packs, by path
	unlinks []*disk.Op            // of packs, in order
	judged  map[record]bool
	initial map[string]bool // packs that were there
	faults  []string
}

type record struct{ pack, place, length int64 }

// storageReport is what was judged.
type storageReport struct {
	Database *order.DatabaseReport
	Records  int // that some commit referred to
	Unlinked int // packs
	Facts    int // acknowledgements looked for, over all commits
	Faults   []string
}

func (r *storageReport) String() string {
	s := fmt.Sprintf("%s; %d records referred to, %d packs unlinked; %d facts looked for; %d faults", r.Database, r.Records, r.Unlinked, r.Facts, len(r.Faults))
	for i, f := range r.Faults {
		if i == 5 {
			return s + "\n  …"
		}
		s += "\n  " + f
	}
	return s
}

func judgeStorage(t *testing.T, run *crash.Run) *storageReport {
	t.Helper()
	s := &storage{run: run, data: map[string][]*disk.Op{}, judged: map[record]bool{}, initial: map[string]bool{}}
	for _, e := range run.History.Start {
		s.initial[e.Path] = true
	}
	for i := range run.History.Ops {
		op := &run.History.Ops[i]
		switch {
		case !strings.HasSuffix(op.Path, ".pack"):
		case op.Kind == disk.Data:
			s.data[op.Path] = append(s.data[op.Path], op)
		case op.Kind == disk.Unlink:
			s.unlinks = append(s.unlinks, op)
		}
	}
	report := &storageReport{Unlinked: len(s.unlinks)}
	next := 0 // of unlinks
	previous := map[string]bool{}
	var initial []byte
	if run.System.Initial != "" {
		var err error
		if initial, err = os.ReadFile(filepath.Join(run.System.Initial, "store.db")); err != nil {
			t.Fatal(err)
		}
	}
	boxes, err := newMailboxes(run)
	if err != nil {
		t.Fatal(err)
	}
	db, err := order.Database(run.History, "store.db", initial, func(c order.Commit) error {
		// What the commit before this one left was durable when this one began: a log has one writer, and each of its
		// commits is synced before the next.
		for ; next < len(s.unlinks) && s.unlinks[next].Begin < c.Begin; next++ {
			s.unlinked(s.unlinks[next], previous)
		}
		conn, err := openImage(c.Image())
		if err != nil {
			return fmt.Errorf("database as of line %d: %w", c.End, err)
		}
		defer conn.Close()
		if err := errors.Join(s.references(conn, c), boxes.commit(conn, c.Begin)); err != nil {
			return err
		}
		// It counts for an unlink only once its sync has returned.
		sync, ok := run.History.Covered(c.Log, c.End, 1<<62)
		for next < len(s.unlinks) && ok && s.unlinks[next].Begin < sync && s.unlinks[next].Begin > c.Begin {
			s.unlinked(s.unlinks[next], previous)
			next++
		}
		previous, err = deletable(conn)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for ; next < len(s.unlinks); next++ {
		s.unlinked(s.unlinks[next], previous)
	}
	if boxes.last != nil {
		boxes.judge(1 << 62)
	}
	for id := range boxes.journal {
		s.faults = append(s.faults, id+" was acknowledged, and no commit has it in its mailbox")
	}
	s.faults = append(s.faults, boxes.faults...)
	for _, v := range db.Violations {
		s.faults = append(s.faults, v.String())
	}
	report.Database, report.Records, report.Facts, report.Faults = db, len(s.judged), boxes.judged, s.faults
	return report
}

func (s *storage) unlinked(op *disk.Op, may map[string]bool) {
	if !may[op.Path] {
		s.faults = append(s.faults, fmt.Sprintf("%s is unlinked (line %d) though the durable database does not have it as deleted and unreferred", op.Path, op.Begin))
	}
}

// references judges the records that a commit refers to and none before it did.
func (s *storage) references(conn *sqlite.Conn, c order.Commit) error {
	return rows(conn, "SELECT pack, place, length FROM email", func(stmt *sqlite.Stmt) {
		r := record{stmt.ColumnInt64(0), stmt.ColumnInt64(1), stmt.ColumnInt64(2)}
		if s.judged[r] {
			return
		}
		s.judged[r] = true
		path := fmt.Sprintf("packs/%010d.pack", r.pack)
		at := fmt.Sprintf("a commit (line %d) refers to %s at %d", c.Begin, path, r.place)
		found := false
		for _, op := range s.data[path] {
			if op.Begin >= c.Begin || op.Offset >= r.place+64+r.length {
				continue
			}
			found = found || op.Offset+int64(len(op.Data)) > r.place
			if _, ok := s.run.History.Covered(op.Node, op.End, c.Begin); op.End >= c.Begin || !ok {
				s.faults = append(s.faults, fmt.Sprintf("%s, whose bytes at %d (line %d) are not synced", at, op.Offset, op.Begin))
				return
			}
			if name, made := s.run.History.Name(op.Node, c.Begin); made {
				if _, ok := s.run.History.Covered(name.Dir, name.End, c.Begin); !ok {
					s.faults = append(s.faults, fmt.Sprintf("%s, whose name (line %d) is not synced", at, name.Begin))
					return
				}
			}
		}
		if !found && !s.initial[path] {
			s.faults = append(s.faults, at+", where nothing was written")
		}
	})
}

// deletable lists the packs that are deleted and that nothing refers to.
func deletable(conn *sqlite.Conn) (map[string]bool, error) {
	out := map[string]bool{}
	// 4: blob.PackDeleted
	err := rows(conn, `SELECT pack FROM pack WHERE state = 4 AND pack NOT IN (SELECT pack FROM email) AND pack NOT IN (SELECT pack FROM job)`,
		func(stmt *sqlite.Stmt) { out[fmt.Sprintf("packs/%010d.pack", stmt.ColumnInt64(0))] = true })
	return out, err
}

func openImage(b []byte) (*sqlite.Conn, error) {
	conn, err := sqlite.OpenConn(":memory:", sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	return conn, conn.Deserialize("main", b)
}

// rows does nothing where a table is not there yet.
func rows(conn *sqlite.Conn, query string, each func(*sqlite.Stmt)) error {
	ready := false
	err := sqlitex.ExecuteTransient(conn, "SELECT 1 FROM sqlite_schema WHERE name IN ('account','email','entry','job','mailbox','pack') GROUP BY 1 HAVING COUNT(*) = 6",
		&sqlitex.ExecOptions{ResultFunc: func(*sqlite.Stmt) error { ready = true; return nil }})
	if err != nil || !ready {
		return err
	}
	return sqlitex.ExecuteTransient(conn, query, &sqlitex.ExecOptions{ResultFunc: func(stmt *sqlite.Stmt) error {
		each(stmt)
		return nil
	}})
}
