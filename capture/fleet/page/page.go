// Package page is what moncap serve shows and takes over HTTP: a page for people, the same as JSON
// for programs (moncap.api/v1), and metrics.
//
// The page works without scripts; where there are some, it follows what happens. Everything that is
// shown comes from the fleet's database. What is asked for goes through package fleet, as the
// commands do, so that slots, approvals and blackouts hold for whoever asks by whatever way;
// nothing that is sent here becomes a command on a router.
package page

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/moncap/moncap/capture/fleet"
)

// Schema names the JSON contract of the API.
const Schema = "moncap.api/v1"

// Tunnel is one that the inventory of this worker has.
type Tunnel struct {
	Name     string
	Peers    [2]string
	Site     string
	Tags     []string
	FourEyes bool // its runs need somebody else's approval
}

// Start is a run that somebody asks for. There is no command in it, and no place for one.
type Start struct {
	Tunnel   string
	Until    string        // decided, established, failed or packets=N; empty: for Duration
	Duration time.Duration // zero: the tunnel's own
	Priority fleet.Priority
	Reason   string
	Change   string
	By       string
}

// Options are what the page needs beside the database.
type Options struct {
	Store   *fleet.Store
	Version string
	Log     *slog.Logger // nil: nothing is told
	Folder  string       // in which this machine's bundles are
	// Tunnels are those of the inventory as it is now.
	Tunnels func() []Tunnel
	// Submit asks for a run, and returns its id. What is asked for wrongly is fleet.ErrUsage.
	Submit func(context.Context, Start) (id string, err error)
	// RunSchedule asks for the runs of a schedule now.
	RunSchedule func(ctx context.Context, name, by, reason string) (ids []string, err error)
	// Ready says why this process does not do its work; nil: it does.
	Ready func(context.Context) error
	// Hosts are the names under which browsers reach the page, beside its addresses.
	Hosts []string
	// Proxies may say for whom they ask, and whether that was encrypted.
	Proxies []netip.Prefix
	// ProxySocket says so of whoever may open the unix socket.
	ProxySocket bool
	// Also adds handlers that prove by themselves who asks: behind the limits and the Host check, not
	// behind the login.
	Also func(*http.ServeMux)
}

// Server is the page. Its handler may be used by itself; what is live needs Serve.
type Server struct {
	o       Options
	log     *slog.Logger
	handler http.Handler
	wrong   *failures
	pulse   *pulse
	loads   chan struct{} // downloads under way
	once    *once
}

// The limits of a request.
const (
	headerTime  = 5 * time.Second
	answerTime  = 30 * time.Second
	askTime     = 15 * time.Second // for the database, so that there is an answer when it has none
	loadTime    = 10 * time.Minute
	bodyLimit   = 1 << 20
	loadsAtOnce = 4
)

// New makes the page.
func New(o Options) *Server {
	s := &Server{o: o, log: o.Log, wrong: newFailures(), pulse: newPulse(), loads: make(chan struct{}, loadsAtOnce),
		once: newOnce()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.handler = s.guard(s.routes())
	return s
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve answers on a listener until ctx ends, and gives what is under way a moment then.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	// What is live would go on for ever: it ends with this.
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	h := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTime, ReadTimeout: answerTime, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, BaseContext: func(net.Listener) context.Context { return base },
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	over := make(chan error, 1)
	go func() { over <- h.Serve(l) }()
	watching := make(chan struct{})
	go func() { defer close(watching); s.pulse.watch(base, s.o.Store) }()
	var err error
	select {
	case err = <-over:
	case <-ctx.Done():
	}
	end()
	<-watching
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if h.Shutdown(last) != nil {
		err = errors.Join(err, h.Close())
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) routes() http.Handler {
	m := http.NewServeMux()
	s.pages(m)
	s.api(m)
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	m.HandleFunc("GET /readyz", s.ready)
	m.HandleFunc("GET /static/{file}", static)
	m.HandleFunc("GET /events", s.events)
	m.HandleFunc("GET /metrics", s.metrics)
	if s.o.Also != nil {
		s.o.Also(m)
	}
	return m
}

// ready says whether this worker does its work. What is wrong is told to no stranger.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	if s.o.Ready != nil {
		if err := s.o.Ready(ctx); err != nil {
			s.log.Info("not ready", "error", err.Error())
			plain(w, http.StatusServiceUnavailable, "not ready")
			return
		}
	}
	plain(w, http.StatusOK, "ready")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // who asked may be gone
}
