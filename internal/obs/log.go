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
}

// Emit writes an outcome.
func (l *Log) Emit(e Event) { l.events.Emit(e) }

// New makes a log. The error is of the options.
func New(o Options) (*Log, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.Level)); err != nil {
		return nil, fmt.Errorf("log level %q: want debug, info, warn or error", o.Level)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch o.Format {
	case "text":
		return overSlog(slog.NewTextHandler(o.Out, opts)), nil
	case "json":
		return overSlog(slog.NewJSONHandler(o.Out, opts)), nil
	case "maillog":
		w := newMaillog(o, level)
		return &Log{Logger: slog.New(recordHandler{log: w}), events: w}, nil
	}
	return nil, fmt.Errorf("log format %q: want text, json or maillog", o.Format)
}

func overSlog(h slog.Handler) *Log {
	logger := slog.New(h)
	return &Log{Logger: logger, events: slogEvents{logger}}
}
