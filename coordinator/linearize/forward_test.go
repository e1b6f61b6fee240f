package linearize_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"concordat.dev/coordinator/state"
)

// TestForwardLeavesWhoStandsStill pauses the leader while another node's calls lie at it. They go on with the next leader long before the limit of
// a forwarded call, which is 10 s, and are answered while the first one still stands.
func TestForwardLeavesWhoStandsStill(t *testing.T) {
	c := newCluster(t)
	must(t, c.at(0).Sync(t.Context()))
	leader := c.leader()
	ask := func(i int, limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		_, _, err := state.Submit(ctx, c.at(i), c.now(i), state.NoteDown{Note: state.Note{ID: rand.Text(), Collaboration: "room"}})
		if err != nil {
			return err
		}
		return c.at(i).Sync(ctx)
	}
	followers := []int{(leader + 1) % nodes, (leader + 2) % nodes}
	for _, i := range followers {
		must(t, ask(i, time.Minute)) // from now on it has a connection to the leader
	}
	c.pause(leader)
	defer c.resume(leader)
	for _, i := range followers {
		if err := ask(i, 9*time.Second); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
	}
}
