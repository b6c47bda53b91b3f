package order

import (
	"encoding/binary"

	"github.com/postrider/postrider/test/crash/disk"
)

// The file format is SQLite's "Database File Format" §4.1: a header of 32 bytes
// with the page size at 8, then frames of a 24-byte header and a page. A frame
// that ends a transaction has the database's size in pages at 4, others 0.
const (
	walHeader   = 32
	frameHeader = 24
	defaultPage = 4096
)

// log is the transactions of one write-ahead log in order of writing. SQLite
// has one writer at a time, so order of return is order of writing.
type log struct {
	of  map[int]int // data operation → transaction
	txs []transaction
}

type transaction struct {
	ops       []int
	committed bool
}

func (c *checker) log(n disk.Node) *log {
	if l := c.logs[n]; l != nil {
		return l
	}
	l := &log{of: map[int]int{}, txs: []transaction{{}}}
	c.logs[n] = l
	page := int64(defaultPage)
	var commitEnd int64 // where the commit frame being written ends
	for i, op := range c.in.History.Ops {
		if op.Kind != disk.Data || op.Node != n {
			continue
		}
		if op.Offset == 0 && len(op.Data) >= walHeader {
			page = int64(binary.BigEndian.Uint32(op.Data[8:]))
			if page == 1 {
				page = 1 << 16
			}
			page = max(page, 512)
		}
		tx := &l.txs[len(l.txs)-1]
		tx.ops = append(tx.ops, i)
		l.of[i] = len(l.txs) - 1
		if e := lastCommit(op, page); e > 0 {
			commitEnd = e
		}
		if commitEnd > 0 && op.Offset+int64(len(op.Data)) >= commitEnd {
			tx.committed, commitEnd = true, 0
			l.txs = append(l.txs, transaction{})
		}
	}
	return l
}

// lastCommit returns the end of the last commit frame whose header is in op.
func lastCommit(op disk.Op, page int64) (end int64) {
	step := frameHeader + page
	k := max(0, (op.Offset-walHeader+step-1)/step)
	for at := walHeader + k*step; ; at += step {
		i := at - op.Offset
		if i+8 > int64(len(op.Data)) {
			return end
		}
		if i >= 0 && binary.BigEndian.Uint32(op.Data[i+4:]) != 0 {
			end = at + step
		}
	}
}

// transaction judges all writes of the transaction that data operation i is
// part of, its commit frame included.
func (c *checker) transaction(id string, p Promise, i int, at int64) {
	op := c.in.History.Ops[i]
	l := c.log(op.Node)
	tx := l.txs[l.of[i]]
	if !tx.committed {
		c.violate(id, p.Name, "the transaction of its row in %s (line %d) has no commit frame in the trace", op.Path, op.Begin)
		return
	}
	before := len(c.report.Violations)
	for _, j := range tx.ops {
		c.write(id, p, j, at)
		if len(c.report.Violations) > before {
			return // one missing sync, not one line for each page
		}
	}
}

// since looks for a transaction that began between the reply before the command and its acknowledgement, and judges it.
// Where several did, the first of them that is durable will do.
func (c *checker) since(id string, p Promise, before, at int64) {
	if before < 0 {
		c.violate(id, p.Name, "the trace has no reply before its command")
		return
	}
	var first []Violation
	for _, n := range c.nodes(p) {
		for _, tx := range c.log(n).txs {
			if len(tx.ops) == 0 || !tx.committed {
				continue
			}
			if begin := c.in.History.Ops[tx.ops[0]].Begin; begin <= before || begin >= at {
				continue
			}
			was := len(c.report.Violations)
			for _, j := range tx.ops {
				if c.write(id, p, j, at); len(c.report.Violations) > was {
					break
				}
			}
			found := c.report.Violations[was:]
			if len(found) == 0 {
				return
			}
			if first == nil {
				first = append(first, found...)
			}
			c.report.Violations = c.report.Violations[:was]
		}
	}
	if first == nil {
		c.violate(id, p.Name, "no transaction between its command (line %d) and its acknowledgement (line %d)", before, at)
	}
	c.report.Violations = append(c.report.Violations, first...)
}

// nodes lists the files of a promise.
func (c *checker) nodes(p Promise) (list []disk.Node) {
	seen := map[disk.Node]bool{}
	for _, op := range c.in.History.Ops {
		if op.Kind == disk.Data && !seen[op.Node] && p.Files(op.Path) {
			seen[op.Node] = true
			list = append(list, op.Node)
		}
	}
	return list
}
