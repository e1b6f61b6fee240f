package authn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/fault"
	"concordat.dev/protocol/key"
)

// Config of a Verifier. Audience and Now are required.
type Config struct {
	Audience string                // ledger id
	Now      func() time.Time      // the clock
	Known    func(key.Public) bool // keys that may be remembered at all; nil: all. Others fail with ErrSignature
	Window   time.Duration         // how far a request's time may be off; default 60 s
	MaxBody  int64                 // of bodies that Verify reads; default DefaultMaxBody
	MaxSeen  int                   // accepted requests that are remembered; default 1,048,576
	MaxKey   int                   // of one key; default a quarter of MaxSeen
	// Anonymous lets requests without any signature header pass through Handler, without a key in their context.
	Anonymous bool
}

// Verifier accepts each signed request once. It is safe for concurrent use.
type Verifier struct {
	config Config
	start  time.Time
	memory *memory
}

// NewVerifier makes a Verifier that remembers nothing yet: requests of a time before now are refused with ErrStarting, since an
// earlier process may have accepted them.
func NewVerifier(c Config) *Verifier {
	if c.Window == 0 {
		c.Window = 60 * time.Second
	}
	if c.MaxBody == 0 {
		c.MaxBody = DefaultMaxBody
	}
	if c.MaxSeen == 0 {
		c.MaxSeen = 1 << 20
	}
	if c.MaxKey == 0 {
		c.MaxKey = c.MaxSeen / 4
	}
	return &Verifier{config: c, start: c.Now(), memory: newMemory(c.Window, c.MaxSeen, c.MaxKey)}
}

// Verify returns the key that signed r, after it read the whole body into memory and compared it; r.Body can be read again.
func (v *Verifier) Verify(r *http.Request) (key.Public, error) {
	p, err := v.check(r)
	if err != nil {
		return key.Public{}, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, v.config.MaxBody+1))
	if err != nil {
		return key.Public{}, fmt.Errorf("read body: %w", err)
	}
	if int64(len(body)) > v.config.MaxBody {
		return key.Public{}, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, v.config.MaxBody)
	}
	if canon.Sum(body) != p.digest {
		return key.Public{}, ErrBody
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return p.key, v.memory.add(v.config.Now(), p.key, p.id())
}

// VerifyNamed returns the key that signed r and the digest that the signed body has, of at most limit bytes. The body is untouched: the caller holds it against
// the digest, as it does once anyway where it keeps it.
func (v *Verifier) VerifyNamed(r *http.Request, limit int64) (key.Public, canon.Digest, error) {
	p, err := v.check(r)
	if err != nil {
		return key.Public{}, "", err
	}
	if r.ContentLength > limit {
		return key.Public{}, "", fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return p.key, p.digest, v.memory.add(v.config.Now(), p.key, p.id())
}

func (v *Verifier) check(r *http.Request) (parameters, error) {
	p, err := read(r.Header)
	if err != nil {
		return parameters{}, err
	}
	if p.audience != v.config.Audience {
		return parameters{}, ErrAudience
	}
	message, err := p.message(r)
	if err != nil {
		return parameters{}, err
	}
	if !p.key.Verify(message, p.signature) || v.config.Known != nil && !v.config.Known(p.key) {
		return parameters{}, ErrSignature
	}
	at, now := time.UnixMilli(p.millis), v.config.Now()
	if at.Before(now.Add(-v.config.Window)) || at.After(now.Add(v.config.Window)) {
		return parameters{}, ErrTime
	}
	if at.Before(v.start.Truncate(time.Millisecond)) {
		return parameters{}, ErrStarting
	}
	return p, nil
}

// Handler lets verified requests through to next, with their key in the context, and answers all others with the error in the
// protocol of the request.
func (v *Verifier) Handler(next http.Handler) http.Handler {
	writer := connect.NewErrorWriter()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k, err := v.Verify(r)
		switch {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(WithKey(r.Context(), k)))
		case v.config.Anonymous && errors.Is(err, ErrUnsigned):
			r.Body = http.MaxBytesReader(w, r.Body, v.config.MaxBody)
			next.ServeHTTP(w, r)
		default:
			_ = writer.Write(w, r, fault.Connect(Fault(err))) // the peer may be gone
		}
	})
}

// Fault is err with the kind that tells a caller what to do.
func Fault(err error) *fault.Fault {
	kind := fault.Unauthenticated
	switch {
	case errors.Is(err, ErrTooLarge):
		kind = fault.TooLarge
	case errors.Is(err, ErrStarting), errors.Is(err, ErrFull):
		kind = fault.Unavailable
	}
	return fault.New("authenticate", kind, err)
}
