package trace

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/postrider/postrider/internal/mail/queueid"
	"github.com/postrider/postrider/internal/vfs"
)

// Query asks for stories.
type Query struct {
	What         string    // queue id, Message-ID, address, @domain, address of a client, id of a connection; empty: everything
	Since, Until time.Time // something of the story happened then; zero: no bound
	Limit        int       // stories, the latest; 0: DefaultLimit
}

// Story is what became of a message, or of a connection that brought none.
type Story struct {
	ID      string   // of the message; empty: of a connection
	Cause   string   // the message that caused this one
	Records []Record // in the order in which it happened
	More    int      // records left out, because there are too many
}

// Result is what a search found, in the order of the stories' beginnings; mail that a message caused comes behind it.
type Result struct {
	Stories []Story
	More    bool  // there are more stories, of earlier
	Damaged int64 // bytes of the segments searched that cannot be read
}

const (
	// DefaultLimit is how many stories a search returns when nothing is said, MaxLimit how many it can.
	DefaultLimit = 100
	MaxLimit     = 10000

	maxRecords = 2000     // of a story
	maxTotal   = 200_000  // of all
	maxBytes   = 64 << 20 // of their lines
	rounds     = 8        // of mail that causes mail
)

// errEnough ends a walk early.
var errEnough = errors.New("enough")

// searching is a search under way.
type searching struct {
	fs       vfs.FS
	dir      string
	zstd     *zstd.Decoder
	segments []segment
	damaged  map[string]int64 // by segment
	frame    []byte
	mayHave  func(run uint64, line []byte) bool // tells lines that need not be parsed; nil: all are
}

// Search answers a question from the segments in a folder, whether or not somebody writes there.
func Search(ctx context.Context, fsys vfs.FS, dir string, q Query) (*Result, error) {
	s := &searching{fs: fsys, dir: dir, damaged: map[string]int64{}}
	var err error
	if s.segments, err = segments(fsys, dir); err != nil {
		return nil, err
	}
	if s.zstd, err = newDecoder(); err != nil {
		return nil, err
	}
	defer s.zstd.Close()
	if q.Limit <= 0 {
		q.Limit = DefaultLimit
	}
	q.Limit = min(q.Limit, MaxLimit)
	t := newTelling()
	res := &Result{}
	if res.More, err = s.subjects(ctx, q, t); err != nil {
		return nil, err
	}
	for range rounds {
		if !t.begin() {
			break
		}
		s.mayHave = t.mayHave
		if err := s.forward(ctx, t.mayBe, t.take); err != nil {
			return nil, err
		}
	}
	res.Stories = t.stories()
	for _, n := range s.damaged {
		res.Damaged += n
	}
	return res, nil
}

// subjects finds what the question is about: the latest messages and connections of which a record matches.
func (s *searching) subjects(ctx context.Context, q Query, t *telling) (more bool, err error) {
	m := newMatcher(q.What)
	inTime := func(at time.Time) bool {
		return (q.Since.IsZero() || !at.Before(q.Since)) && (q.Until.IsZero() || !at.After(q.Until))
	}
	err = s.backward(ctx, func(h *head) bool {
		return m.mayBe(h) && (q.Since.IsZero() || !h.last.Before(q.Since.Truncate(time.Microsecond))) && (q.Until.IsZero() || !h.first.After(q.Until))
	}, func(r *Record) error {
		if !inTime(r.Time) || !m.matches(r) {
			return nil
		}
		if !t.want(r, q.Limit) {
			more = true
			return errEnough
		}
		return nil
	})
	return more, err
}

// ref is a block that may have what is looked for.
type ref struct {
	at   int64
	head head
}

// forward calls each for the records of blocks that may have what is looked for, the oldest first.
func (s *searching) forward(ctx context.Context, mayBe func(*head) bool, each func(*Record) error) error {
	return s.walk(ctx, false, mayBe, each)
}

// backward is forward from the latest to the oldest, until each returns errEnough.
func (s *searching) backward(ctx context.Context, mayBe func(*head) bool, each func(*Record) error) error {
	return s.walk(ctx, true, mayBe, each)
}

