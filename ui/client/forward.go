package client

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"concordat.dev/protocol/authn"
)

// Forward sends requests of another program, a page, as they are: over the pinned channel, signed by the person's key, to the coordinator that
// answered last. A call that no coordinator began to answer goes to the next one; an answer that breaks off makes the next call go there. A part of
// an upload, whose digest is named beforehand, is sent once.
func (c *Client) Forward() http.RoundTripper { return forward{c} }

type forward struct{ *Client }

// maxCall bounds the body of a call, which is kept to be sent again.
const maxCall = 32 << 20

// RoundTrip implements http.RoundTripper. Scheme and host of the request are replaced.
func (f forward) RoundTrip(r *http.Request) (*http.Response, error) {
	mesh := f.at.Load()
	attempts := len(mesh.services)
	var body []byte
	if r.Header.Get(authn.HeaderDigest) != "" {
		attempts = 1
	} else if r.Body != nil {
		var err error
		if body, err = io.ReadAll(io.LimitReader(r.Body, maxCall+1)); err != nil {
			return nil, err
		}
		if len(body) > maxCall {
			return nil, fmt.Errorf("%w: more than %d bytes", authn.ErrTooLarge, maxCall)
		}
	}
	var last error
	for range attempts {
		at := f.current.Load()
		out := r.Clone(r.Context())
		if body != nil {
			out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
		res, err := f.send(out, mesh, at)
		if err == nil {
			return res, nil
		}
		if r.Context().Err() != nil {
			return nil, err
		}
		f.current.CompareAndSwap(at, at+1)
		last = err
	}
	return nil, fmt.Errorf("%w: %s: %w", ErrUnreachable, mesh.addresses(), last)
}

func (f forward) send(r *http.Request, mesh *target, at uint32) (*http.Response, error) {
	s := mesh.services[int(at)%len(mesh.services)]
	base, err := url.Parse(s.Base)
	if err != nil {
		return nil, err
	}
	r.URL.Scheme, r.URL.Host, r.Host = base.Scheme, base.Host, base.Host
	res, err := s.HTTP.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusServiceUnavailable && len(mesh.services) > 1 && r.Header.Get(authn.HeaderDigest) == "" {
		_ = res.Body.Close()
		return nil, errBusy
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/connect+") {
		res.Body = &watched{ReadCloser: res.Body, broken: func() { f.current.CompareAndSwap(at, at+1) }}
	}
	return res, nil
}

// watched reads along with a Connect stream, to notice an end that asks to come again.
type watched struct {
	io.ReadCloser
	broken func()

	head  []byte // of the frame that begins, up to 5 bytes
	left  uint32 // of the frame
	last  bool   // it is the one that ends the stream
	tail  []byte // of that one
	ended bool
}

const (
	frameHead = 5
	endStream = 0b10
	maxTail   = 64 << 10
)

// Read implements io.Reader.
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	w.follow(b[:n])
	if err != nil && !w.ended {
		w.ended = true
		if !w.good() || !errors.Is(err, io.EOF) {
			w.broken()
		}
	}
	return n, err
}

func (w *watched) follow(b []byte) {
	for len(b) > 0 {
		if w.left == 0 {
			n := min(frameHead-len(w.head), len(b))
			w.head, b = append(w.head, b[:n]...), b[n:]
			if len(w.head) == frameHead {
				w.last, w.left = w.head[0]&endStream != 0, binary.BigEndian.Uint32(w.head[1:])
				w.head = nil
			}
			continue
		}
		n := min(uint32(len(b)), w.left) //nolint:gosec // G115: a buffer of io.Copy
		if w.last && len(w.tail) < maxTail {
			w.tail = append(w.tail, b[:n]...)
		}
		b, w.left = b[n:], w.left-n
	}
}

// good says that the stream came to an end that does not ask to come again.
func (w *watched) good() bool {
	var end struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	return w.last && w.left == 0 && json.Unmarshal(w.tail, &end) == nil && end.Error.Code != "unavailable"
}
