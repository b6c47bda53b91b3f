package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxArgument   = 1 << 20          // bytes; an alias with ten thousand targets fits
	callTimeout   = 10 * time.Minute // a search of all texts of a large account takes its time
	readTimeout   = 10 * time.Second
	streamTimeout = callTimeout // for a whole message
	idleTimeout   = time.Minute
)

// Server serves an API on a socket.
type Server struct {
	api   API
	calls map[string]operation
	log   *slog.Logger
	path  string
	http  *http.Server
	group sync.WaitGroup
	ctx   context.Context // of calls without a time limit; ends when Close begins
	stop  context.CancelFunc
}

// Listen serves api on dir/admin.sock until Close.
func Listen(dir string, api API, log *slog.Logger) (*Server, error) {
	l, err := listen(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{api: api, calls: operations(), log: log, path: filepath.Join(dir, socketName)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.http = &http.Server{Handler: s, ReadTimeout: readTimeout, WriteTimeout: streamTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	s.group.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("admin socket failed", "error", err)
		}
	})
	return s, nil
}

// Close removes the socket, lets calls under way end until ctx does, and returns. It ends those without a time limit.
func (s *Server) Close(ctx context.Context) error {
	s.stop()
	err := os.Remove(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if down := s.http.Shutdown(ctx); down != nil {
		err = errors.Join(err, s.http.Close())
	}
	s.group.Wait()
	return err
}

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	op := s.calls[name]
	if !ok || op == nil || r.Method != http.MethodPost {
		s.refuse(w, name, Errorf(NotFound, "the server has no operation %s %s: is it of another version than the command?", r.Method, r.URL.Path))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	if name == opCheck || name == opUpkeep || name == opStoreStats || name == opTrace { // takes as long as the store is large; who asked for it ends it by going away
		cancel()
		ctx, cancel = context.WithCancel(r.Context())
		defer context.AfterFunc(s.ctx, cancel)()
		if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
			s.log.Warn("admin: time limit not lifted", "operation", name, "error", err)
		}
	}
	defer cancel()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxArgument))
	if err != nil {
		s.refuse(w, name, Errorf(Invalid, "argument: %v", err))
		return
	}
	value, message, err := s.run(ctx, op, body)
	switch {
	case err != nil:
		s.refuse(w, name, err)
	case message != nil:
		w.Header().Set("Content-Type", contentType(message))
		if m, ok := message.(interface{ Size() int64 }); ok {
			// With a length said beforehand, the client sees when a message is not whole.
			w.Header().Set("Content-Length", strconv.FormatInt(m.Size(), 10))
		}
		var to io.Writer = w
		if m, ok := message.(*streamBody); ok && m.live {
			to = flushed{w}
		}
		_, err := io.Copy(to, message)
		if err = errors.Join(err, message.Close()); err != nil {
			s.log.Warn("admin: message not sent in full", "operation", name, "error", err)
		}
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value) // the client is gone
	}
}

func contentType(message io.ReadCloser) string {
	if m, ok := message.(interface{ ContentType() string }); ok {
		return m.ContentType()
	}
	return "message/rfc822"
}

// run answers a call, whatever happens in it.
func (s *Server) run(ctx context.Context, op operation, body []byte) (value any, message io.ReadCloser, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the operation failed: %v", r)
		}
	}()
	return op(ctx, s.api, body)
}

func (s *Server) refuse(w http.ResponseWriter, name string, err error) {
	e := asError(err)
	if e.Kind == Internal {
		s.log.Error("admin operation failed", "operation", name, "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Kind.httpStatus())
	_ = json.NewEncoder(w).Encode(e) // the client is gone
}
