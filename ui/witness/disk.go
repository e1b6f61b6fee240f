package witness

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// file is where the newest checkpoint of a log is kept, with our own cosignature, by which a file that was damaged is found out.
func (w *Witness) file(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return filepath.Join(w.dir, hex.EncodeToString(sum[:16])+".checkpoint")
}

func (w *Witness) load(origin string) (head, error) {
	file := w.file(origin)
	raw, err := os.ReadFile(file) //nolint:gosec // in the folder that the operator names
	if errors.Is(err, fs.ErrNotExist) {
		return head{}, nil
	}
	if err != nil {
		return head{}, fmt.Errorf("read what was seen of %s: %w", origin, err)
	}
	n, err := note.Open(raw, note.VerifierList(w.signer))
	if err != nil {
		return head{}, fmt.Errorf("%s is not what this witness wrote: %w: bring it back from a copy, or make a new witness", file, err)
	}
	seen, name, err := parseText(n.Text)
	if err == nil && name != origin {
		err = fmt.Errorf("it is of %.80q", name)
	}
	if err != nil {
		return head{}, fmt.Errorf("%s: %w", file, err)
	}
	return seen, nil
}

// parseText reads origin, size and root; lines after them belong to the log.
func parseText(text string) (head, string, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[0] == "" {
		return head{}, "", errors.New("not a checkpoint: want origin, size and root")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return head{}, "", fmt.Errorf("not a checkpoint: size %.40q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return head{}, "", fmt.Errorf("not a checkpoint: root %.80q", lines[2])
	}
	if slices.Contains(lines[3:len(lines)-1], "") || lines[len(lines)-1] != "" {
		return head{}, "", errors.New("not a checkpoint: an empty line")
	}
	if empty, _ := tlog.TreeHash(0, nil); size == 0 && root != empty {
		return head{}, "", errors.New("not a checkpoint: an empty log has another root")
	}
	return head{size: size, root: root}, lines[0], nil
}

// replace writes a file so that after a crash there is the old one or the new one, and the new one once it returned.
func replace(file string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }() // gone when it was renamed
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
