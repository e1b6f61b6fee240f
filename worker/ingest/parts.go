package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/upload"
	"concordat.dev/worker/storage"
)

// ErrPart says that an uploaded part is missing, damaged, out of place, or of another upload.
var ErrPart = errors.New("uploaded part refused")

// Parts are an upload in the object store. The caller has verified the statement's signature and that its target is the upload in question.
type Parts struct {
	Store     *storage.Store
	Keys      []string // objects in order, as the coordinator names them
	Statement upload.Statement
	Identity  age.Identity // the private half of the recipient that the enclave offered for this upload
}

// Sources are the files of the upload.
func (p Parts) Sources() []Source {
	counts := p.Statement.Files
	if len(counts) == 0 {
		counts = []int{len(p.Statement.Parts)}
	}
	var out []Source
	first := 0
	for _, n := range counts {
		from := first
		out = append(out, func(ctx context.Context) (io.ReadCloser, error) { return p.open(ctx, from, n) })
		first += n
	}
	return out
}

// open gives the n parts from first on, one after the other; the next part is fetched meanwhile. A part is authenticated in pieces of 64 KiB as it is read
// and as a whole at its end, so nothing of the text counts before io.EOF.
func (p Parts) open(ctx context.Context, first, n int) (io.ReadCloser, error) {
	if all := len(p.Statement.Parts); len(p.Keys) != all || n == 0 || first+n > all {
		return nil, fmt.Errorf("%w: the statement names %d parts, %d are there", ErrPart, all, len(p.Keys))
	}
	if p.Statement.Format == upload.Parquet {
		return newRandomParts(ctx, p, first, n), nil
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &partStream{parts: p, cancel: cancel, fetched: make(chan fetched), spare: make(chan []byte, 2), number: first, last: first + n}
	go s.fetch(ctx)
	return s, nil
}

type fetched struct {
	body []byte
	err  error
}

type partStream struct {
	parts   Parts
	cancel  context.CancelFunc
	fetched chan fetched
	spare   chan []byte // of parts that were read to their end
	number  int         // of the current part, from 1
	last    int
	body    []byte
	text    io.Reader
	err     error
}

func (s *partStream) fetch(ctx context.Context) {
	defer close(s.fetched)
	for i := s.number; i < s.last; i++ {
		body, err := s.parts.get(ctx, i, func(n int) []byte { return room(s.spare, n) })
		select {
		case s.fetched <- fetched{body, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// room gives memory for a part: that of one before it, if it will do.
func room(spare <-chan []byte, n int) []byte {
	select {
	case b := <-spare:
		if cap(b) >= n {
			return b[:n]
		}
	default:
	}
	return make([]byte, n)
}

// spared keeps the memory of a part that was decrypted, if there is place for it.
func spared(spare chan<- []byte, body []byte) {
	select {
	case spare <- body:
	default:
	}
}

func (p Parts) get(ctx context.Context, i int, room func(n int) []byte) ([]byte, error) {
	body, err := p.Store.GetInto(ctx, p.Keys[i], upload.MaxCiphertext, room)
	if errors.Is(err, storage.ErrMissing) {
		return nil, fmt.Errorf("%w: part %d of %d is missing: upload it again", ErrPart, i+1, len(p.Keys))
	} else if err != nil {
		return nil, fmt.Errorf("part %d of %d: %w", i+1, len(p.Keys), err)
	}
	return body, nil
}

// blame says what is wrong with a part, which didn't decrypt to its end.
func (p Parts) blame(number int, body []byte, err error) error {
	parts := p.Statement.Parts
	digest := canon.Sum(body)
	place := fmt.Sprintf("part %d of %d", number, len(parts))
	if digest == parts[number-1].Digest {
		return fmt.Errorf("%w: %s is the signed one, but not of this upload: %w", ErrPart, place, err)
	}
	if other := slices.IndexFunc(parts, func(p upload.Part) bool { return p.Digest == digest }); other >= 0 {
		return fmt.Errorf("%w: part %d lies in the place of %s: the order isn't the signed one: %w", ErrPart, other+1, place, err)
	}
	return fmt.Errorf("%w: %s was changed after it was signed; upload it again: %w", ErrPart, place, err)
}

// Read gives text; io.EOF only after the last part was authenticated to its end.
func (s *partStream) Read(b []byte) (int, error) {
	for s.err == nil {
		if s.text == nil {
			s.err = s.next()
			continue
		}
		n, err := s.text.Read(b)
		if errors.Is(err, io.EOF) {
			s.text = nil
			spared(s.spare, s.body)
		} else if err != nil {
			s.err = s.parts.blame(s.number, s.body, err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, s.err
}

func (s *partStream) next() error {
	f, more := <-s.fetched
	switch {
	case !more && s.number == s.last:
		return io.EOF
	case !more:
		return context.Canceled
	case f.err != nil:
		return f.err
	}
	s.number, s.body = s.number+1, f.body
	text, err := s.parts.decrypt(s.number, s.body)
	if err != nil {
		return s.parts.blame(s.number, s.body, err)
	}
	s.text = text
	return nil
}

func (p Parts) decrypt(number int, body []byte) (io.Reader, error) {
	return upload.DecryptPart(p.Identity, p.Statement.Header(uint32(number)), p.Statement.Parts[number-1], bytes.NewReader(body))
}

// Close stops the fetching.
func (s *partStream) Close() error {
	s.cancel()
	for range s.fetched {
		continue // the goroutine may have one more part in its hands
	}
	return nil
}
