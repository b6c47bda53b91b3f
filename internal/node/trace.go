package node

import (
	"path/filepath"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/state/trace"
	"github.com/postrider/postrider/internal/vfs"
)

// traceFolder is where the trace lies, in the data directory.
const traceFolder = "trace"

func traceDir(c *config.Config) string { return filepath.Join(c.DataDir, traceFolder) }

// openTrace begins the trace of this run. Nothing is written before something happens.
func (n *Node) openTrace(c *config.Config, boot uint64) {
	n.trace = trace.New(trace.Options{FS: vfs.OS{}, Dir: traceDir(c), Run: boot, Now: n.opt.Now, Log: n.log.Logger, Limits: traceLimits(c)})
}

func traceLimits(c *config.Config) trace.Limits {
	return trace.Limits{Keep: c.Trace.Keep.D(), MaxSize: int64(c.Trace.MaxSize)}
}

// traced gives outcomes to the trace, when it is kept.
type traced struct{ *Node }

// Emit implements obs.Events.
func (t traced) Emit(e obs.Event) {
	if t.trace != nil && t.config.Load().Trace.Enabled {
		t.trace.Emit(e)
	}
}
