package trace

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"time"

	"github.com/postrider/postrider/internal/vfs"
)

// Follower reads what is written from now on.
type Follower struct {
	search   searching
	match    matcher
	offsets  map[string]int64
	ids      map[string]bool
	sessions map[session]bool
}

// maxFollowed bounds the messages and connections that a Follower keeps in mind.
const maxFollowed = 100_000

// Follow begins at the present ends of the segments.
func Follow(fsys vfs.FS, dir, what string) (*Follower, error) {
	f := &Follower{search: searching{fs: fsys, dir: dir}, match: newMatcher(what), offsets: map[string]int64{}, ids: map[string]bool{}, sessions: map[session]bool{}}
	list, err := segments(fsys, dir)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		f.offsets[s.name] = s.size
	}
	f.search.zstd, err = newDecoder()
	return f, err
}

// Close ends it.
func (f *Follower) Close() { f.search.zstd.Close() }

// Poll calls each for what was written since the last call: of what was asked for, and of the messages and connections that
// this was about.
func (f *Follower) Poll(ctx context.Context, each func(Record) error) error {
	list, err := segments(f.search.fs, f.search.dir)
	if err != nil {
		return err
	}
	present := map[string]bool{}
	for _, s := range list {
		present[s.name] = true
		if s.size <= f.offsets[s.name] {
			continue
		}
		if err := f.segment(ctx, s, each); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for name := range f.offsets {
		if !present[name] {
			delete(f.offsets, name)
		}
	}
	return nil
}

// segment reads what a segment has got.
func (f *Follower) segment(ctx context.Context, s segment, each func(Record) error) (err error) {
	file, err := f.search.fs.Open(path.Join(f.search.dir, s.name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	sc := &scanner{file: file, size: s.size}
	var refs []ref
	next, err := sc.blocks(f.offsets[s.name], func(at int64, h *head) error {
		r := ref{at, *h}
		r.head.filter = nil
		refs = append(refs, r)
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	f.offsets[s.name] = next
	for i := range refs {
		list, err := f.search.records(file, s.name, &refs[i])
		if errors.Is(err, errDamage) {
			continue
		}
		if err != nil {
			return err
		}
		for k := range list {
			f.learn(&list[k])
		}
		for k := range list {
			if !f.about(&list[k]) {
				continue
			}
			if err := each(list[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// learn keeps in mind what a record is about that was asked for.
func (f *Follower) learn(r *Record) {
	if !f.match.matches(r) && (r.Cause == "" || !f.ids[r.Cause]) || len(f.ids)+len(f.sessions) >= maxFollowed {
		return
	}
	if r.ID != "" {
		f.ids[r.ID] = true
	}
	if r.Session != "" {
		f.sessions[session{r.Run, r.Session}] = true
	}
}

func (f *Follower) about(r *Record) bool {
	return f.match.matches(r) || f.ids[r.ID] || r.ID == "" && r.Session != "" && f.sessions[session{r.Run, r.Session}]
}

// Pace is how often a Follower is to be asked.
const Pace = 500 * time.Millisecond
