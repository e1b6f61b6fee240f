package raft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// groupMark begins an entry that holds any number of commands, each after its length. Entries of earlier builds are one command, which
// begins with another byte.
const groupMark = 0

// maxGroup bounds the commands that share an entry, in bytes; a larger one has an entry of its own.
const maxGroup = 256 << 10

// inFlight is how many entries the leader has under way before commands wait to share the next one. With two, the leader writes one to its
// disk while followers write the one before, and nobody idles while callers are answered and ask again; a group that is full does not hold up
// the next. With one, groups are larger (with 64 clients 32 commands instead of 20) and a command takes about a seventh less processor time,
// which counts only where the cores are what all wait for: there groups grow by themselves. More than two only make groups smaller.
const inFlight = 2

var errGroup = errors.New("malformed entry")

// group gathers commands that come while entries are under way, so that they share the next one: one write to each disk, one message
// to each follower, for all of them.
type group struct {
	mu      sync.Mutex
	waiting []*waiting
	flying  int
}

// waiting is one command, and what it came to once done is closed.
type waiting struct {
	command []byte
	done    chan struct{}
	index   uint64
	result  Result
	err     error
}

// applyHere returns the index of the entry that holds the command, in 8 bytes, and the result. A command whose caller went away may still
// be applied.
func (n *Node) applyHere(ctx context.Context, command []byte) ([]byte, error) {
	w := &waiting{command: command, done: make(chan struct{})}
	if n.group.add(w) {
		n.commit(ctx, n.group.take())
		if next := n.group.take(); next != nil {
			go n.drain(next) //nolint:gosec,contextcheck // the commands of others outlive this caller
		}
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errElsewhere, ctx.Err())
	}
	if w.err != nil {
		return nil, w.err
	}
	return append(binary.BigEndian.AppendUint64(nil, w.index), w.result()...), nil
}

// add queues a command, and says whether its caller is to commit what waits.
func (g *group) add(w *waiting) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, w)
	if g.flying >= inFlight {
		return false
	}
	g.flying++
	return true
}

// take is the commands of the next entry; none are left when it returns none, and then the caller no longer commits.
func (g *group) take() []*waiting {
	g.mu.Lock()
	defer g.mu.Unlock()
	size, count := 0, 0
	for _, w := range g.waiting {
		if size += len(w.command); count > 0 && size > maxGroup {
			break
		}
		count++
	}
	if count == 0 {
		g.flying--
		return nil
	}
	out := g.waiting[:count:count]
	g.waiting = g.waiting[count:]
	return out
}

// drain commits what came meanwhile, until nothing waits.
func (n *Node) drain(next []*waiting) {
	for ; next != nil; next = n.group.take() {
		n.commit(context.Background(), next)
	}
}

// commit has one entry of commands replicated and applied, and tells each of them.
func (n *Node) commit(ctx context.Context, commands []*waiting) {
	f := n.raft.Apply(n.machine.seal(joinEntry(commands)), enqueueTimeout(ctx))
	err := f.Error()
	var results []Result
	if err != nil {
		err = fmt.Errorf("%w: %w", errElsewhere, err)
	} else {
		results = f.Response().([]Result) //nolint:forcetypeassert // machine.Apply returns nothing else
	}
	for i, w := range commands {
		if w.err = err; err == nil {
			w.index, w.result = f.Index(), results[i]
		}
		close(w.done)
	}
}

func joinEntry(commands []*waiting) []byte {
	size := 1
	for _, w := range commands {
		size += binary.MaxVarintLen32 + len(w.command)
	}
	out := make([]byte, 1, size)
	out[0] = groupMark
	for _, w := range commands {
		out = append(binary.AppendUvarint(out, uint64(len(w.command))), w.command...)
	}
	return out
}

func splitEntry(entry []byte) ([][]byte, error) {
	if len(entry) == 0 || entry[0] != groupMark {
		return [][]byte{entry}, nil
	}
	var out [][]byte
	for rest := entry[1:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return nil, errGroup
		}
		end := n + int(size) //nolint:gosec // at most the length of rest
		out = append(out, rest[n:end:end])
		rest = rest[end:]
	}
	return out, nil
}
