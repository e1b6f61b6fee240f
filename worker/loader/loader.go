// Package loader keeps sealed datasets loaded in the engine between queries, each version once, under the policy it is queried with, and
// has queries wait until there is memory for them.
//
// Invariant: what is loaded has the digest that the signed registry names; a load that fails leaves nothing. Tables and running queries
// together never take more than the budget, by estimate; a table that a query holds is never evicted.
//
// Sees: plaintext rows (on their way into the engine)
package loader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/worker/admission"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/query"
	"concordat.dev/worker/storage"
)

// ErrTooLarge says that datasets and query together never fit into this worker's memory.
var ErrTooLarge = errors.New("more than this worker's memory")

// Request names a sealed dataset version and the policy that describes it.
type Request struct {
	Binding storage.Binding
	Sealed  storage.Sealed
	Policy  *document.Policy
	Wrapper *storage.Wrapper // opens the keys of the files
}

// Work is what a query needs.
type Work struct {
	Who      string // asks; nobody waits for all that another one has asked before
	Datasets []Request
	// Need estimates the bytes that the query takes beyond its tables, of which rows tells the number. Nil: none.
	Need func(rows func(dataset string) int64) int64
	// Alone has the query wait until it can have all memory that its tables leave.
	Alone bool
}

// Loader loads on demand and lets go of what nobody asks for. It is safe for concurrent use.
type Loader struct {
	Store  *storage.Store
	Engine *engine.Engine
	Now    func() time.Time
	Gate   *admission.Gate // whose lock guards what follows
	Budget int64           // bytes for tables and running queries

	entries map[string]*entry
	known   map[string]engine.Size // by name: what was loaded once takes as much the next time
	stats   Stats
	held    int // queries
	aside   int // pieces of other work that memory is set aside for
}

// Stats are what the loader holds, and what it did since the start.
type Stats struct {
	Budget, Reserved int64 // bytes: of both kinds, by estimate
	Tables           int
	TableBytes       int64
	Loads, Evictions uint64
	LoadedRows       uint64
	Loading          time.Duration // of all loads together
	TooLarge         uint64        // queries that were told so
	Admission        admission.Counts
}

// entry is a dataset that is loaded, or about to be.
type entry struct {
	name    string
	loaded  string // its name in the engine, another one for each load
	dataset string // collaboration and dataset, of whatever version
	version uint32
	digest  canon.Digest
	turn    chan struct{} // held by who loads it, or looks whether it is there
	ready   bool
	bytes   int64     // that it counts for
	users   int       // queries that hold it
	used    time.Time // when the last of them let go
}

// Held are the datasets of one query. Release has to be called once the query is over.
type Held struct {
	Datasets []query.Dataset // in the order of the request

	loader  *Loader
	entries []*entry
	victims []*entry // evicted to make room
	bytes   int64    // for the query itself
	once    sync.Once
}

// table is a dataset as a query wants it.
type table struct {
	Request
	name string
	size engine.Size
}

// Acquire waits until there is room for a query, and has its datasets in memory. ErrTooLarge is told before anything is loaded,
// admission.ErrBusy before anything waits.
func (l *Loader) Acquire(ctx context.Context, w Work) (*Held, error) {
	tables, err := l.tables(ctx, w.Datasets)
	if err != nil {
		return nil, err
	}
	h, err := l.reserve(w, tables)
	if err != nil {
		return nil, err
	}
	if err := l.Gate.Enter(ctx, w.Who, func() bool { return l.take(h, tables) }); err != nil {
		return nil, fmt.Errorf("wait for a turn: %w", err)
	}
	for _, v := range h.victims {
		err = errors.Join(err, l.Engine.Drop(context.WithoutCancel(ctx), v.loaded))
	}
	for i := range tables {
		if err == nil {
			err = l.ensure(ctx, h.entries[i], tables[i])
		}
		h.Datasets = append(h.Datasets, query.Dataset{ID: tables[i].Binding.Dataset, Digest: tables[i].Sealed.Digest, Loaded: h.entries[i].loaded})
	}
	if err != nil {
		h.Release()
		return nil, err
	}
	return h, nil
}

