// Package witness is a small server that any participant can run: it cosigns checkpoints of transparency logs that only grow (C2SP
// tlog-witness, tlog-cosignature). Whoever sees its cosignature knows that the log was shown to it as well.
//
// Invariant: for each log, every checkpoint that was ever cosigned is the beginning of the newest one, across crashes too: what was
// seen is on disk before a cosignature leaves. One process has the folder at a time.
//
// Sees: metadata
package witness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/key"
	"concordat.dev/protocol/witness"
)

// The files of a witness's folder.
const (
	keyFile  = "witness.key" // of mode 0600
	nameFile = "name"
	lockFile = "lock"
)

// ErrExists says that a folder holds a witness already.
var ErrExists = errors.New("there is a witness already")

// Create makes the key of a new witness in a folder. The name is a URL without scheme that nobody else uses.
func Create(dir, name string) error {
	k, err := key.Generate()
	if err != nil {
		return err
	}
	if _, err := witness.NewVerifier(name, k.Public()); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the witness's folder: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, nameFile)); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%w in %s", ErrExists, dir), err)
	}
	if err := k.Save(filepath.Join(dir, keyFile)); err != nil {
		return err
	}
	return replace(filepath.Join(dir, nameFile), []byte(name+"\n"))
}

// Signer loads the key of a witness.
func Signer(dir string, now func() time.Time) (witness.Signer, error) {
	k, err := key.Load(filepath.Join(dir, keyFile))
	if err != nil {
		return witness.Signer{}, fmt.Errorf("load the witness: %w", err)
	}
	name, err := os.ReadFile(filepath.Join(dir, nameFile)) //nolint:gosec // the operator names the folder
	if err != nil {
		return witness.Signer{}, fmt.Errorf("load the witness: %w", err)
	}
	return witness.NewSigner(strings.TrimSuffix(string(name), "\n"), k, now)
}

// Witness cosigns.
type Witness struct {
	signer witness.Signer
	dir    string
	now    func() time.Time
	lock   *os.File

	mu      sync.Mutex
	logs    []*log
	answers map[int]uint64 // HTTP status
}

// log is one log that is followed.
type log struct {
	verifier note.Verifier
	head     head
	signed   time.Time // when this process cosigned it last
}

// head is what was seen last of a log. The zero one is that of a log of which nothing was seen.
type head struct {
	size int64
	root tlog.Hash
}

// Open starts a witness that follows the logs of these verifier keys (NAME+HASH+KEY).
func Open(dir string, logs []string, now func() time.Time) (*Witness, error) {
	s, err := Signer(dir, now)
	if err != nil {
		return nil, err
	}
	w := &Witness{signer: s, dir: dir, now: now, answers: map[int]uint64{}}
	if w.lock, err = os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("lock the witness's folder: %w", err)
	}
	if err := syscall.Flock(int(w.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil { //nolint:gosec // a descriptor fits
		return nil, errors.Join(fmt.Errorf("another process runs the witness in %s: %w", dir, err), w.Close())
	}
	if err := w.follow(logs); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Check says everything that would keep Open from these logs, but for a process that has the folder already; else what was seen of each log.
func Check(dir string, logs []string, now func() time.Time) (key string, seen []Seen, err error) {
	s, err := Signer(dir, now)
	w := &Witness{signer: s, dir: dir}
	if err != nil { // what it saw cannot be read without its key
		w.dir = ""
	}
	if err := errors.Join(err, w.follow(logs)); err != nil {
		return "", nil, err
	}
	for _, l := range w.logs {
		seen = append(seen, Seen{Log: l.verifier.Name(), Size: l.head.size})
	}
	return w.Key(), seen, nil
}

// Seen is how much of a log was seen.
type Seen struct {
	Log  string
	Size int64
}

// follow reads the verifier keys, and what was seen of each log where the witness has a folder.
func (w *Witness) follow(logs []string) error {
	var errs []error
	for _, text := range logs {
		v, err := note.NewVerifier(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("log %.80q: %w: write its verifier key NAME+HASH+KEY, as `concordat log key` prints it", text, err))
			continue
		}
		if w.find(v.Name()) != nil {
			errs = append(errs, fmt.Errorf("log %s is named twice", v.Name()))
			continue
		}
		var seen head
		if w.dir != "" {
			if seen, err = w.load(v.Name()); err != nil {
				errs = append(errs, err)
			}
		}
		w.logs = append(w.logs, &log{verifier: v, head: seen})
	}
	return errors.Join(errs...)
}

// Key is the witness's verifier key, which manifests name.
func (w *Witness) Key() string { return w.signer.String() }

// Close gives the folder up.
func (w *Witness) Close() error { return w.lock.Close() }

func (w *Witness) find(origin string) *log {
	if i := slices.IndexFunc(w.logs, func(l *log) bool { return l.verifier.Name() == origin }); i >= 0 {
		return w.logs[i]
	}
	return nil
}
