// Package bench_test measures the coordinators' ledger: reservations per second beside what the raft library does with the same payload,
// how much a query adds to disks and snapshots, and how long a node takes to come back. It prints lines "figure NAME VALUE UNIT".
//
//	go test -run '^$' -bench Ledger -benchtime 1x ./bench [-args -entries 1000000]
package bench_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concordat.dev/coordinator/raft"
	"concordat.dev/coordinator/state"
)

var (
	entries = flag.Int("entries", 100_000, "log entries of the node that recovers")
	perRun  = flag.Duration("per-run", 2*time.Second, "how long each rate is measured, each of three times")
)

func figure(name string, value float64, unit string) {
	fmt.Printf("figure ledger_%s %.4g %s\n", name, value, unit)
}

// BenchmarkLedgerReservations measures at the leader of three nodes, each with its own fsync, ours and the plain library in turns.
func BenchmarkLedgerReservations(b *testing.B) {
	ours, _ := cluster(b, 3, nil)
	r := open(b, ours, time.Now())
	library := plain(b)
	c := &capture{}
	_, _, _ = state.Submit(b.Context(), c, time.Now(), r.reservation()) // the applier refuses after taking the payload
	for b.Loop() {
		for _, clients := range []int{1, 64} {
			var own, bare float64
			for range 3 {
				own = max(own, rate(clients, func() error {
					reserved, _, err := state.Submit(b.Context(), ours, time.Now(), r.reservation())
					if err == nil && reserved.Short != nil {
						return fmt.Errorf("refused: %s", reserved.Short.Message)
					}
					return err
				}, b))
				bare = max(bare, rate(clients, func() error { return library.Apply(c.payload, time.Minute).Error() }, b))
			}
			figure(fmt.Sprintf("reservations_%d_clients", clients), own, "per second")
			figure(fmt.Sprintf("plain_raft_%d_clients", clients), bare, "entries per second of "+fmt.Sprint(len(c.payload))+" bytes")
			figure(fmt.Sprintf("ratio_%d_clients", clients), own/bare, "of plain raft")
		}
	}
}

// capture keeps the payload of a command.
type capture struct{ payload []byte }

func (c *capture) Apply(_ context.Context, command []byte) ([]byte, error) {
	c.payload = command
	return nil, context.Canceled
}

// rate is how often clients together do something in a second.
func rate(clients int, do func() error, b *testing.B) float64 {
	var count atomic.Int64
	var running sync.WaitGroup
	begun := time.Now()
	for range clients {
		running.Go(func() {
			for time.Since(begun) < *perRun {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
				count.Add(1)
			}
		})
	}
	running.Wait()
	return float64(count.Load()) / time.Since(begun).Seconds()
}

// BenchmarkLedgerRecovery fills a machine with queries, a reservation and a release each, measures what each added, and how long a node with it
// takes to write a snapshot, and to be back from it after a stop.
func BenchmarkLedgerRecovery(b *testing.B) {
	for b.Loop() {
		var r room
		node, config := cluster(b, 1, func(m *state.Machine) { r = fill(b, m, *entries/2) })
		submit(b, node, time.Now(), r.reservation()) // raft takes no snapshot where it applied nothing
		begun := time.Now()
		must(b, node.Compact())
		figure("snapshot", time.Since(begun).Seconds(), "s to write")
		size := node.state.Tree().Size()
		must(b, node.Close())

		begun = time.Now()
		back := state.New()
		again, err := raft.Open(config, back)
		must(b, err)
		figure("recovery", time.Since(begun).Seconds(), fmt.Sprintf("s from a snapshot of %d entries", *entries))
		must(b, again.Close())
		if back.Tree().Size() != size {
			b.Fatalf("%d leaves came back of %d", back.Tree().Size(), size)
		}
	}
}

func fill(b *testing.B, m *state.Machine, queries int) room {
	to := &direct{Machine: m}
	now := time.Now().Add(-time.Duration(queries) * 50 * time.Millisecond)
	r := open(b, to, now)
	commands, snapshot := to.bytes, snapshotSize(b, m)
	for range queries {
		now = now.Add(50 * time.Millisecond)
		reserved := submit(b, to, now, r.reservation())
		submit(b, to, now, record(reserved.Query.ID))
	}
	figure("log_growth", float64(to.bytes-commands)/float64(queries), "bytes of commands per query")
	figure("snapshot_growth", float64(snapshotSize(b, m)-snapshot)/float64(queries), "bytes per query")
	return r
}

// snapshotSize is the size of a machine's snapshot.
func snapshotSize(b testing.TB, m *state.Machine) int64 {
	write, err := m.Snapshot()
	must(b, err)
	n := counter(0)
	must(b, write(&n))
	return int64(n)
}

type counter int64

var _ io.Writer = new(counter)

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