func (s *searching) walk(ctx context.Context, back bool, mayBe func(*head) bool, each func(*Record) error) error {
	for i := range s.segments {
		if back {
			i = len(s.segments) - 1 - i
		}
		err := s.segment(ctx, s.segments[i], back, mayBe, each)
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // else it was removed meanwhile
			return err
		}
	}
	return nil
}

// segment walks through one segment.
func (s *searching) segment(ctx context.Context, seg segment, back bool, mayBe func(*head) bool, each func(*Record) error) (err error) {
	file, err := s.fs.Open(path.Join(s.dir, seg.name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	sc := &scanner{file: file, size: seg.size}
	var refs []ref
	if _, err := sc.blocks(0, func(at int64, h *head) error {
		if mayBe(h) {
			r := ref{at, *h}
			r.head.filter = nil // it is the scanner's
			refs = append(refs, r)
		}
		return ctx.Err()
	}); err != nil {
		return err
	}
	damaged := sc.damaged
	defer func() { s.damaged[seg.name] = max(s.damaged[seg.name], damaged) }() // not every walk looks into every block
	if back {
		slices.Reverse(refs)
	}
	for i := range refs {
		list, err := s.records(file, seg.name, &refs[i])
		if errors.Is(err, errDamage) {
			damaged += int64(refs[i].head.packed)
			continue
		}
		if err != nil {
			return err
		}
		if back {
			slices.Reverse(list)
		}
		for k := range list {
			if err := each(&list[k]); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// records reads the lines of a block.
func (s *searching) records(file vfs.File, segment string, r *ref) ([]Record, error) {
	s.frame = slices.Grow(s.frame[:0], r.head.packed)[:r.head.packed]
	if _, err := file.ReadAt(s.frame, r.at); err != nil {
		return nil, err
	}
	text, err := r.head.unpack(s.zstd, s.frame)
	if err != nil {
		return nil, err
	}
	return parseLines(text, r.head.run, place{segment, r.at, 0}, s.mayHave), nil
}

// parseLines reads lines; what is none is left out.
func parseLines(text []byte, run uint64, at place, mayHave func(uint64, []byte) bool) []Record {
	var list []Record
	for line := range bytes.Lines(text) {
		at.line++
		if mayHave != nil && !mayHave(run, line) {
			continue
		}
		if rec, ok := parse(bytes.TrimSuffix(line, []byte("\n"))); ok {
			rec.Run, rec.place = run, at
			list = append(list, rec)
		}
	}
	return list
}

// matcher tells what is about something that somebody asks for.
type matcher struct {
	what string // folded; empty: everything is
	id   string // it is a queue id
	key  uint64
}

func newMatcher(what string) matcher {
	what = strings.TrimSpace(what)
	if inner, ok := strings.CutPrefix(what, "<"); ok && what != "<>" { // the null sender is not everything
		what = strings.TrimSuffix(inner, ">")
	}
	m := matcher{}
	if _, err := queueid.Parse(what); err == nil {
		m.id = what
	}
	if a, err := netip.ParseAddr(what); err == nil {
		what = a.Unmap().String()
	}
	m.what, m.key = fold(what), hash(what)
	return m
}

// mayBe tells whether a block may have it.
func (m *matcher) mayBe(h *head) bool { return m.what == "" || h.filter.has(m.key) }

// matches tells whether a record is about it.
func (m *matcher) matches(r *Record) bool {
	if m.what == "" {
		return true
	}
	if m.id != "" {
		return r.ID == m.id || r.Cause == m.id
	}
	for _, v := range [...]string{r.MessageID, r.Session, r.Client} {
		if fold(v) == m.what {
			return true
		}
	}
	return m.address(r.From) || m.address(r.OrigTo) || m.address(r.Account) || slices.ContainsFunc(r.To, m.address)
}

func (m *matcher) address(v string) bool {
	if v == "" {
		return false
	}
	v = fold(v)
	return v == m.what || m.what[0] == '@' && strings.HasSuffix(v, m.what)
}
