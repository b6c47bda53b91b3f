package order

import (
	"fmt"

	"github.com/postrider/postrider/test/crash/disk"
	"github.com/postrider/postrider/test/crash/ledger"
)

type checker struct {
	in      Input
	at      []int64            // per ack: the line on which it began to leave
	before  []int64            // per ack: that of the reply before its command
	carried map[string][]int   // mark → indexes of the data operations that carry it
	logs    map[disk.Node]*log // write-ahead logs, read when first asked for
	writes  map[int]bool       // data operations judged
	entries map[int64]bool     // lines of the directory entries judged
	syncs   map[int64]bool     // lines on which a sync relied on returned
	report  Report
}

// Check judges. An error means that it could not; broken promises are in the
// Report.
func Check(in Input) (*Report, error) {
	c := &checker{in: in, carried: map[string][]int{}, logs: map[disk.Node]*log{},
		writes: map[int]bool{}, entries: map[int64]bool{}, syncs: map[int64]bool{}}
	var err error
	if c.at, err = ledger.Locate(in.Events, in.Acks); err != nil {
		return nil, fmt.Errorf("replies: %w", err)
	}
	if c.before, err = ledger.LocateBefore(in.Events, in.Acks); err != nil {
		return nil, fmt.Errorf("replies before: %w", err)
	}
	if err := c.index(); err != nil {
		return nil, fmt.Errorf("marks: %w", err)
	}
	for i := range in.Acks {
		c.ack(i)
	}
	if len(in.Acks) == 0 {
		c.violate("-", "-", "the ledger is empty")
	}
	c.report.Writes, c.report.Entries, c.report.Syncs = len(c.writes), len(c.entries), len(c.syncs)
	return &c.report, nil
}

func (c *checker) violate(ack, promise, format string, args ...any) {
	c.report.Violations = append(c.report.Violations, Violation{ack, promise, fmt.Sprintf(format, args...)})
}

func marks(a ledger.Ack, p Promise) []string {
	if p.Mark != nil {
		return p.Mark(a)
	}
	return a.Marks
}

// index finds all marks in all writes, in one pass. A mark that several writes
// to adjoining places make up together is carried by each of them.
func (c *checker) index() error {
	var patterns [][]byte
	for _, a := range c.in.Acks {
		for _, p := range c.in.Rules[a.Kind] {
			if p.Since {
				continue
			}
			for _, m := range marks(a, p) {
				if _, ok := c.carried[m]; !ok {
					c.carried[m] = nil
					patterns = append(patterns, []byte(m))
				}
			}
		}
	}
	f, err := ledger.NewFinder(patterns)
	if err != nil {
		return err
	}
	type file struct {
		ledger.Stream
		end int64
		ops []int // those that make up the present run
	}
	files := map[disk.Node]*file{}
	for i, op := range c.in.History.Ops {
		if op.Kind != disk.Data {
			continue
		}
		s := files[op.Node]
		if s == nil {
			s = &file{}
			files[op.Node] = s
		}
		if op.Offset != s.end {
			s.Reset()
			s.ops = nil
		}
		s.end = op.Offset + int64(len(op.Data))
		s.ops = append(s.ops, i)
		s.Find(f, op.Data, func(p, earlier int) {
			m := string(patterns[p])
			for k := len(s.ops) - 1; ; k-- {
				if was := c.carried[m]; len(was) == 0 || was[len(was)-1] != s.ops[k] {
					c.carried[m] = append(was, s.ops[k])
				}
				if earlier <= 0 || k == 0 {
					return
				}
				earlier -= len(c.in.History.Ops[s.ops[k-1]].Data)
			}
		})
	}
	return nil
}

func (c *checker) ack(i int) {
	a, at := c.in.Acks[i], c.at[i]
	if at < 0 {
		c.violate(a.ID, "-", "the trace has no socket write with its reply %q", a.Reply)
		return
	}
	c.report.Acks++
	rules := c.in.Rules[a.Kind]
	if len(rules) == 0 {
		c.violate(a.ID, "-", "no rule says what %q promises", a.Kind)
	}
	for _, p := range rules {
		if p.Since {
			c.since(a.ID, p, c.before[i], at)
			continue
		}
		ms := marks(a, p)
		if len(ms) == 0 {
			c.violate(a.ID, p.Name, "no mark to know its writes by")
		}
		for _, m := range ms {
			c.mark(a.ID, p, m, at)
		}
	}
}

// mark judges the writes of one mark for one promise.
func (c *checker) mark(id string, p Promise, m string, at int64) {
	found := false
	for _, i := range c.carried[m] {
		op := c.in.History.Ops[i]
		if op.Begin >= at || !p.Files(op.Path) {
			continue
		}
		found = true
		if p.WAL {
			// Later transactions write the row's page again: theirs to promise.
			c.transaction(id, p, i, at)
			break
		}
		c.write(id, p, i, at)
	}
	if !found {
		c.violate(id, p.Name, "no write with %q to its files before the acknowledgement (line %d)", m, at)
	}
}

// write judges one data operation and the names on the way to its file.
func (c *checker) write(id string, p Promise, i int, at int64) {
	op := c.in.History.Ops[i]
	c.writes[i] = true
	what := fmt.Sprintf("write of %d bytes at %d to %s (lines %d–%s)", len(op.Data), op.Offset, op.Path, op.Begin, line(op.End))
	if op.End >= at {
		c.violate(id, p.Name, "%s had not returned when the acknowledgement began (line %d)", what, at)
		return
	}
	sync, ok := c.in.History.Covered(op.Node, op.End, at)
	if !ok {
		c.violate(id, p.Name, "%s: no sync of the file that began after it and returned before the acknowledgement (line %d)", what, at)
		return
	}
	c.syncs[sync] = true
	c.entry(id, p, op.Node, at)
}

func (c *checker) entry(id string, p Promise, n disk.Node, at int64) {
	for n != 0 {
		op, made := c.in.History.Name(n, at)
		if !made {
			return // there from the start, and so its directories
		}
		c.entries[op.Begin] = true
		sync, ok := c.in.History.Covered(op.Dir, op.End, at)
		if !ok {
			c.violate(id, p.Name, "entry %s (lines %d–%s): no sync of its directory that began after it and returned before the acknowledgement (line %d)",
				op.Path, op.Begin, line(op.End), at)
			return
		}
		c.syncs[sync] = true
		n = op.Dir
	}
}

func line(n int64) string {
	if n >= 1<<62 {
		return "never"
	}
	return fmt.Sprint(n)
}
