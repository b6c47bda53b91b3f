package main

import (
	"io"
	"os"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/obs"
)

// serverLog is the log of a server with the file that it may go to.
type serverLog struct {
	*obs.Log
	file *obs.File // nil: standard error
}

func openLog(c *config.Config, stderr io.Writer) (*serverLog, error) {
	l := &serverLog{}
	out := stderr
	if c.Log.File != "" {
		f, err := obs.OpenFile(c.Log.File)
		if err != nil {
			return nil, err
		}
		l.file, out = f, f
	}
	log, err := obs.New(obs.Options{Out: out, Format: c.Log.Format, Level: c.Log.Level, Hostname: c.Hostname, PID: os.Getpid(), Now: time.Now})
	l.Log = log
	return l, err
}

// reopen opens the file anew, which something may have moved away.
func (l *serverLog) reopen() error {
	if l.file == nil {
		return nil
	}
	return l.file.Reopen()
}

func (l *serverLog) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
