package node

import (
	"context"
	"encoding/json"
	"time"

	"github.com/postrider/postrider/internal/admin"
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/state/trace"
	"github.com/postrider/postrider/internal/vfs"
)

// Trace tells what became of messages and connections.
func (a *api) Trace(ctx context.Context, q admin.TraceQuery, each func(admin.TraceItem) error) error {
	return ReadTrace(ctx, a.config.Load(), q, a.trace.Flush, each)
}

// ReadTrace answers from the files of the trace, whether or not a server runs; fresh is called before they are read.
func ReadTrace(ctx context.Context, c *config.Config, q admin.TraceQuery, fresh func(), each func(admin.TraceItem) error) error {
	fresh()
	dir := traceDir(c)
	var follower *trace.Follower
	if q.Follow { // from here on, before the search: nothing falls in between
		var err error
		if follower, err = trace.Follow(vfs.OS{}, dir, q.What); err != nil {
			return err
		}
		defer follower.Close()
	}
	res, err := trace.Search(ctx, vfs.OS{}, dir, trace.Query{What: q.What, Since: q.Since, Until: q.Until, Limit: q.Limit})
	if err != nil {
		return err
	}
	for i := range res.Stories {
		s := &res.Stories[i]
		story := &admin.TraceStory{ID: s.ID, Cause: s.Cause, Omitted: s.More, Records: make([]json.RawMessage, len(s.Records))}
		for k := range s.Records {
			story.Records[k] = s.Records[k].Raw
		}
		if err := each(admin.TraceItem{Story: story}); err != nil {
			return err
		}
	}
	if err := each(admin.TraceItem{End: &admin.TraceEnd{More: res.More, Damaged: res.Damaged, Off: !c.Trace.Enabled}}); err != nil || follower == nil {
		return err
	}
	tick := time.NewTicker(trace.Pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		fresh()
		if err := follower.Poll(ctx, func(r trace.Record) error { return each(admin.TraceItem{Record: r.Raw}) }); err != nil {
			return err
		}
	}
}
