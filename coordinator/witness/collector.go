// Package witness asks the witnesses that manifests name to cosign the ledger's log, and has what they answer committed. The leader asks
// after each batch of commands, and now and then when nothing happens, so that the witnesses' time goes on.
//
// Invariant: only a size that the state machine applied is ever signed, so it is committed, and there is one root of it. A witness that
// saw a longer or another log is believed, and said so loudly: this ledger was rolled back or forked.
//
// Sees: metadata
package witness

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"concordat.dev/coordinator/log"
	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/checkpoint"
)

// Replica is the part of a raft node that the collector needs.
type Replica interface {
	state.Applier
	Sync(ctx context.Context) error
	IsLeader() bool
}

// Config is what the collector works with.
type Config struct {
	State     *state.Machine
	Replica   Replica
	Addresses map[string]string // verifier key → URL, of the witnesses that can be asked
	Now       func() time.Time
	Logger    zerolog.Logger
}

const (
	refresh   = time.Minute            // how old a cosignature may become while nothing happens
	watch     = 500 * time.Millisecond // how often the leader is looked for
	callLimit = 10 * time.Second
	grace     = 300 * time.Millisecond // how long a quorum waits for the others
	minPause  = 100 * time.Millisecond // after a round without a quorum; doubled each time
	maxPause  = 5 * time.Second
)

// Collector asks witnesses.
type Collector struct {
	Config
	client  *http.Client
	signer  *log.Signer
	running sync.WaitGroup

	mu    sync.Mutex
	peers map[string]*peer // by verifier key
}

// peer is what is known of one witness.
type peer struct {
	url   string
	size  int64 // that it knows of this log
	busy  bool
	fault error
}

// New makes a collector that is not running yet.
func New(cfg Config) *Collector {
	c := &Collector{Config: cfg, peers: map[string]*peer{}, client: &http.Client{
		Timeout:       callLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for vkey, url := range cfg.Addresses {
		c.peers[vkey] = &peer{url: strings.TrimRight(url, "/")}
	}
	return c
}

// Status tells of one witness. Size is that of the log that it cosigned last for this node.
type Status struct {
	Key   string
	Size  int64
	Fault error
}

// Status tells of all witnesses, by key.
func (c *Collector) Status() []Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Status
	for vkey, p := range c.peers {
		out = append(out, Status{Key: vkey, Size: p.size, Fault: p.fault})
	}
	slices.SortFunc(out, func(a, b Status) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// Run asks whenever this node leads and something is to be cosigned, until the context ends. The ledger must be there.
func (c *Collector) Run(ctx context.Context, signer *log.Signer) {
	c.signer = signer
	defer c.client.CloseIdleConnections()
	defer c.running.Wait()
	var asked time.Time
	pause := time.Duration(0)
	tick := time.NewTicker(watch)
	defer tick.Stop()
	for ctx.Err() == nil {
		changed := c.State.Changed()
		if c.Replica.IsLeader() && c.due(asked) {
			asked = c.Now()
			if err := c.round(ctx); err != nil && ctx.Err() == nil {
				pause = min(maxPause, max(minPause, 2*pause))
				c.Logger.Warn().Err(err).Msg("the log lacks cosignatures")
				sleep(ctx, pause)
				asked = time.Time{}
				continue
			}
			pause = 0
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-tick.C:
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// due says that a manifest in force waits for cosignatures, or that they are getting old.
func (c *Collector) due(asked time.Time) bool {
	size := c.State.Tree().Size()
	return slices.ContainsFunc(c.State.Demands(), func(d state.Demand) bool {
		return d.InForce && (d.Size < size || c.Now().Sub(asked) >= refresh)
	})
}

var errQuorum = errors.New("too few witnesses cosigned")

// reply is what came of asking one witness.
type reply struct {
	vkey string
	line string // of the note, verified
	err  error
}

// round asks all witnesses about the log as it is now and commits what they gave.
func (c *Collector) round(ctx context.Context) error {
	tree := c.State.Tree()
	signed, err := c.signer.Checkpoint(tree, tree.Size())
	if err != nil {
		return err
	}
	demands := c.State.Demands()
	replies := make(chan reply, len(c.peers)) // so that late ones end
	pending := 0
	for _, vkey := range wanted(demands) {
		if c.begin(vkey) {
			pending++
			c.running.Go(func() {
				line, err := c.ask(ctx, vkey, tree, signed)
				c.end(vkey, err)
				replies <- reply{vkey, line, err}
			})
		}
	}
	lines := map[string]string{}
	var late <-chan time.Time
	for enough := false; pending > 0; {
		select {
		case r := <-replies:
			pending--
			if r.err == nil {
				lines[r.vkey] = r.line
			}
		case <-late:
			pending = 0
		case <-ctx.Done():
			return ctx.Err()
		}
		if !enough && quorums(demands, lines) {
			enough, late = true, time.After(grace)
		}
	}
	if !slices.ContainsFunc(demands, func(d state.Demand) bool { return met(d, lines) }) {
		return errQuorum
	}
	for _, vkey := range wanted(demands) {
		signed = append(signed, lines[vkey]...)
	}
	if _, _, err = state.Submit(ctx, c.Replica, c.Now(), state.Cosign{Size: tree.Size(), Checkpoint: string(signed)}); err != nil {
		return err
	}
	if !quorums(demands, lines) {
		return errQuorum
	}
	return nil
}

// wanted are the verifier keys that any manifest names, each once, in one order.
func wanted(demands []state.Demand) []string {
	var out []string
	for _, d := range demands {
		out = append(out, d.Keys...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// quorums says that all manifests in force have theirs.
func quorums(demands []state.Demand, lines map[string]string) bool {
	return !slices.ContainsFunc(demands, func(d state.Demand) bool { return d.InForce && !met(d, lines) })
}

func met(d state.Demand, lines map[string]string) bool {
	n := 0
	for _, k := range d.Keys {
		if lines[k] != "" {
			n++
		}
	}
	return n >= d.Quorum
}

// begin says that a witness can be asked, and marks it as being asked.
func (c *Collector) begin(vkey string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peers[vkey]
	if p == nil || p.busy {
		return false
	}
	p.busy = true
	return true
}

func (c *Collector) end(vkey string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peers[vkey]
	p.busy = false
	if err != nil && !errors.Is(err, errOutdated) {
		event := c.Logger.Warn()
		if errors.Is(err, checkpoint.ErrRolledBack) || errors.Is(err, checkpoint.ErrForked) {
			event = c.Logger.Error()
		}
		event.Err(err).Str("witness", vkey).Msg("witness did not cosign")
	}
	p.fault = err
}

func (c *Collector) known(vkey string) (url string, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peers[vkey].url, c.peers[vkey].size
}

func (c *Collector) learn(vkey string, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers[vkey].size = size
}