// tables finds names and sizes.
func (l *Loader) tables(ctx context.Context, requests []Request) ([]table, error) {
	out := make([]table, len(requests))
	for i, r := range requests {
		policy, err := r.Policy.Canonical()
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", r.Binding.Dataset, err)
		}
		out[i] = table{Request: r, name: fmt.Sprintf("%s %s %d %s %s", r.Binding.Collaboration, r.Binding.Dataset, r.Binding.Version, r.Sealed.Digest, canon.Sum(policy))}
		known := false
		l.Gate.Do(func() { out[i].size, known = l.known[out[i].name] })
		if known {
			continue
		}
		if out[i].size, err = l.expect(ctx, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// reserve tells how much a query takes, and whether that can ever be.
func (l *Loader) reserve(w Work, tables []table) (*Held, error) {
	h := &Held{loader: l}
	bytes, rows := int64(0), map[string]int64{}
	for _, t := range tables {
		bytes += t.size.Bytes
		rows[t.Binding.Dataset] = t.size.Rows
	}
	if w.Need != nil {
		h.bytes = w.Need(func(dataset string) int64 { return rows[dataset] })
	}
	if bytes+h.bytes > l.Budget {
		l.Gate.Do(func() { l.stats.TooLarge++ })
		return nil, fmt.Errorf("%w: the datasets take about %d MiB and the query %d MiB, memory is %d MiB", ErrTooLarge, bytes>>20, h.bytes>>20, l.Budget>>20)
	}
	if w.Alone {
		h.bytes = l.Budget - bytes
	}
	return h, nil
}

// take holds the tables of a query and its memory, if there is room once tables that nobody holds are evicted. It runs under the gate's lock.
func (l *Loader) take(h *Held, tables []table) bool {
	wanted, more := map[string]bool{}, h.bytes
	for _, t := range tables {
		if l.entries[t.name] == nil && !wanted[t.name] {
			more += t.size.Bytes
		}
		wanted[t.name] = true
	}
	over := l.stats.Reserved + more - l.Budget
	victims, room := l.victims(over, wanted)
	if !room && l.held+l.aside > 0 {
		return false
	}
	if !room { // waiting would not help: an estimate was too low
		for _, v := range victims {
			over -= v.bytes
		}
		h.bytes = max(0, h.bytes-over)
	}
	l.held++
	for _, v := range victims {
		l.forget(v)
		l.stats.Evictions++
	}
	h.victims = victims
	for _, t := range tables {
		e := l.entries[t.name]
		if e == nil {
			e = l.add(t)
		}
		e.users++
		h.entries = append(h.entries, e)
	}
	l.stats.Reserved += h.bytes
	return true
}

// victims are the tables, least recently used first, that have to go to free so many bytes.
func (l *Loader) victims(over int64, wanted map[string]bool) (out []*entry, enough bool) {
	if over <= 0 {
		return nil, true
	}
	for _, e := range l.unused() {
		if wanted[e.name] {
			continue
		}
		out = append(out, e)
		if over -= e.bytes; over <= 0 {
			return out, true
		}
	}
	return out, false
}

func (l *Loader) add(t table) *entry {
	if l.entries == nil {
		l.entries, l.known = map[string]*entry{}, map[string]engine.Size{}
	}
	l.stats.Loads++
	e := &entry{
		name: t.name, loaded: fmt.Sprintf("%s load %d", t.name, l.stats.Loads), dataset: t.Binding.Collaboration + " " + t.Binding.Dataset,
		version: t.Binding.Version, digest: t.Sealed.Digest, turn: make(chan struct{}, 1), bytes: t.size.Bytes,
	}
	l.entries[t.name] = e
	l.stats.Reserved += e.bytes
	return e
}

// forget takes an entry out of the list; who asks for it from now on loads it anew.
func (l *Loader) forget(e *entry) {
	delete(l.entries, e.name)
	l.stats.Reserved -= e.bytes
}

// Release lets go of everything; a second call does nothing.
func (h *Held) Release() {
	h.once.Do(h.release)
}

func (h *Held) release() {
	h.loader.Gate.Leave(func() {
		for _, e := range h.entries {
			e.users--
			e.used = h.loader.Now()
			if e.users == 0 && !e.ready {
				h.loader.forget(e)
			}
		}
		h.loader.stats.Reserved -= h.bytes
		h.loader.held--
	})
}
