package raft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	hraft "github.com/hashicorp/raft"

	"concordat.dev/protocol/key"
)

// Calls of nodes to one another, most to the leader, and the kinds of answer.
const (
	callApply   byte = 1
	callRead    byte = 2
	callApplied byte = 3 // of the leader, to a node that joins: how far it is
	callClock   byte = 4 // of any voter: what its clock shows, Unix milliseconds
	callPlace   byte = 5 // of any node: where workers reach it
	callAppend  byte = 6 // an entry of no commands; told is its index

	answerDone      byte = 1
	answerElsewhere byte = 2
)

// callLimit bounds how long the leader works on one call, so that a follower never waits for good; a large command has longer, since it has to
// reach the leader, a majority and their disks, on machines that have other work. Whoever gave up too early would send it all again.
const (
	callLimit   = 10 * time.Second
	callLimitMB = time.Second // more for each MiB
)

func limitOf(payload []byte) time.Duration {
	return callLimit + time.Duration(len(payload))*callLimitMB/(1<<20)
}

// answer serves one follower's calls, one after another.
func (n *Node) answer(conn net.Conn) {
	for {
		kind, payload, err := readFrame(conn, maxCommand)
		if err != nil {
			return
		}
		reply, result := answerDone, []byte(nil)
		if result, err = n.serveCall(kind, payload); err != nil {
			reply, result = answerElsewhere, []byte(err.Error())
		}
		if err := writeFrame(conn, reply, result); err != nil {
			return
		}
	}
}

func (n *Node) serveCall(kind byte, payload []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limitOf(payload))
	defer cancel()
	switch kind {
	case callApply:
		return n.applyHere(ctx, payload)
	case callRead:
		index, err := n.readIndex()
		return binary.BigEndian.AppendUint64(nil, index), err
	case callAppend:
		index, err := n.appendHere(ctx)
		return binary.BigEndian.AppendUint64(nil, index), err
	case callApplied:
		index, _ := n.machine.at()
		return binary.BigEndian.AppendUint64(nil, index), nil
	case callClock:
		return binary.BigEndian.AppendUint64(nil, uint64(n.clock().UnixMilli())), nil //nolint:gosec // read back as it was
	case callPlace:
		return []byte(n.cfg.Workers), nil
	default:
		return nil, fmt.Errorf("unknown call %d", kind)
	}
}

// calls keeps idle connections to leaders.
type calls struct {
	layer *layer
	mu    sync.Mutex
	idle  map[string][]net.Conn
}

const maxIdle = 32

func newCalls(l *layer) *calls { return &calls{layer: l, idle: map[string][]net.Conn{}} }

// do makes one call. A connection that failed is not used again.
func (c *calls) do(ctx context.Context, leader string, kind byte, payload []byte) ([]byte, error) {
	conn, err := c.take(ctx, leader)
	if err != nil {
		return nil, err
	}
	end := time.Now().Add(limitOf(payload))
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		end = d
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	reply, result, err := roundTrip(conn, end, kind, payload)
	if err != nil || ctx.Err() != nil {
		return nil, errors.Join(fmt.Errorf("call leader: %w", err), ctx.Err(), conn.Close())
	}
	c.put(leader, conn)
	if reply != answerDone {
		return nil, fmt.Errorf("%w: %s", errElsewhere, result)
	}
	return result, nil
}

// ask makes one call over a connection of its own, to a node that need not lead.
func (c *calls) ask(ctx context.Context, node string, kind byte) ([]byte, error) {
	id, host := splitAddress(hraft.ServerAddress(node))
	want, err := key.ParsePublic(id)
	if err != nil {
		return nil, err
	}
	conn, _, err := c.layer.connect(ctx, host, want, forCall, dialTimeout)
	if err != nil {
		return nil, err
	}
	reply, result, err := roundTrip(conn, time.Now().Add(dialTimeout), kind, nil)
	if err = errors.Join(err, conn.Close()); err == nil && reply != answerDone {
		err = fmt.Errorf("%s", result)
	}
	return result, err
}

func roundTrip(conn net.Conn, end time.Time, kind byte, payload []byte) (byte, []byte, error) {
	if err := conn.SetDeadline(end); err != nil {
		return 0, nil, err
	}
	if err := writeFrame(conn, kind, payload); err != nil {
		return 0, nil, err
	}
	return readFrame(conn, maxCommand)
}

func (c *calls) take(ctx context.Context, leader string) (net.Conn, error) {
	c.mu.Lock()
	if idle := c.idle[leader]; len(idle) > 0 {
		conn := idle[len(idle)-1]
		c.idle[leader] = idle[:len(idle)-1]
		c.mu.Unlock()
		return conn, nil
	}
	c.mu.Unlock()
	id, host := splitAddress(hraft.ServerAddress(leader))
	want, err := key.ParsePublic(id)
	if err != nil {
		return nil, err
	}
	conn, _, err := c.layer.connect(ctx, host, want, forCall, dialTimeout)
	return conn, err
}

func (c *calls) put(leader string, conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for other, idle := range c.idle { // only the present leader's are worth keeping
		if other != leader {
			closeAll(idle)
			delete(c.idle, other)
		}
	}
	if len(c.idle[leader]) >= maxIdle {
		_ = conn.Close()
		return
	}
	c.idle[leader] = append(c.idle[leader], conn)
}

func (c *calls) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, idle := range c.idle {
		closeAll(idle)
	}
	clear(c.idle)
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}
