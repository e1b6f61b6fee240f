package observe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
)

// Metrics is the part of a configuration that says where a process tells of itself.
type Metrics struct {
	// Listen is the address host:port of /metrics, /healthz and /readyz for whoever runs this process; empty: not served. Nobody is asked for
	// a password: it belongs on loopback, or in a network that only monitoring reaches.
	Listen string `yaml:"listen,omitempty"`
	// TLS serves with the marble's certificate, which the mesh's root vouches for; false: plain HTTP.
	TLS bool `yaml:"tls,omitempty" default:"false"`
}

// Check says what is wrong with it.
func (m *Metrics) Check() error {
	if m == nil || m.Listen == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(m.Listen); err != nil {
		return fmt.Errorf("listen: %q is not host:port", m.Listen)
	}
	return nil
}

// Ready says whether a process can do its work now; nil: it can.
type Ready func(context.Context) error

const (
	readyLimit      = time.Second
	headerTimeout   = 10 * time.Second
	writeTimeout    = 30 * time.Second
	shutdownTimeout = 2 * time.Second
)

// Handler answers /metrics from a registry, /healthz with 204 as long as the process runs, and /readyz with 204 or, with the reason, 503.
func Handler(registry prometheus.Gatherer, ready Ready) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 2}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyLimit)
		defer cancel()
		if err := ready(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// Server serves the handler.
type Server struct {
	http     *http.Server
	listener net.Listener
}

// Listen begins to listen where the configuration says, and gives nil where it says nothing. Certificate may be nil for plain HTTP.
func Listen(m *Metrics, handler http.Handler, certificate *tls.Config, log zerolog.Logger) (*Server, error) {
	if m == nil || m.Listen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", m.Listen)
	if err != nil {
		return nil, fmt.Errorf("metrics: listen: %w", err)
	}
	if m.TLS {
		l = tls.NewListener(l, certificate)
	}
	return &Server{listener: l, http: &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, WriteTimeout: writeTimeout, ErrorLog: stdlog.New(log.With().Str("listener", m.Listen).Logger(), "", 0),
	}}, nil
}

// Address is where it listens; empty where nothing is served.
func (s *Server) Address() string {
	if s == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Serve serves until Close.
func (s *Server) Serve() error {
	if s == nil {
		return nil
	}
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// Close ends it; scrapes that are under way may end first.
func (s *Server) Close() error {
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		return s.http.Close()
	}
	return nil
}
