// Package client speaks to the coordinators of a mesh for one person: over TLS that ends in a marble of type coordinator whose
// chain ends in the pinned root, each request signed by the person's key, with another coordinator where one does not answer.
//
// Invariant: nothing is sent before the pin was checked; a call that is tried again carries the same idempotency key, so that it
// is the same request.
//
// Sees: metadata, released aggregates, and, in Upload, the plaintext rows that it encrypts
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"concordat.dev/protocol/authn"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
	"connectrpc.com/connect"
)

// Config says where coordinators are and how to know them.
type Config struct {
	Addresses []string     // HOST:PORT of coordinators, tried in turn
	Root      canon.Digest // of MarbleRun's root certificate, the pin
	// Key signs each request, for Ledger and nothing else; the zero key is for calls that need no person.
	Key    key.Private
	Ledger string
	// Patience is how long a call is tried again while coordinators answer that they cannot serve it; default 20 s.
	Patience time.Duration
}

// Anonymous is the same without a key.
func (c Config) Anonymous() Config {
	c.Key = key.Private{}
	return c
}

// Why no coordinator could be used.
var (
	ErrNoAddress   = errors.New("no address of a coordinator is known")
	ErrUnreachable = errors.New("no coordinator answers")
	ErrWrongMesh   = errors.New("this is not the mesh that was pinned")
)

// Services are the calls of one coordinator.
type Services struct {
	concordatv1connect.AnalystServiceClient
	concordatv1connect.ParticipantServiceClient
	concordatv1connect.AuditorServiceClient
	concordatv1connect.AdminServiceClient
	concordatv1connect.HandoverServiceClient
	concordatv1connect.SessionServiceClient
	concordatv1connect.NodeServiceClient
	Base string // https://HOST:PORT
	HTTP *http.Client
}

// Client holds connections to the coordinators of one mesh, and of the one that takes its ledger over. It is safe for concurrent use.
type Client struct {
	cfg      Config
	at       atomic.Pointer[target]
	current  atomic.Uint32
	patience time.Duration
}

// target is the mesh that is called.
type target struct {
	services []Services
	pin      canon.Digest
	root     atomic.Pointer[x509.Certificate]
}

// New makes a client; it connects with the first call.
func New(cfg Config) (*Client, error) {
	if len(cfg.Addresses) == 0 {
		return nil, ErrNoAddress
	}
	if _, err := canon.ParseDigest(string(cfg.Root)); err != nil {
		return nil, fmt.Errorf("root certificate to pin: %w", err)
	}
	c := &Client{cfg: cfg, patience: cfg.Patience}
	if c.patience == 0 {
		c.patience = 20 * time.Second
	}
	c.at.Store(newTarget(cfg))
	return c, nil
}

func newTarget(cfg Config) *target {
	t := &target{pin: cfg.Root}
	var transport http.RoundTripper = &http.Transport{
		TLSClientConfig:     pinned(cfg.Root, &t.root),
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 5 * time.Second,
		// A coordinator that stands still keeps its connections: whoever waits for it hears nothing, and goes on with another one.
		HTTP2:           &http.HTTP2Config{SendPingTimeout: 3 * time.Second, PingTimeout: 3 * time.Second},
		IdleConnTimeout: 30 * time.Second,
		DialContext:     (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
	}
	if !cfg.Key.IsZero() {
		transport = authn.Signer{Key: cfg.Key, Audience: cfg.Ledger, Now: time.Now}.RoundTripper(transport)
	}
	h := &http.Client{Transport: transport}
	for _, address := range cfg.Addresses {
		base := "https://" + strings.TrimPrefix(address, "https://")
		t.services = append(t.services, Services{
			concordatv1connect.NewAnalystServiceClient(h, base),
			concordatv1connect.NewParticipantServiceClient(h, base),
			concordatv1connect.NewAuditorServiceClient(h, base),
			concordatv1connect.NewAdminServiceClient(h, base),
			concordatv1connect.NewHandoverServiceClient(h, base),
			concordatv1connect.NewSessionServiceClient(h, base),
			concordatv1connect.NewNodeServiceClient(h, base),
			base, h,
		})
	}
	return t
}

// pinned is the TLS configuration that checks the pin, and keeps the root certificate that a server showed and that passed.
func pinned(pin canon.Digest, root *atomic.Pointer[x509.Certificate]) *tls.Config {
	cfg := marble.ClientConfig(pin, marble.Coordinator)
	verify := cfg.VerifyConnection
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		if err := verify(state); err != nil {
			return err
		}
		for _, c := range state.PeerCertificates {
			if canon.Sum(c.Raw) == pin {
				root.Store(c)
			}
		}
		return nil
	}
	return cfg
}

