// Package local serves the pages from one's own machine, on loopback, and sends their calls over the verified channel to the mesh, signed
// by the person's key. No page has to be trusted that a distrusted party serves.
//
// Invariant: a request counts only with the cookie that the one-time link was exchanged for, at the very address that is served, from a page of
// this origin. The key signs calls that such a page makes, and statements in canonical form for this mesh's ledger; it never leaves the process.
//
// Sees: metadata, released aggregates, and ciphertext of uploads
package local

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"

	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/fault"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/key"
	"concordat.dev/ui/client"
	"concordat.dev/ui/web"
	"connectrpc.com/connect"
)

// HeaderPage is what pages put on each call.
const HeaderPage = "Concordat-Page"

// ErrListen says that an address to serve on is not one of loopback.
var ErrListen = errors.New("not an address of this machine alone")

const (
	headerTimeout   = 10 * time.Second
	shutdownTimeout = 3 * time.Second
	maxBody         = 80 << 20 // a part of an upload with what encryption adds
)

// Config says for whom pages are served.
type Config struct {
	Client *client.Client // signs with Key
	Key    key.Private
	Listen string // HOST:PORT, of loopback
}

// Server serves the pages of one person.
type Server struct {
	listener net.Listener
	host     string // as browsers have to name it
	secret   string // of the cookie
	cookie   string
	http     *http.Server

	mu    sync.Mutex
	token string // of the link, until it is used
}

// Listen begins to listen; Serve serves.
func Listen(ctx context.Context, cfg Config) (*Server, error) {
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("%w: %q: write 127.0.0.1:PORT", ErrListen, cfg.Listen)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("%w: %q: write 127.0.0.1:PORT", ErrListen, cfg.Listen)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("serve the pages: %w", err)
	}
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, err
	}
	s := &Server{
		listener: l, host: net.JoinHostPort(host, port), secret: rand.Text() + rand.Text(), token: rand.Text(), cookie: "concordat-" + port,
	}
	handler, err := s.handler(cfg)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	s.http = &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	return s, nil
}

// URL is the link that opens the pages, once.
func (s *Server) URL() string { return "http://" + s.host + "/?token=" + url.QueryEscape(s.token) }

// Origin is where the pages are, for a browser that has opened the link.
func (s *Server) Origin() string { return "http://" + s.host }

// Serve serves until the context ends.
func (s *Server) Serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- s.http.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve the pages: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := s.http.Shutdown(stop); err != nil {
		return s.http.Close()
	}
	return nil
}

func (s *Server) handler(cfg Config) (http.Handler, error) {
	pages, err := web.Handler(web.Config{})
	if err != nil {
		return nil, err
	}
	calls := http.NewServeMux()
	calls.Handle(concordatv1connect.NewSessionServiceHandler(session{cfg}, connect.WithReadMaxBytes(2*maxPayload)))
	documents{cfg}.handle(calls)
	calls.Handle("/", forwarding(cfg.Client))
	all := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.EqualFold(r.Host, s.host): // a name that an attacker's resolver points here
			http.Error(w, "this address is not served: open "+s.Origin(), http.StatusMisdirectedRequest)
		case strings.HasPrefix(r.URL.Path, "/concordat.v1.") || strings.HasPrefix(r.URL.Path, "/upload/"):
			s.call(w, r, calls)
		case r.URL.Path == "/" && r.URL.Query().Has("token"):
			s.open(w, r)
		default:
			pages.ServeHTTP(w, r)
		}
	})
	return web.Guard(web.Config{}, http.NewCrossOriginProtection().Handler(all)), nil
}

// open exchanges the link's token for the cookie, once.
func (s *Server) open(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	s.mu.Lock()
	good := s.token != "" && subtle.ConstantTimeCompare([]byte(r.URL.Query().Get("token")), []byte(s.token)) == 1
	if good {
		s.token = ""
	}
	s.mu.Unlock()
	if !good && !s.known(r) {
		http.Error(w, "This link was used already, or is of another run. Use the window that it opened, or run `concordat web` again.", http.StatusForbidden)
		return
	}
	if good {
		http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124: plain HTTP on loopback, where Secure would keep it from being sent
			Name: s.cookie, Value: s.secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		})
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *Server) known(r *http.Request) bool {
	all := r.CookiesNamed(s.cookie)
	return len(all) == 1 && subtle.ConstantTimeCompare([]byte(all[0].Value), []byte(s.secret)) == 1
}

// call lets a page's call through.
func (s *Server) call(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if !s.known(r) || r.Header.Get(HeaderPage) != "1" {
		refuse(w, r, fault.Newf("page", fault.Unauthenticated, "open the link that `concordat web` printed: this window does not belong to it"))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	next.ServeHTTP(w, r)
}

// refuse answers a call in its protocol.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	if strings.HasPrefix(r.URL.Path, "/upload/") {
		status := http.StatusBadGateway
		switch fault.KindOf(err) {
		case fault.Unauthenticated:
			status = http.StatusUnauthorized
		case fault.TooLarge:
			status = http.StatusRequestEntityTooLarge
		case fault.Unavailable:
			status = http.StatusServiceUnavailable
		}
		http.Error(w, fault.Connect(err).Message(), status)
		return
	}
	_ = connect.NewErrorWriter().Write(w, r, fault.Connect(err)) // the peer may be gone
}

// forwarding sends calls to the mesh. What a browser says of itself and its cookies stays here, and so do the mesh's headers.
func forwarding(c *client.Client) http.Handler {
	up := []string{"Content-Type", "Content-Length", "Connect-Protocol-Version", "Connect-Timeout-Ms"}
	down := map[string]bool{"Content-Type": true, "Content-Length": true, "Content-Encoding": true, "Connect-Content-Encoding": true}
	return &httputil.ReverseProxy{
		Transport:     c.Forward(),
		FlushInterval: -1, // events of queries as they come
		Rewrite: func(p *httputil.ProxyRequest) {
			h := http.Header{"User-Agent": {"concordat-web"}, "Accept-Encoding": {"identity"}}
			names := up
			if strings.HasPrefix(p.In.URL.Path, "/upload/") {
				names = append(names[:len(names):len(names)], authn.HeaderDigest)
			}
			for _, name := range names {
				if v := p.In.Header.Values(name); len(v) == 1 {
					h[name] = v
				}
			}
			p.Out.Header = h
			p.Out.URL.Scheme, p.Out.URL.Host = "https", "mesh"
		},
		ModifyResponse: func(r *http.Response) error {
			for name := range r.Header {
				if !down[name] {
					delete(r.Header, name)
				}
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			refuse(w, r, reason(err))
		},
	}
}

// reason is why a call did not reach the mesh.
func reason(err error) error {
	tooLarge := (*http.MaxBytesError)(nil)
	switch {
	case errors.Is(err, context.Canceled):
		return fault.New("page", fault.Cancelled, err)
	case errors.As(err, &tooLarge), errors.Is(err, authn.ErrTooLarge):
		return fault.New("page", fault.TooLarge, err)
	default:
		return fault.New("page", fault.Unavailable, err)
	}
}
