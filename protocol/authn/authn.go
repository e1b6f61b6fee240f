// Package authn proves which key sent an HTTP request: each request is signed with a person's Ed25519 key over its method, path,
// query, body, the ledger it is meant for, a time and a nonce. It works below Connect, for unary calls, for answers that stream, and for plain
// uploads, over HTTP/1.1 and HTTP/2. It says who holds the key, not what they may do.
//
// Invariant: a request that Verify accepted was signed for this ledger, within the window, and was not accepted by this Verifier before.
//
// Sees: metadata, and in transit the ciphertext of uploads
package authn

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/key"
)

// The headers of a signed request. Each stands exactly once.
const (
	HeaderKey       = "Concordat-Key"       // "ed25519:…"
	HeaderTime      = "Concordat-Time"      // milliseconds since 1970 in decimal
	HeaderNonce     = "Concordat-Nonce"     // 32 lower-case hex digits, never used twice
	HeaderDigest    = "Concordat-Digest"    // of the body's bytes as sent
	HeaderAudience  = "Concordat-Audience"  // ledger id
	HeaderSignature = "Concordat-Signature" // standard base64 of 64 bytes over Message
)

var headers = []string{HeaderKey, HeaderTime, HeaderNonce, HeaderDigest, HeaderAudience, HeaderSignature}

// Context begins what is signed, so that no other signature of the same key can be taken for one of a request.
const Context = "concordat.dev/request/v1"

const nonceSize = 16

// The reasons for which a request is not accepted.
var (
	ErrUnsigned  = errors.New("the request is not signed")
	ErrMalformed = errors.New("malformed signature of a request")
	ErrAudience  = errors.New("the request is for another ledger")
	ErrTime      = errors.New("the request's time is too far from this server's: set the clock, or repeat the request")
	ErrSignature = errors.New("the signature of the request does not verify")
	ErrReplay    = errors.New("the request was sent before")
	ErrBody      = errors.New("the body is not the one that was signed")
	ErrTooLarge  = errors.New("the body is too large")
	ErrFull      = errors.New("too many requests in a short time")
	ErrStarting  = errors.New("this server has just started and cannot tell whether the request was sent before: repeat it")
)

// parameters are the signed headers of one request, parsed.
type parameters struct {
	key       key.Public
	millis    int64
	nonce     [nonceSize]byte
	digest    canon.Digest
	audience  string
	signature []byte
}

// message is the text that is signed: Context, method, escaped path, raw query, digest, audience, time and nonce, each on a line of its own.
func (p parameters) message(r *http.Request) ([]byte, error) {
	lines := []string{
		Context, r.Method, r.URL.EscapedPath(), r.URL.RawQuery, p.digest.String(), p.audience,
		strconv.FormatInt(p.millis, 10), hex.EncodeToString(p.nonce[:]),
	}
	for _, l := range lines {
		if strings.ContainsAny(l, "\r\n") {
			return nil, fmt.Errorf("%w: line break in %.40q", ErrMalformed, l)
		}
	}
	return []byte(strings.Join(lines, "\n") + "\n"), nil
}

func (p parameters) write(h http.Header) {
	h.Set(HeaderKey, p.key.String())
	h.Set(HeaderTime, strconv.FormatInt(p.millis, 10))
	h.Set(HeaderNonce, hex.EncodeToString(p.nonce[:]))
	h.Set(HeaderDigest, p.digest.String())
	h.Set(HeaderAudience, p.audience)
	h.Set(HeaderSignature, base64.StdEncoding.EncodeToString(p.signature))
}

// read takes the parameters from the headers; every value has one form.
func read(h http.Header) (parameters, error) {
	values := map[string]string{}
	for _, name := range headers {
		switch v := h.Values(name); len(v) {
		case 0:
		case 1:
			values[name] = v[0]
		default:
			return parameters{}, fmt.Errorf("%w: %s is there %d times", ErrMalformed, name, len(v))
		}
	}
	if len(values) == 0 {
		return parameters{}, ErrUnsigned
	}
	var p parameters
	var err error
	if p.key, err = key.ParsePublic(values[HeaderKey]); err != nil {
		return parameters{}, fmt.Errorf("%w: %s: %w", ErrMalformed, HeaderKey, err)
	}
	if rp, passkey := p.key.Passkey(); passkey {
		return parameters{}, fmt.Errorf("%w: %s: a passkey of %s signs statements in browsers, and no requests", ErrMalformed, HeaderKey, rp)
	}
	p.millis, err = strconv.ParseInt(values[HeaderTime], 10, 64)
	if err != nil || p.millis < 0 || strconv.FormatInt(p.millis, 10) != values[HeaderTime] {
		return parameters{}, fmt.Errorf("%w: %s: want milliseconds in decimal", ErrMalformed, HeaderTime)
	}
	nonce, err := hex.DecodeString(values[HeaderNonce])
	if err != nil || len(nonce) != nonceSize || hex.EncodeToString(nonce) != values[HeaderNonce] {
		return parameters{}, fmt.Errorf("%w: %s: want %d lower-case hex digits", ErrMalformed, HeaderNonce, 2*nonceSize)
	}
	p.nonce = [nonceSize]byte(nonce)
	if p.digest, err = canon.ParseDigest(values[HeaderDigest]); err != nil {
		return parameters{}, fmt.Errorf("%w: %s: %w", ErrMalformed, HeaderDigest, err)
	}
	p.audience = values[HeaderAudience]
	p.signature, err = base64.StdEncoding.Strict().DecodeString(values[HeaderSignature])
	if err != nil || base64.StdEncoding.EncodeToString(p.signature) != values[HeaderSignature] {
		return parameters{}, fmt.Errorf("%w: %s: want standard base64", ErrMalformed, HeaderSignature)
	}
	return p, nil
}

// id names a request in the memory of those seen: key and nonce.
func (p parameters) id() [nonceSize]byte {
	sum := sha256.Sum256(append(p.key.Bytes(), p.nonce[:]...))
	return [nonceSize]byte(sum[:])
}

type contextKey struct{}

// WithKey returns a context that carries the key that sent the request.
func WithKey(ctx context.Context, k key.Public) context.Context {
	return context.WithValue(ctx, contextKey{}, k)
}

// Key is the key that sent the request, if it was signed.
func Key(ctx context.Context) (key.Public, bool) {
	k, ok := ctx.Value(contextKey{}).(key.Public)
	return k, ok
}
