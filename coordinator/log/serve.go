package log

import (
	"net/http"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

// Prefix is where Handler's log lies below an address: the log's URL for standard tools ends with it.
const Prefix = "/log/"

// Source is the log that Handler serves.
type Source interface {
	// Tree is the log as it is now.
	Tree() *Tree
	// Leaves are the records from index start up to end, which is within the tree.
	Leaves(start, end int64) [][]byte
	// Published is the checkpoint that is shown to the public.
	Published() ([]byte, error)
}

const (
	// entriesLevel is what tlog calls the level of records.
	entriesLevel = -1
	// maxLevel is the highest level of tiles that a log of 2^62 entries has.
	maxLevel = 7
	maxPath  = 128
	maxCalls = 64 // at a time; each takes less than a millisecond and no memory to speak of
)

// Handler serves a log to anybody, as C2SP tlog-tiles below Prefix: checkpoint, tiles of hashes of height 8, and bundles of entries,
// which are the records (Leaf) and tell nothing of what they commit to.
func Handler(s Source) http.Handler {
	h := &handler{source: s, calls: make(chan struct{}, maxCalls)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Prefix+"checkpoint", h.checkpoint)
	mux.HandleFunc("GET "+Prefix+"tile/", h.tile)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*") // it is public: pages of others may read it too
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if len(r.URL.Path) > maxPath {
			http.Error(w, "path too long", http.StatusRequestURITooLong)
			return
		}
		select {
		case h.calls <- struct{}{}:
			defer func() { <-h.calls }()
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests at once", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

type handler struct {
	source Source
	calls  chan struct{}
}

func (h *handler) checkpoint(w http.ResponseWriter, _ *http.Request) {
	signed, err := h.source.Published()
	if err != nil {
		http.Error(w, "the ledger has no log yet", http.StatusServiceUnavailable)
		return
	}
	send(w, "text/plain; charset=utf-8", "no-cache", signed)
}

// tile serves any width that the log has: the bytes of a path never change.
func (h *handler) tile(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, Prefix)
	t, err := torchwood.ParseTilePath(path)
	if err != nil || t.L > maxLevel || torchwood.TilePath(t) != path {
		http.Error(w, "not a path of C2SP tlog-tiles", http.StatusNotFound)
		return
	}
	tree := h.source.Tree()
	if !within(t, tree.Size()) {
		w.Header().Set("Cache-Control", "no-cache") // it will be there once the log has grown
		http.Error(w, "the log has no such tile yet", http.StatusNotFound)
		return
	}
	body, err := h.read(tree, t)
	if err != nil {
		http.Error(w, "the tile could not be read", http.StatusInternalServerError)
		return
	}
	send(w, "application/octet-stream", "public, max-age=31536000, immutable", body)
}

// within says that a tree of this size has all of the tile.
func within(t tlog.Tile, size int64) bool {
	below := size >> (torchwood.TileHeight * max(0, t.L)) // nodes of the tile's lowest level
	return t.N <= below>>torchwood.TileHeight && t.N<<torchwood.TileHeight+int64(t.W) <= below
}

func (h *handler) read(tree *Tree, t tlog.Tile) ([]byte, error) {
	if t.L != entriesLevel {
		return tree.Tile(t.L, t.N, t.W)
	}
	var body []byte
	var err error
	start := t.N << torchwood.TileHeight
	for _, leaf := range h.source.Leaves(start, start+int64(t.W)) {
		if body, err = torchwood.AppendTileEntry(body, leaf); err != nil {
			return nil, err
		}
	}
	return body, nil
}

func send(w http.ResponseWriter, contentType, cache string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", cache)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) //nolint:gosec // hashes and a signed note, by their content type no page; the reader may be gone
}
