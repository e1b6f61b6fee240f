package key

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

const (
	seedPrefix  = "ed25519-seed:"
	maxFileSize = 4096
)

// ErrExposed says that a key file can be read by others than its owner.
var ErrExposed = errors.New("key file is readable by others")

// Load reads a file that Save wrote, or an OpenSSH private key of type ed25519 without passphrase. It refuses a file that group or others may read or write.
func Load(path string) (Private, error) {
	f, err := os.Open(path)
	if err != nil {
		return Private{}, fmt.Errorf("load key: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return Private{}, fmt.Errorf("load key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return Private{}, fmt.Errorf("load key %s: %w (mode %04o): run chmod 600 %s", path, ErrExposed, info.Mode().Perm(), path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return Private{}, fmt.Errorf("load key: %w", err)
	}
	p, err := parseFile(b)
	if err != nil {
		return Private{}, fmt.Errorf("load key %s: %w", path, err)
	}
	return p, nil
}

// Save writes the key to a new file of mode 0600: a comment with the public key, then "ed25519-seed:" and the base64 of the seed.
// It never overwrites: the error then matches fs.ErrExist.
func (p Private) Save(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("save key: %w: move the old key away first, it may be the only one that can sign", err)
	}
	if err != nil {
		return fmt.Errorf("save key: %w", err)
	}
	text := "# public: " + p.Public().String() + "\n" + seedPrefix + base64.StdEncoding.EncodeToString(p.key.Seed()) + "\n"
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("save key: %w", err), os.Remove(path))
	}
	return nil
}

func parseFile(b []byte) (Private, error) {
	if len(b) > maxFileSize {
		return Private{}, fmt.Errorf("%w: file larger than %d bytes", ErrMalformed, maxFileSize)
	}
	if strings.HasPrefix(string(b), "-----BEGIN "+sshPrivateArmor) {
		return parseSSHPrivate(b)
	}
	var found Private
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		rest, ok := strings.CutPrefix(line, seedPrefix)
		if !ok || !found.IsZero() {
			return Private{}, fmt.Errorf("%w: want one line %q and the base64 of %d bytes", ErrMalformed, seedPrefix, ed25519.SeedSize)
		}
		seed, err := base64.StdEncoding.Strict().DecodeString(rest)
		if err != nil {
			return Private{}, fmt.Errorf("%w: the seed is not base64", ErrMalformed)
		}
		if found, err = FromSeed(seed); err != nil {
			return Private{}, err
		}
	}
	if found.IsZero() {
		return Private{}, fmt.Errorf("%w: no line starts with %q", ErrMalformed, seedPrefix)
	}
	return found, nil
}
