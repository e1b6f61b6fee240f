package loader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"concordat.dev/worker/engine"
	"concordat.dev/worker/ingest"
	"concordat.dev/worker/storage"
)

// maxKnown is how many sizes are remembered.
const maxKnown = 10_000

// expect estimates what a dataset takes from the sizes of its objects.
func (l *Loader) expect(ctx context.Context, r Request) (engine.Size, error) {
	schema, err := ingest.Schema(*r.Policy)
	if err != nil {
		return engine.Size{}, err
	}
	bytes := int64(0)
	for _, object := range r.Sealed.Objects {
		n, err := l.Store.Size(ctx, object)
		if err != nil {
			return engine.Size{}, fmt.Errorf("load %s: %w", r.Binding.Dataset, err)
		}
		bytes += n
	}
	return engine.Expect(r.Policy, schema, bytes), nil
}

// ensure has a held dataset loaded. Several queries wait for one load; when it fails, perhaps only because its caller went away, the next of
// them tries.
func (l *Loader) ensure(ctx context.Context, e *entry, t table) error {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-e.turn }()
	ready := false
	l.Gate.Do(func() { ready = e.ready })
	if ready {
		return nil
	}
	from := l.Now()
	if err := l.load(ctx, e.loaded, t.Request); err != nil {
		return err
	}
	size, _ := l.Engine.Size(e.loaded)
	l.Gate.Do(func() {
		l.stats.Reserved += size.Bytes - e.bytes
		e.bytes, e.ready = size.Bytes, true
		if len(l.known) == maxKnown {
			clear(l.known)
		}
		l.known[e.name] = size
		l.stats.LoadedRows += uint64(size.Rows) //nolint:gosec // not negative
		l.stats.Loading += l.Now().Sub(from)
	})
	return nil
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

// Loaded are the digests of the sealed datasets that are in memory, for placement.
func (l *Loader) Loaded() (out []string) {
	l.Gate.Do(func() {
		for _, e := range l.entries {
			if e.ready {
				out = append(out, e.digest.String())
			}
		}
	})
	return out
}

// Stats is what the loader holds now.
func (l *Loader) Stats() (out Stats) {
	l.Gate.Do(func() {
		out = l.stats
		for _, e := range l.entries {
			out.Tables++
			out.TableBytes += e.bytes
		}
	})
	out.Budget, out.Admission = l.Budget, l.Gate.Counts()
	return out
}

// Sweep frees what no query holds and either was not asked for since idle ago, or has a newer version loaded: deleted data and old versions
// leave memory without anybody's word.
func (l *Loader) Sweep(ctx context.Context, idle time.Duration) error {
	var old []*entry
	l.Gate.Do(func() { old = l.expired(idle) })
	var errs []error
	for _, e := range old {
		errs = append(errs, l.Engine.Drop(ctx, e.loaded))
	}
	return errors.Join(errs...)
}

// unused are the loaded tables that no query holds, least recently used first. It runs under the gate's lock.
func (l *Loader) unused() []*entry {
	var out []*entry
	for _, e := range l.entries {
		if e.users == 0 && e.ready {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *entry) int { return a.used.Compare(b.used) })
	return out
}

func (l *Loader) expired(idle time.Duration) []*entry {
	newest := map[string]uint32{}
	for _, e := range l.entries {
		newest[e.dataset] = max(newest[e.dataset], e.version)
	}
	var out []*entry
	for _, e := range l.unused() {
		if e.version < newest[e.dataset] || l.Now().Sub(e.used) >= idle {
			out = append(out, e)
			l.forget(e)
		}
	}
	return out
}
