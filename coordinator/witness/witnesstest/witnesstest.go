// Package witnesstest is a witness in memory for tests: it speaks C2SP tlog-witness over HTTP on loopback, and can be stopped, or made to
// forget what it saw.
//
// Invariant: between two calls of Forget it cosigns only what extends what it cosigned before.
//
// Sees: nothing real
package witnesstest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/key"
	"concordat.dev/protocol/witness"
)

// Witness is one witness. It follows no log until Follow.
type Witness struct {
	t      testing.TB
	signer witness.Signer
	server *httptest.Server

	mu    sync.Mutex
	ahead time.Duration
	down  bool
	logs  map[string]note.Verifier // by origin
	heads map[string]head
}

type head struct {
	size int64
	root tlog.Hash
}

// New starts a witness of that name.
func New(t testing.TB, name string) *Witness {
	t.Helper()
	k, err := key.Generate()
	if err != nil {
		t.Fatal(err)
	}
	w := &Witness{t: t, logs: map[string]note.Verifier{}, heads: map[string]head{}}
	if w.signer, err = witness.NewSigner(name, k, w.now); err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(w)
	t.Cleanup(w.server.Close)
	return w
}

// Key is the verifier key.
func (w *Witness) Key() string { return w.signer.String() }

// URL is where it listens.
func (w *Witness) URL() string { return w.server.URL }

// Follow has it follow the log of a verifier key.
func (w *Witness) Follow(vkey string) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs[v.Name()] = v
}

// Stop makes it answer nothing; Start ends that.
func (w *Witness) Stop() { w.set(func() { w.down = true }) }

// Start ends Stop.
func (w *Witness) Start() { w.set(func() { w.down = false }) }

// Forget makes it a new witness with the old key.
func (w *Witness) Forget() { w.set(func() { w.heads = map[string]head{} }) }

// Ahead sets its clock before the host's.
func (w *Witness) Ahead(d time.Duration) { w.set(func() { w.ahead = d }) }

func (w *Witness) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// now is called while mu is held.
func (w *Witness) now() time.Time { return time.Now().Add(w.ahead) }

// ServeHTTP implements http.Handler.
func (w *Witness) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.URL.Path != witness.Path {
		http.NotFound(out, r)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		panic(http.ErrAbortHandler)
	}
	status, text := w.answer(body)
	out.WriteHeader(status)
	_, _ = io.WriteString(out, text)
}

func (w *Witness) answer(body []byte) (status int, text string) {
	r, err := witness.ParseRequest(body)
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	lines := strings.Split(string(r.Checkpoint), "\n")
	v := w.logs[lines[0]]
	if v == nil {
		return http.StatusNotFound, "unknown"
	}
	n, err := note.Open(r.Checkpoint, note.VerifierList(v))
	if err != nil {
		return http.StatusForbidden, err.Error()
	}
	seen := w.heads[lines[0]]
	next := head{}
	next.size, _ = strconv.ParseInt(lines[1], 10, 64)
	next.root, _ = tlog.ParseHash(lines[2])
	switch {
	case r.Old != seen.size || next.size == seen.size && next.size > 0 && next.root != seen.root:
		return http.StatusConflict, fmt.Sprintf("%d\n", seen.size)
	case next.size < seen.size:
		return http.StatusBadRequest, "smaller"
	case seen.size > 0 && next.size > seen.size:
		if err := tlog.CheckTree(r.Proof, next.size, next.root, seen.size, seen.root); err != nil {
			return http.StatusUnprocessableEntity, err.Error()
		}
	}
	signed, err := note.Sign(&note.Note{Text: n.Text}, w.signer)
	if err != nil {
		return http.StatusInternalServerError, err.Error()
	}
	w.heads[lines[0]] = next
	_, line, _ := strings.Cut(string(signed), "\n\n")
	return http.StatusOK, line
}
