package authn

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/key"
)

// DefaultMaxBody is the most of a body that is held in memory to be signed or checked.
const DefaultMaxBody = 32 << 20

// Signer signs the requests of one person to one ledger.
type Signer struct {
	Key      key.Private
	Audience string           // ledger id
	Now      func() time.Time // the clock
	MaxBody  int64            // default DefaultMaxBody
}

// RoundTripper returns a transport that signs each request and sends it by next. A body is read into memory first; one that is larger
// than MaxBody needs its digest in HeaderDigest beforehand, and is then streamed.
func (s Signer) RoundTripper(next http.RoundTripper) http.RoundTripper {
	if s.MaxBody == 0 {
		s.MaxBody = DefaultMaxBody
	}
	return transport{signer: s, next: next}
}

type transport struct {
	signer Signer
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	signed, err := t.signer.sign(r)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fmt.Errorf("sign request: %w", err)
	}
	return t.next.RoundTrip(signed)
}

func (s Signer) sign(r *http.Request) (*http.Request, error) {
	out := r.Clone(r.Context())
	p := parameters{key: s.Key.Public(), millis: s.Now().UnixMilli(), audience: s.Audience}
	if given := r.Header.Get(HeaderDigest); given != "" {
		digest, err := canon.ParseDigest(given)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", HeaderDigest, err)
		}
		p.digest = digest
	} else {
		body, err := s.readBody(r)
		if err != nil {
			return nil, err
		}
		p.digest = canon.Sum(body)
		if r.Body != nil && r.Body != http.NoBody {
			out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		}
	}
	if _, err := rand.Read(p.nonce[:]); err != nil {
		return nil, err
	}
	message, err := p.message(out)
	if err != nil {
		return nil, err
	}
	p.signature = s.Key.Sign(message)
	p.write(out.Header)
	return out, nil
}

func (s Signer) readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, s.MaxBody+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > s.MaxBody {
		return nil, fmt.Errorf("%w: more than %d bytes: set %s beforehand", ErrTooLarge, s.MaxBody, HeaderDigest)
	}
	return body, r.Body.Close()
}
