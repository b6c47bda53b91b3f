package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// A stream is a result of any length: JSON lines, each an item, and a last one that says how it ended. So a stream that is
// cut short can be told from one that is complete.
type line[Item any] struct {
	Item  *Item  `json:"item,omitempty"`
	End   bool   `json:"end,omitempty"`
	Error *Error `json:"error,omitempty"`
}

// stream is an operation whose result is a stream.
func stream[Arg, Item any](method func(API, context.Context, Arg, func(Item) error) error) operation {
	return streaming(method, false)
}

// live is a stream whose items are sent as they come.
func live[Arg, Item any](method func(API, context.Context, Arg, func(Item) error) error) operation {
	return streaming(method, true)
}

func streaming[Arg, Item any](method func(API, context.Context, Arg, func(Item) error) error, atOnce bool) operation {
	return func(ctx context.Context, a API, body []byte) (any, io.ReadCloser, error) {
		arg, err := argument[Arg](body)
		if err != nil {
			return nil, nil, err
		}
		ctx, cancel := context.WithCancel(ctx)
		r, w := io.Pipe()
		s := &streamBody{PipeReader: r, cancel: cancel, done: make(chan struct{}), live: atOnce}
		go func() {
			defer close(s.done)
			out := bufio.NewWriter(w)
			e := json.NewEncoder(out)
			e.SetEscapeHTML(false)
			err := guarded(func() error {
				return method(a, ctx, arg, func(item Item) error {
					err := e.Encode(line[Item]{Item: &item})
					if err == nil && atOnce {
						err = out.Flush()
					}
					return err
				})
			})
			last := line[Item]{End: err == nil}
			if err != nil {
				last.Error = asError(err)
			}
			w.CloseWithError(errors.Join(e.Encode(last), out.Flush()))
		}()
		return nil, s, nil
	}
}

// guarded turns a panic into an error.
func guarded(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the operation failed: %v", r)
		}
	}()
	return fn()
}

// streamBody is a stream on its way out. Close ends the method.
type streamBody struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   chan struct{}
	live   bool
}

// flushed is a connection that keeps nothing back.
type flushed struct{ http.ResponseWriter }

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err == nil {
		err = http.NewResponseController(f.ResponseWriter).Flush()
	}
	return n, err
}

func (*streamBody) ContentType() string { return "application/jsonl" }

func (s *streamBody) Close() error {
	s.cancel()
	err := s.PipeReader.Close()
	<-s.done
	return err
}

// receive calls an operation whose result is a stream, and calls each for each item.
func receive[Item any](ctx context.Context, c *Client, name string, arg any, each func(Item) error) (err error) {
	body, err := c.post(ctx, name, arg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	d := json.NewDecoder(body)
	for {
		var l line[Item]
		switch err := d.Decode(&l); {
		case err != nil:
			return &Error{Kind: Unavailable, Text: fmt.Sprintf("the server's answer was cut short: %v", err)}
		case l.Error != nil:
			return l.Error
		case l.End:
			return nil
		case l.Item != nil:
			if err := each(*l.Item); err != nil {
				return err
			}
		}
	}
}
