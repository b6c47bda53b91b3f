package node

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/obs"
	"github.com/postrider/postrider/internal/obs/metrics"
	"github.com/postrider/postrider/internal/web/proxy"
)

// Bounds of the http and https listeners.
const (
	httpHeaderTimeout = 10 * time.Second
	httpReadTimeout   = 30 * time.Second
	httpWriteTimeout  = time.Minute
	httpIdleTimeout   = time.Minute
	httpMaxHeader     = 16 << 10 // bytes; the server adds some
	httpMaxBody       = 64 << 10 // of the pages here, which take little

	// One address, or IPv6 /64, that is no trusted proxy gets this part of http.max_connections: nobody keeps the others, and
	// the authority's challenges, out.
	httpShare      = 10
	httpLeastShare = 10
)

// web is what listens for HTTP: the pages for everyone by http and https, and those for operators at metrics.listen.
type web struct {
	node     *Node
	public   *http.Server
	operator *http.Server
	tls      atomic.Pointer[tls.Config] // of https; handshakes take what is in force

	mu    sync.Mutex // guards both below
	conns int
	from  map[netip.Prefix]int // by site
}

// newWeb makes the servers. challenge stands before all pages of plain HTTP, for ACME's http-01; nil: nobody does.
func (n *Node) newWeb(certificates *tls.Config, challenge func(http.Handler) http.Handler) *web {
	w := &web{node: n, from: map[netip.Prefix]int{}}
	w.setTLS(certificates)
	pages := metrics.Handler(n.metrics, n.readiness)
	handler := w.handler(pages)
	if challenge != nil {
		handler = challenge(handler)
	}
	w.public, w.operator = w.server(handler), w.server(pages)
	w.public.ConnState = w.count
	return w
}

func (w *web) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: httpHeaderTimeout, ReadTimeout: httpReadTimeout, WriteTimeout: httpWriteTimeout,
		IdleTimeout: httpIdleTimeout, MaxHeaderBytes: httpMaxHeader, ErrorLog: slog.NewLogLogger(w.node.log.Logger.With(obs.KeyComponent, "http").Handler(), slog.LevelDebug),
	}
}

// setTLS puts certificates in force for the handshakes from now on.
func (w *web) setTLS(certificates *tls.Config) {
	c := certificates.Clone()
	if !slices.Contains(c.NextProtos, "h2") {
		c.NextProtos = append([]string{"h2", "http/1.1"}, c.NextProtos...) // what is there already is ACME's
	}
	w.tls.Store(c)
}

// count closes connections beyond the limits: they have cost a descriptor, and cost no more.
func (w *web) count(conn net.Conn, state http.ConnState) {
	addr, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	from := site(addr.Addr())
	w.mu.Lock()
	defer w.mu.Unlock()
	switch state {
	case http.StateNew:
		w.conns++
		w.from[from]++
		c := w.node.config.Load().HTTP
		share := max(c.MaxConnections/httpShare, httpLeastShare)
		if w.conns > c.MaxConnections || w.from[from] > share && !c.TrustedProxies.Contains(addr.Addr().Unmap()) {
			_ = conn.Close() // no handshake is done yet, so it does not wait
		}
	case http.StateClosed, http.StateHijacked:
		w.conns--
		if w.from[from]--; w.from[from] == 0 {
			delete(w.from, from)
		}
	}
}

// handler is everything that http and https show.
func (w *web) handler(operators http.Handler) http.Handler {
	n, mux := w.node, http.NewServeMux()
	for _, page := range []string{"/metrics", "/healthz", "/readyz"} {
		mux.Handle(page, w.operatorsOnly(operators))
	}
	mux.Handle("/", w.setupPages()) // Outlook writes paths in any case: the pages find themselves
	trusted := func(a netip.Addr) bool { return n.config.Load().HTTP.TrustedProxies.Contains(a) }
	return proxy.Handler(trusted, n.guests(guard(mux)))
}

// operatorsOnly hides pages from all but metrics.networks. A client that comes through a proxy which http.trusted_proxies
// lacks has that proxy's address, which is often loopback: nobody knows who it is, so it is a stranger.
func (w *web) operatorsOnly(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c := proxy.From(r.Context())
		if c.Stranger || !c.Addr.IsValid() || !w.node.config.Load().Metrics.Networks.Contains(c.Addr) {
			http.NotFound(rw, r)
			return
		}
		pages.ServeHTTP(rw, r)
	})
}

// guard bounds what comes in and tells browsers to trust nothing that is not said. There is no Strict-Transport-Security:
// the name belongs to the whole host, whose other services are not ours to decide about.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		r.Body = http.MaxBytesReader(w, r.Body, httpMaxBody)
		next.ServeHTTP(w, r)
	})
}

// serve accepts for one of the services http, https and metrics, until the listener closes.
func (w *web) serve(service string, l net.Listener) error {
	server := w.public
	switch service {
	case "metrics":
		server = w.operator
	case "https":
		l = tls.NewListener(l, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			c := w.tls.Load()
			if c.GetConfigForClient != nil {
				return c.GetConfigForClient(hello)
			}
			return c, nil
		}})
	}
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// shutdown lets requests under way end, until ctx does.
func (w *web) shutdown(ctx context.Context) {
	for _, s := range []*http.Server{w.public, w.operator} {
		if s.Shutdown(ctx) != nil {
			_ = s.Close() // cut off, as asked for
		}
	}
}
