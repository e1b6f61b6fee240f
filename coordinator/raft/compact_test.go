package raft_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the state forgot leaves every disk when it is compacted: the sealed bytes of the entry that brought it are in no file any more, the
// cluster goes on, and nodes that start again have the state.
func TestCompactLeavesNothingBehind(t *testing.T) {
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
	for _, s := range c.states {
		s.mu.Lock()
		s.List = []string{"forgotten"}
		s.mu.Unlock()
	}
	_, err = c.nodes[0].Apply(c.ctx(), []byte("after"))
	must(t, err)
	for i, n := range c.nodes {
		must(t, n.Sync(c.ctx()))
		must(t, n.Compact())
		must(t, n.Compact()) // again: there is nothing new
		for file, content := range c.files(i) {
			if bytes.Contains(content, samples[i]) {
				t.Errorf("node %d: %s holds the entry of what was forgotten", i, file)
			}
		}
	}
	_, err = c.nodes[1].Apply(c.ctx(), []byte("goes on"))
	must(t, err)
	for i := range c.nodes {
		c.stop(i)
	}
	for i := range c.nodes {
		c.start(i)
	}
	for i, n := range c.nodes {
		must(t, n.Sync(c.ctx()))
		if got := c.states[i].all(); strings.Join(got, ", ") != "forgotten, after, goes on" {
			t.Errorf("node %d restored %.60q", i, got)
		}
	}
}

// files are the contents of all files of a node.
func (c *cluster) files(i int) map[string][]byte {
	c.t.Helper()
	out := map[string][]byte{}
	must(c.t, filepath.WalkDir(filepath.Join(c.dir, c.voters[i].Name), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		out[path], err = os.ReadFile(path)
		return err
	}))
	return out
}

// sealed is a piece from within a large entry of the log, as it lies on the disk.
func (c *cluster) sealed(i int) []byte {
	for file, content := range c.files(i) {
		if strings.HasSuffix(file, ".wal") && len(content) > 256<<10 {
			if piece := content[200<<10 : 200<<10+64]; !bytes.Equal(piece, make([]byte, 64)) {
				return bytes.Clone(piece)
			}
		}
	}
	return nil
}
