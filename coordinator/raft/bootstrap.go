package raft

import (
	"context"
	"errors"
	"fmt"
	"time"

	hraft "github.com/hashicorp/raft"

	"concordat.dev/protocol/key"
)

// ErrLost says that this node has no state where others have one: its disk was emptied or exchanged.
var ErrLost = errors.New("this node has lost its state while others have theirs; remove its old key (`concordat node remove`) " +
	"and let it join anew, with `join: true` in its configuration (docs/OPERATIONS.md)")

// Bootstrap starts the cluster, once: the first of the configured voters waits until all others answer, learns their node keys over
// mutual TLS, and makes all of them voters. Other nodes, and nodes that have state, do nothing.
func (n *Node) Bootstrap(ctx context.Context) error {
	if n.layer.hasState.Load() || len(n.cfg.Voters) == 0 || n.cfg.Voters[0].Name != n.cfg.Name {
		return nil
	}
	var servers []hraft.Server
	for _, v := range n.cfg.Voters {
		k := n.key.Public()
		if v.Name != n.cfg.Name {
			var err error
			if k, err = n.meet(ctx, v); err != nil {
				return fmt.Errorf("raft: bootstrap: voter %s: %w", v.Name, err)
			}
		}
		if !v.Key.IsZero() && v.Key != k {
			return fmt.Errorf("raft: bootstrap: voter %s: %w: has key %s, the configuration says %s", v.Name, errPeer, k, v.Key)
		}
		servers = append(servers, hraft.Server{ID: hraft.ServerID(k.String()), Address: joinAddress(k, v.Address)})
	}
	if err := n.raft.BootstrapCluster(hraft.Configuration{Servers: servers}).Error(); err != nil {
		return fmt.Errorf("raft: bootstrap: %w", err)
	}
	return nil
}

// meet asks a voter for its key until it answers.
func (n *Node) meet(ctx context.Context, v Voter) (key.Public, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last error
	for {
		select {
		case <-ctx.Done():
			return key.Public{}, errors.Join(ctx.Err(), last)
		case <-timer.C:
		}
		conn, peer, err := n.layer.connect(ctx, v.Address, v.Key, forHello, dialTimeout)
		if err == nil {
			_ = conn.Close()
			if peer.HasState {
				return key.Public{}, ErrLost
			}
			return peer.Key, nil
		}
		last = err
		timer.Reset(4 * retryEvery)
	}
}

// Await returns once this node belongs to a cluster. A node without state that is configured as one of the first voters, while these have a
// cluster that does not know it, is told ErrLost; one without configured voters waits to be called.
func (n *Node) Await(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !n.layer.hasState.Load() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("raft: await a cluster: %w", ctx.Err())
		case <-timer.C:
		}
		for _, v := range n.cfg.Voters {
			if v.Name == n.cfg.Name {
				continue
			}
			conn, peer, err := n.layer.connect(ctx, v.Address, v.Key, forHello, dialTimeout)
			if err != nil {
				continue // it may not run yet
			}
			_ = conn.Close()
			if peer.HasState && peer.Stranger && !n.layer.hasState.Load() {
				return fmt.Errorf("raft: await a cluster: %w", ErrLost)
			}
		}
		timer.Reset(4 * retryEvery)
	}
	return nil
}
