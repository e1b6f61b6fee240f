// Package loader keeps sealed datasets loaded in the engine between queries: each version once, under the policy it is queried with.
//
// Invariant: what is loaded has the digest that the signed registry names; a load that fails leaves nothing.
//
// Sees: plaintext rows (on their way into the engine)
package loader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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
	Wrapper *storage.Wrapper // opens the keys of the files
}

// Loader loads on demand and lets go of what nobody asks for. It is safe for concurrent use.
type Loader struct {
	Store  *storage.Store
	Engine *engine.Engine
	Now    func() time.Time

	mu      sync.Mutex
	entries map[string]*entry
	loads   int
}

// entry is one load, under way or done.
type entry struct {
	loaded  string // its name in the engine, another one for each load
	dataset string // collaboration and dataset, of whatever version
	version uint32
	digest  canon.Digest
	done    chan struct{}
	err     error
	users   int       // queries that hold it
	used    time.Time // when the last of them let go
}

// Load gives the dataset, loading it when it is not there yet. Several callers wait for one load. The rows stay until release is called,
// which has to happen once the query is over; it is never nil.
func (l *Loader) Load(ctx context.Context, r Request) (out query.Dataset, release func(), err error) {
	release = func() {}
	policy, err := r.Policy.Canonical()
	if err != nil {
		return out, release, fmt.Errorf("load %s: %w", r.Binding.Dataset, err)
	}
	name := fmt.Sprintf("%s %s %d %s %s", r.Binding.Collaboration, r.Binding.Dataset, r.Binding.Version, r.Sealed.Digest, canon.Sum(policy))
	for {
		e, mine := l.claim(name, r)
		out = query.Dataset{ID: r.Binding.Dataset, Digest: r.Sealed.Digest, Loaded: e.loaded}
		if mine {
			e.err = l.load(ctx, e.loaded, r)
			if e.err != nil {
				l.forget(name)
			}
			close(e.done)
			return out, l.letGo(e), e.err
		}
		select {
		case <-e.done:
			if e.err == nil {
				return out, l.letGo(e), nil
			}
			if ctx.Err() != nil {
				return out, release, ctx.Err()
			}
			// the other caller's load failed, perhaps only because it went away: try it ourselves
		case <-ctx.Done():
			l.letGo(e)()
			return out, release, ctx.Err()
		}
	}
}

// claim takes hold of an entry, making it when there is none.
func (l *Loader) claim(name string, r Request) (*entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.entries[name]; ok {
		e.users++
		return e, false
	}
	if l.entries == nil {
		l.entries = map[string]*entry{}
	}
	l.loads++
	e := &entry{
		loaded: fmt.Sprintf("%s load %d", name, l.loads), dataset: r.Binding.Collaboration + " " + r.Binding.Dataset, version: r.Binding.Version, digest: r.Sealed.Digest,
		done: make(chan struct{}), users: 1,
	}
	l.entries[name] = e
	return e, true
}

func (l *Loader) letGo(e *entry) func() {
	var once sync.Once
	return func() {
		once.Do(func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			e.users--
			e.used = l.Now()
		})
	}
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

// Sweep frees what no query holds and either was not asked for since idle ago, or has a newer version loaded: deleted data and old versions
// leave memory without anybody's word.
func (l *Loader) Sweep(ctx context.Context, idle time.Duration) error {
	var errs []error
	for _, name := range l.unused(idle) {
		errs = append(errs, l.Engine.Drop(ctx, name))
	}
	return errors.Join(errs...)
}

// unused takes the entries to be freed out of the list; who asks for them from now on loads them anew.
func (l *Loader) unused(idle time.Duration) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	newest := map[string]uint32{}
	for _, e := range l.entries {
		newest[e.dataset] = max(newest[e.dataset], e.version)
	}
	var out []string
	for name, e := range l.entries {
		if e.users > 0 || e.version == newest[e.dataset] && l.Now().Sub(e.used) < idle {
			continue
		}
		out = append(out, e.loaded)
		delete(l.entries, name)
	}
	return out
}

func (l *Loader) load(ctx context.Context, name string, r Request) error {
	schema, err := ingest.Schema(*r.Policy)
	if err != nil {
		return err
	}
	sealed, err := storage.NewReader(ctx, l.Store, r.Wrapper, r.Binding, r.Sealed, schema, 0)
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
