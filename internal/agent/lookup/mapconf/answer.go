package mapconf

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/decide/table"
)

// Env is what engines need from who opens tables.
type Env struct {
	Open func(setting string) (table.List, error) // other tables
	Now  func() time.Time
	Intn func(int) int
	Log  *slog.Logger
}

// Shape is what all databases have in common: which keys are asked for, and what is made of the answers.
type Shape struct {
	domains *Domains
	result  *Template
	limit   int
}

// Shape reads domain, result_format (and its old names) and expansion_limit.
func (f *File) Shape(env Env, oldNames ...string) Shape {
	format := "%s"
	for _, name := range append(oldNames, "result_format") {
		format = f.Text(name, format)
	}
	s := Shape{limit: f.Int("expansion_limit", 0, 0, 1<<30)}
	var err error
	if s.result, err = NewTemplate(format); err != nil {
		f.Wrong("result_format", "%v", err)
	}
	if s.domains, err = NewDomains(f.Words("domain", ""), env.Open); err != nil {
		f.Wrong("domain", "%v", err)
	}
	return s
}

// Template reads a parameter that is one.
func (f *File) Template(name, otherwise string) *Template {
	t, err := NewTemplate(f.Text(name, otherwise))
	if err != nil {
		f.Wrong(name, "%v", err)
		return &Template{}
	}
	return t
}

// Key brings a key to the form in which a database is asked; ok is false where it is not asked at all: for other domains,
// and for what is no text (a byte that is no UTF-8, NUL).
func (s *Shape) Key(ctx context.Context, key string) (folded string, ok bool, err error) {
	if !utf8.ValidString(key) || strings.IndexByte(key, 0) >= 0 {
		return "", false, nil
	}
	folded = table.Fold(key)
	ok, err = s.domains.Takes(ctx, folded)
	return folded, ok, err
}

// Bounds of an answer; a database that says more has misunderstood the question.
const (
	maxAnswer = 1 << 20 // bytes
	maxRows   = 100_000 // values, those that are left out counted
)

// Answer collects the values that a query found.
type Answer struct {
	shape *Shape
	key   string
	text  strings.Builder
	kept  int
	seen  int
}

// Answer begins the answer for a key.
func (s *Shape) Answer(key string) *Answer { return &Answer{shape: s, key: key} }

// Add adds a value. An error says that there are too many: a temporary failure, since a part of a list is no answer.
func (a *Answer) Add(value string) error {
	if a.seen++; a.seen > maxRows {
		return fmt.Errorf("more than %d values", maxRows)
	}
	text, ok := a.shape.result.Result(a.key, value)
	if !ok {
		return nil
	}
	if a.kept++; a.shape.limit > 0 && a.kept > a.shape.limit {
		return fmt.Errorf("more values than expansion_limit = %d", a.shape.limit)
	}
	if a.kept > 1 {
		a.text.WriteByte(',')
	}
	if a.text.WriteString(text); a.text.Len() > maxAnswer {
		return fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	}
	return nil
}

// Text is the whole answer; found is false if there was no value.
func (a *Answer) Text() (text string, found bool) { return a.text.String(), a.kept > 0 }
