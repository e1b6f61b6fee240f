package bench_test

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"concordat.dev/coordinator/state"
)

// heapPerByte is how many bytes of heap a coordinator's state takes at most for each byte of its snapshot, where it grows by queries: maps and
// strings have their heads. The soak holds whole coordinators to it.
const heapPerByte = 1.6

// TestHeapOfTheState fills a machine with queries and holds what they take of the heap to what they take of a snapshot, and to what a machine takes that
// was restored from it: what grows must be in the snapshot.
func TestHeapOfTheState(t *testing.T) {
	const queries = 10_000
	to := &direct{Machine: state.New()}
	now := time.Now().Add(-24 * time.Hour)
	r := open(t, to, now)
	empty, begun := snapshotSize(t, to.Machine), heap()
	for range queries {
		now = now.Add(50 * time.Millisecond)
		reserved := submit(t, to, now, r.reservation())
		submit(t, to, now, record(reserved.Query.ID))
	}
	later := now.Add(time.Hour) // outcomes are forgotten by then
	submit(t, to, later, state.Expire{})
	filled := float64(heap()-begun) / queries
	encoded := float64(snapshotSize(t, to.Machine)-empty) / queries

	write, err := to.Snapshot()
	must(t, err)
	var snapshot bytes.Buffer
	must(t, write(&snapshot))
	begun = heap()
	back := state.New()
	_, err = back.Restore(bytes.NewReader(snapshot.Bytes()))
	must(t, err)
	restored := float64(heap()-begun) / queries
	runtime.KeepAlive(snapshot)
	t.Logf("a query takes %.0f bytes of a snapshot, %.0f of the heap, %.0f restored", encoded, filled, restored)
	if filled > heapPerByte*encoded || restored > heapPerByte*encoded {
		t.Errorf("more than %g times as much of the heap as of a snapshot", heapPerByte)
	}
	if filled > 1.15*restored { // slices and maps that grow have room to spare
		t.Errorf("more than a machine holds that was restored from its snapshot")
	}
	runtime.KeepAlive(to)
	runtime.KeepAlive(back)
}

// heap is what is alive.
func heap() int64 {
	runtime.GC()
	runtime.GC() // finalizers of the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // fits
}