// Root is MarbleRun's root certificate, known after the first call.
func (c *Client) Root() (*x509.Certificate, error) {
	if root := c.at.Load().root.Load(); root != nil {
		return root, nil
	}
	return nil, errors.New("no coordinator has shown its root certificate yet")
}

// dialPatience is how long nobody needs to answer at all before the mesh counts as down.
const dialPatience = 3 * time.Second

// Do calls with the coordinator that answered last, and goes on to the next while one is unreachable or says that it cannot serve
// the call now. The call must be one that may be repeated.
func (c *Client) Do(ctx context.Context, call func(context.Context, Services) error) error {
	started := time.Now()
	wait, handing := 50*time.Millisecond, false
	for attempt := 1; ; attempt++ {
		mesh, at := c.at.Load(), c.current.Load()
		s := mesh.services[int(at)%len(mesh.services)]
		err := call(ctx, s)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if errors.Is(err, marble.ErrPin) || errors.Is(err, marble.ErrChain) || errors.Is(err, endorse.ErrType) {
			return fmt.Errorf("%w: %s: %w", ErrWrongMesh, s.Base, err)
		}
		if !again(err) {
			return err
		}
		patience, dead := c.patience, errors.Is(err, syscall.ECONNREFUSED)
		if dead {
			patience = min(patience, dialPatience)
		}
		moved := movedTo(err)
		if handing = handing || moved != nil; handing {
			patience, dead = max(c.patience, handoverPatience), false
		}
		if time.Since(started) >= patience {
			if dead {
				return fmt.Errorf("%w: %s: is the mesh up? ('concordat status')", ErrUnreachable, mesh.addresses())
			}
			return err
		}
		if c.follow(mesh, moved) {
			continue
		}
		c.current.CompareAndSwap(at, at+1)
		if attempt%len(mesh.services) != 0 {
			continue // the next one may answer at once
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
			wait = min(2*wait, time.Second)
		}
	}
}

// again says whether another coordinator, or the same one later, may serve a call that failed so. What a coordinator said is one thing,
// a connection that broke, or never was, another: connect calls that canceled or unavailable, as it comes.
func again(err error) bool {
	connected := (*connect.Error)(nil)
	if errors.As(err, &connected) && (connect.IsWireError(err) || connected.Code() == connect.CodeUnavailable) {
		return connected.Code() == connect.CodeUnavailable
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errBusy) || strings.Contains(err.Error(), connectionLost)
}

// connectionLost is what net/http says of a connection whose peer answers no ping; it exports no such error.
const connectionLost = "http2: client connection lost"

// errBusy is a plain HTTP answer that asks to come again.
var errBusy = errors.New("coordinator cannot serve this now")

func (t *target) addresses() string {
	all := make([]string, len(t.services))
	for i, s := range t.services {
		all[i] = strings.TrimPrefix(s.Base, "https://")
	}
	return strings.Join(all, ", ")
}

// Unary calls one method and hands back its message: client.Unary(ctx, c, request, Services.Budget).
func Unary[Request, Response any](ctx context.Context, c *Client, request *Request,
	method func(Services, context.Context, *connect.Request[Request]) (*connect.Response[Response], error),
) (*Response, error) {
	var message *Response
	err := c.Do(ctx, func(ctx context.Context, s Services) error {
		response, err := method(s, ctx, connect.NewRequest(request))
		if err == nil {
			message = response.Msg
		}
		return err
	})
	return message, err
}
