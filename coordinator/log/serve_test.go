package log_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/coordinator/log"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/key"
)

const ledger = "00112233445566778899aabbccddeeff"

// source is a log in memory, whose newest checkpoint is published.
type source struct {
	tree   *log.Tree
	leaves [][]byte
	signer *log.Signer
}

func newSource(t testing.TB, n int) *source {
	t.Helper()
	k, err := key.FromSeed(bytes.Repeat([]byte{3}, 32))
	must(t, err)
	s := &source{tree: &log.Tree{}}
	s.signer, err = log.NewSigner(ledger, k)
	must(t, err)
	s.grow(n)
	return s
}

func (s *source) grow(n int) {
	for range n {
		leaf := checkpoint.Leaf(fmt.Append(nil, len(s.leaves)), []byte("body"))
		s.leaves = append(s.leaves, leaf)
		s.tree.Append(leaf)
	}
}

func (s *source) Tree() *log.Tree                  { return s.tree.View() }
func (s *source) Leaves(start, end int64) [][]byte { return s.leaves[start:end] }
func (s *source) Published() ([]byte, error)       { return s.signer.Checkpoint(s.tree, s.tree.Size()) }

func get(h http.Handler, path string) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, path, http.NoBody))
	return w.Result()
}

// TestTorchwoodReadsTheLog has an unmodified C2SP client read every entry and check it against the checkpoint.
func TestTorchwoodReadsTheLog(t *testing.T) {
	for _, n := range []int{1, 255, 256, 257, 70000} {
		s := newSource(t, n)
		server := httptest.NewServer(log.Handler(s))
		fetcher, err := torchwood.NewTileFetcher(server.URL+"/log", torchwood.WithTilePath(torchwood.TilePath))
		must(t, err)
		client, err := torchwood.NewClient(fetcher)
		must(t, err)
		signed, err := fetcher.ReadEndpoint(t.Context(), "checkpoint")
		must(t, err)
		head, _, err := torchwood.VerifyCheckpoint(signed, torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(s.signer.Name()), torchwood.SingleVerifierPolicy(s.signer)))
		must(t, err)
		if head.N != int64(n) {
			t.Fatalf("checkpoint of %d, want %d", head.N, n)
		}
		read := int64(0)
		from := max(0, head.N-1000)
		for i, entry := range client.AllEntries(t.Context(), head.Tree, from) {
			if !bytes.Equal(entry, s.leaves[i]) {
				t.Fatalf("%d of %d is another record", i, n)
			}
			read++
		}
		must(t, client.Err())
		if read != head.N-from {
			t.Errorf("read %d of %d", read, head.N-from)
		}
		server.Close()
	}
}

func TestPathsNeverChange(t *testing.T) {
	s := newSource(t, 300)
	h := log.Handler(s)
	paths := []string{"tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/7"}
	before := map[string]string{}
	for _, p := range paths {
		res := get(h, "/log/"+p)
		b, err := io.ReadAll(res.Body)
		must(t, err)
		if res.StatusCode != http.StatusOK || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") || len(b) == 0 {
			t.Errorf("%s: %s %v", p, res.Status, res.Header)
		}
		before[p] = string(b)
	}
	s.grow(500)
	for _, p := range paths {
		b, err := io.ReadAll(get(h, "/log/"+p).Body)
		must(t, err)
		if string(b) != before[p] {
			t.Errorf("%s changed", p)
		}
	}
}

func TestWhatIsNotThere(t *testing.T) {
	h := log.Handler(newSource(t, 300))
	for path, want := range map[string]int{
		"/log/tile/0/001": http.StatusNotFound, "/log/tile/0/001.p/45": http.StatusNotFound, "/log/tile/0/002.p/1": http.StatusNotFound,
		"/log/tile/1/000.p/2": http.StatusNotFound, "/log/tile/2/000.p/1": http.StatusNotFound, "/log/tile/63/000": http.StatusNotFound,
		"/log/tile/0/x999/x999/x999/x999/x999/999": http.StatusNotFound, "/log/tile/entries/001": http.StatusNotFound,
		"/log/tile/8/0/000": http.StatusNotFound, "/log/tile/": http.StatusNotFound, "/log/tile/data/000": http.StatusNotFound,
		"/log/tile/0/" + strings.Repeat("x000/", 30) + "000": http.StatusRequestURITooLong, "/log/": http.StatusNotFound,
		"/log/checkpoint": http.StatusOK,
	} {
		res := get(h, path)
		if res.StatusCode != want || strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %s, want %d; %s", path, res.Status, want, res.Header.Get("Cache-Control"))
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/log/checkpoint", http.NoBody))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestTilesHoldTheTree(t *testing.T) {
	s := newSource(t, 1000)
	h := log.Handler(s)
	root, err := tlog.TreeHash(1000, tlog.TileHashReader(tlog.Tree{N: 1000, Hash: mustRoot(t, s)}, tiles{h}))
	must(t, err)
	if root != mustRoot(t, s) {
		t.Error("another root")
	}
}

func mustRoot(t testing.TB, s *source) tlog.Hash {
	t.Helper()
	root, err := s.tree.Root(s.tree.Size())
	must(t, err)
	return root
}

// tiles reads tiles as golang.org/x/mod/sumdb does, from our paths.
type tiles struct{ h http.Handler }

func (tiles) Height() int { return torchwood.TileHeight }

func (x tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range want {
		b, err := io.ReadAll(get(x.h, "/log/"+torchwood.TilePath(t)).Body)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}
