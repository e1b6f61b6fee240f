package raft_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestCompactWhileCommandsCome is TestCompactLeavesNothingBehind with entries coming all the time, after a change of leaders, and with what a
// death in the middle of a snapshot leaves: the files in which the forgotten entry lies hold later ones, too.
func TestCompactWhileCommandsCome(t *testing.T) {
	c := newCluster(t)
	big := make([]byte, 512<<10)
	_, _ = rand.Read(big)
	_, err := c.nodes[0].Apply(c.ctx(), big)
	must(t, err)
	samples := make([][]byte, len(c.nodes))
	for i, n := range c.nodes {
		must(t, n.Sync(c.ctx()))
		if samples[i] = c.sealed(i); samples[i] == nil {
			t.Fatalf("node %d has no sealed entry on its disk", i)
		}
	}
	again := c.leader()
	c.stop(again)
	torn := filepath.Join(c.dir, c.voters[again].Name, "snapshots", "2-9-1.tmp")
	must(t, os.MkdirAll(torn, 0o700))
	must(t, os.WriteFile(filepath.Join(torn, "state.bin"), samples[again], 0o600))
	c.leader()
	c.start(again)
	for i, n := range c.nodes {
		must(t, n.Sync(c.ctx()))
		c.states[i].mu.Lock()
		c.states[i].List = []string{"forgotten"}
		c.states[i].mu.Unlock()
	}
	var asking sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		asking.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				if _, err := c.nodes[n%3].Apply(c.ctx(), fmt.Append(nil, "w", n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i, n := range c.nodes {
		must(t, n.Compact())
		for file, content := range c.files(i) {
			if bytes.Contains(content, samples[i]) {
				t.Errorf("node %d: %s holds the entry of what was forgotten", i, file)
			}
		}
	}
	close(done)
	asking.Wait()
	for i := range c.nodes {
		c.stop(i)
	}
	for i := range c.nodes {
		c.start(i)
	}
	words := c.states[0]
	for i, n := range c.nodes {
		must(t, n.Sync(c.ctx()))
		if got := c.states[i].all(); len(got) < 2 || got[0] != "forgotten" || strings.Join(got, ",") != strings.Join(words.all(), ",") {
			t.Errorf("node %d restored %.60q", i, got)
		}
	}
}
