package obs

import (
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Options say where and how a log is written.
type Options struct {
	Out      io.Writer        // written one line at a time; need not be safe for concurrent use
	Format   string           // "text", "json" or "maillog"
	Level    string           // "debug", "info", "warn" or "error"
	Hostname string           // the host in maillog lines
	PID      int              // the process in maillog lines
	Now      func() time.Time // the clock of maillog lines
}

// Log is a log of diagnostics (the embedded logger) and of outcomes (Emit).
type Log struct {
	*slog.Logger
	events Events
	level  *slog.LevelVar // nil: fixed
}

// Emit writes an outcome.
func (l *Log) Emit(e Event) { l.events.Emit(e) }

// New makes a log. The error is of the options.
func New(o Options) (*Log, error) {
	l := &Log{level: &slog.LevelVar{}}
	if err := l.SetLevel(o.Level); err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: l.level}
	switch o.Format {
	case "text":
		l.Logger = slog.New(slog.NewTextHandler(o.Out, opts))
	case "json":
		l.Logger = slog.New(slog.NewJSONHandler(o.Out, opts))
	case "maillog":
		w := newMaillog(o, l.level)
		l.Logger, l.events = slog.New(recordHandler{log: w}), w
		return l, nil
	default:
		return nil, fmt.Errorf("log format %q: want text, json or maillog", o.Format)
	}
	l.events = slogEvents{l.Logger}
	return l, nil
}

// SetLevel changes the least severe level that is written, for this log and all loggers made from it.
func (l *Log) SetLevel(name string) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return fmt.Errorf("log level %q: want debug, info, warn or error", name)
	}
	if l.level == nil {
		return nil
	}
	l.level.Set(level)
	return nil
}
