package trace

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/vfs"
)

const (
	suffix    = ".trace.zst"
	nameStyle = "20060102T150405"
	maxNumber = 1000 // segments that begin in one second
)

// writer writes blocks into segments. One goroutine uses it.
type writer struct {
	Options
	zstd     *zstd.Encoder
	buf      []byte
	file     vfs.File // nil: the next block begins a segment
	name     string
	began    time.Time
	at       int64 // its length
	retained time.Time
	warned   time.Time
}

// write writes a block and returns how many lines were lost, because they could not be written.
func (w *writer) write(b *draft, l Limits) (lost uint64) {
	err := w.open()
	if err == nil {
		w.buf = b.pack(w.buf[:0], w.zstd, w.Run)
		_, err = w.file.WriteAt(w.buf, w.at)
	}
	if err != nil {
		w.trouble("the trace cannot be written; lines are lost", err)
		w.drop()
		return uint64(b.count)
	}
	if w.at += int64(len(w.buf)); w.at >= max(minRoll, l.MaxSize/parts) || w.Now().Sub(w.began) >= rollAfter || w.Now().Before(w.began) {
		w.end()
	}
	return 0
}

// open begins a segment where none is open. A process never writes into another's: what a crash has torn stays at an end.
func (w *writer) open() (err error) {
	if w.file != nil {
		return nil
	}
	if w.zstd == nil {
		if w.zstd, err = newEncoder(); err != nil {
			return err
		}
	}
	if err := w.FS.MkdirAll(w.Dir); err != nil {
		return err
	}
	now := w.Now()
	for i := range maxNumber {
		w.name = fmt.Sprintf("%s-%03d%s", now.UTC().Format(nameStyle), i, suffix)
		w.file, err = w.FS.Create(path.Join(w.Dir, w.name))
		if err == nil {
			w.began, w.at = now, 0
			return nil
		}
		w.file = nil
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return err
}

// end closes the segment.
func (w *writer) end() {
	if w.file == nil {
		return
	}
	if err := w.file.Close(); err != nil {
		w.trouble("a segment of the trace was not closed", err)
	}
	w.file = nil
}

// drop ends the segment after a failure. One without a block goes: a full disk takes new names, one at every block.
func (w *writer) drop() {
	empty := w.file != nil && w.at == 0
	w.end()
	if !empty {
		return
	}
	if err := w.FS.Remove(path.Join(w.Dir, w.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.trouble("an empty segment of the trace cannot be removed", err)
	}
}

func (w *writer) trouble(text string, err error) {
	if now := w.Now(); w.warned.IsZero() || now.Sub(w.warned) >= grumble || now.Before(w.warned) {
		w.warned = now
		w.Log.Warn(text, obs.KeyComponent, "trace", obs.KeyError, err)
	}
}

const retainEvery = time.Minute

// retain ends a segment that has lasted its hour, and removes, the oldest first, segments that are too old or too much.
func (w *writer) retain(now time.Time, l Limits) {
	if since := now.Sub(w.retained); !w.retained.IsZero() && since >= 0 && since < retainEvery {
		return
	}
	w.retained = now
	if w.file != nil && now.Sub(w.began) >= rollAfter {
		w.end()
	}
	list, err := segments(w.FS, w.Dir)
	if err != nil {
		w.trouble("the segments of the trace cannot be listed", err)
		return
	}
	var total int64
	for i := range list {
		total += list[i].size
	}
	for i := range list {
		s := &list[i]
		if w.file != nil && s.name == w.name {
			break
		}
		// A segment has lines up to the beginning of the next; of the last one, for an hour at most.
		until := s.began.Add(rollAfter)
		if i+1 < len(list) {
			until = list[i+1].began
		}
		if total <= l.MaxSize && now.Sub(until) <= l.Keep {
			break
		}
		if err := w.FS.Remove(path.Join(w.Dir, s.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.trouble("an old segment of the trace cannot be removed", err)
			return
		}
		total -= s.size
	}
}

// segment is a file.
type segment struct {
	name  string
	began time.Time
	size  int64
}

// segments lists the segments of a folder, the oldest first. One that is gone meanwhile is left out.
func segments(fsys vfs.FS, dir string) ([]segment, error) {
	names, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []segment
	for _, name := range names {
		began, ok := segmentTime(name)
		if !ok {
			continue
		}
		size, err := fsys.Size(path.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, segment{name, began, size})
	}
	slices.SortFunc(list, func(a, b segment) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

// segmentTime reads a segment's name.
func segmentTime(name string) (time.Time, bool) {
	stem, ok := strings.CutSuffix(name, suffix)
	stamp, number, ok2 := strings.Cut(stem, "-")
	if !ok || !ok2 || len(number) != 3 {
		return time.Time{}, false
	}
	t, err := time.Parse(nameStyle, stamp)
	return t, err == nil
}
