package witness

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/witness"
)

// The reasons to refuse, each with its status of C2SP tlog-witness.
var (
	errUnknown  = errors.New("this witness does not follow that log")
	errUnsigned = errors.New("no known key of the log signed the checkpoint")
	errSizes    = errors.New("the old size is larger than the checkpoint")
	errProof    = errors.New("the proof does not show that the log only grew")
)

// conflict is a checkpoint that does not begin where this witness is.
type conflict struct{ size int64 }

func (c conflict) Error() string {
	return fmt.Sprintf("this witness is at size %d, or knows another root of it", c.size)
}

// Handler serves add-checkpoint, and at / who this is and what it saw.
func (w *Witness) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+witness.Path, w.addCheckpoint)
	mux.HandleFunc("GET /{$}", w.about)
	return mux
}

func (w *Witness) about(out http.ResponseWriter, _ *http.Request) {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n", w.Key())
	w.mu.Lock()
	for _, l := range w.logs {
		fmt.Fprintf(&text, "%s %d\n", l.verifier.Name(), l.head.size)
	}
	w.mu.Unlock()
	out.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(out, text.String()) // the reader may be gone
}

func (w *Witness) addCheckpoint(to http.ResponseWriter, r *http.Request) {
	out := &answered{ResponseWriter: to, status: http.StatusOK}
	defer w.count(out)
	body, err := io.ReadAll(http.MaxBytesReader(out, r.Body, witness.MaxRequest))
	if err != nil {
		http.Error(out, "the request could not be read", http.StatusBadRequest)
		return
	}
	lines, err := w.cosign(body)
	var c conflict
	switch {
	case errors.As(err, &c):
		out.Header().Set("Content-Type", witness.SizeType)
		out.WriteHeader(http.StatusConflict)
		_, _ = fmt.Fprintf(out, "%d\n", c.size)
	case errors.Is(err, errUnknown):
		http.Error(out, err.Error(), http.StatusNotFound)
	case errors.Is(err, errUnsigned):
		http.Error(out, err.Error(), http.StatusForbidden)
	case errors.Is(err, witness.ErrRequest), errors.Is(err, errSizes):
		http.Error(out, err.Error(), http.StatusBadRequest)
	case errors.Is(err, errProof):
		http.Error(out, err.Error(), http.StatusUnprocessableEntity)
	case err != nil:
		http.Error(out, "what was seen could not be stored", http.StatusInternalServerError)
	default:
		out.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(out, lines)
	}
}

// cosign judges a request, stores what it saw, and returns the line of the cosignature.
func (w *Witness) cosign(body []byte) (string, error) {
	r, err := witness.ParseRequest(body)
	if err != nil {
		return "", err
	}
	origin, _, _ := strings.Cut(string(r.Checkpoint), "\n")
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.find(origin)
	if l == nil {
		return "", errUnknown
	}
	n, err := note.Open(r.Checkpoint, note.VerifierList(l.verifier))
	if err != nil {
		return "", fmt.Errorf("%w: %w", errUnsigned, err)
	}
	next, _, err := parseText(n.Text)
	if err != nil {
		return "", fmt.Errorf("%w: %w", witness.ErrRequest, err)
	}
	if err := l.head.grows(next, r); err != nil {
		return "", err
	}
	signed, err := note.Sign(&note.Note{Text: n.Text}, w.signer)
	if err != nil {
		return "", err
	}
	if next != l.head {
		if err := replace(w.file(origin), signed); err != nil {
			return "", err
		}
		l.head = next
	}
	l.signed = w.now()
	_, line, _ := strings.Cut(string(signed), "\n\n")
	return line, nil
}

// grows checks that a checkpoint extends what was seen.
func (seen head) grows(next head, r witness.Request) error {
	switch {
	case r.Old > next.size:
		return errSizes
	case r.Old != seen.size:
		return conflict{seen.size}
	case r.Old == next.size:
		if len(r.Proof) > 0 {
			return fmt.Errorf("%w: a proof between equal sizes", witness.ErrRequest)
		}
		if seen != (head{}) && next.root != seen.root {
			return conflict{seen.size}
		}
		return nil
	case r.Old == 0:
		return nil
	}
	if err := tlog.CheckTree(r.Proof, next.size, next.root, seen.size, seen.root); err != nil {
		return fmt.Errorf("%w: %w", errProof, err)
	}
	return nil
}
