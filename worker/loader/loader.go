// Package loader keeps sealed datasets loaded in the engine between queries: each version once, under the policy it is queried with.
//
// Invariant: what is loaded has the digest that the signed registry names; a load that fails leaves nothing.
//
// Sees: plaintext rows (on their way into the engine)
package loader

import (
	"context"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/array"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/ingest"
	"concordat.dev/worker/query"
	"concordat.dev/worker/storage"
)

// Request names a sealed dataset version and the policy that describes it.
type Request struct {
	Binding storage.Binding
	Sealed  storage.Sealed
	Policy  *document.Policy
}

// Loader loads on demand. It is safe for concurrent use.
type Loader struct {
	Store   *storage.Store
	Wrapper *storage.Wrapper
	Engine  *engine.Engine

	mu      sync.Mutex
	entries map[string]*entry
}

// entry is one load, under way or done.
type entry struct {
	digest canon.Digest
	done   chan struct{}
	err    error
}

// Load gives the dataset, loading it when it is not there yet. Several callers wait for one load.
func (l *Loader) Load(ctx context.Context, r Request) (query.Dataset, error) {
	policy, err := r.Policy.Canonical()
	if err != nil {
		return query.Dataset{}, fmt.Errorf("load %s: %w", r.Binding.Dataset, err)
	}
	name := fmt.Sprintf("%s %s %d %s %s", r.Binding.Collaboration, r.Binding.Dataset, r.Binding.Version, r.Sealed.Digest, canon.Sum(policy))
	out := query.Dataset{ID: r.Binding.Dataset, Digest: r.Sealed.Digest, Loaded: name}
	for {
		e, mine := l.claim(name, r.Sealed.Digest)
		if mine {
			e.err = l.load(ctx, name, r)
			if e.err != nil {
				l.forget(name)
			}
			close(e.done)
			return out, e.err
		}
		select {
		case <-e.done:
			if e.err == nil {
				return out, nil
			}
			if ctx.Err() != nil {
				return out, ctx.Err()
			}
			// the other caller's load failed, perhaps only because it went away: try it ourselves
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
}

func (l *Loader) claim(name string, digest canon.Digest) (*entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.entries[name]; ok {
		return e, false
	}
	if l.entries == nil {
		l.entries = map[string]*entry{}
	}
	e := &entry{digest: digest, done: make(chan struct{})}
	l.entries[name] = e
	return e, true
}

func (l *Loader) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.entries, name)
}

// Loaded are the digests of the sealed datasets that are in memory, for placement.
func (l *Loader) Loaded() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, e := range l.entries {
		select {
		case <-e.done:
			out = append(out, e.digest.String())
		default:
		}
	}
	return out
}

func (l *Loader) load(ctx context.Context, name string, r Request) error {
	schema, err := ingest.Schema(*r.Policy)
	if err != nil {
		return err
	}
	sealed, err := storage.NewReader(ctx, l.Store, l.Wrapper, r.Binding, r.Sealed, schema, 0)
	if err != nil {
		return err
	}
	defer sealed.Release()
	var reader array.RecordReader = sealed
	if !r.Policy.Unit.None {
		numbered, err := ingest.Numbered(sealed, r.Policy.Unit.Column)
		if err != nil {
			return err
		}
		defer numbered.Release()
		reader = numbered
	}
	return l.Engine.Load(ctx, name, r.Policy, reader)
}
