// Package keyrelease makes workers depend on keys outside the mesh. By default the mesh's own secret is the root of all that a worker derives.
// With a file of vaults, each vault has to release its key to the attested worker as well, and the root is derived from all of them: without
// any one of them nothing that was sealed opens, not even for who holds MarbleRun's state.
//
// Invariant: a root comes of all configured vaults or not at all, and a released key leaves its vault only under a key pair that was made here
// for this one release and quoted by the hardware.
//
// Sees: secrets of the mesh, and keys that vaults release
package keyrelease

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
)

// rootLabel derives the root from the mesh's secret and the released keys.
const rootLabel = "concordat/v1/released-root"

// MinKey is how long a released key must be, in bytes.
const MinKey = 32

var (
	errConfig = errors.New("file of vaults")
	errShort  = errors.New("released key is too short")
)

// Source releases one key to this program.
type Source interface {
	Release(ctx context.Context) ([]byte, error)
}

// Root derives a worker's root from the secret of its mesh and one key of each source, in order. Without sources it is the secret itself.
//
// The input of HKDF-SHA256 (no salt) is each of them behind its length (64 bits, big-endian), so that no two lists give the same input.
func Root(ctx context.Context, secret []byte, sources ...Source) ([]byte, error) {
	if len(sources) == 0 {
		return secret, nil
	}
	input := lengthened(nil, secret)
	for i, s := range sources {
		key, err := s.Release(ctx)
		if err != nil {
			return nil, fmt.Errorf("release key %d of %d: %w", i+1, len(sources), err)
		}
		if len(key) < MinKey {
			return nil, fmt.Errorf("release key %d of %d: %w: %d bytes, at least %d", i+1, len(sources), errShort, len(key), MinKey)
		}
		input = lengthened(input, key)
	}
	root, err := hkdf.Key(sha256.New, input, nil, rootLabel, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the root: %w", err)
	}
	return root, nil
}

func lengthened(to, b []byte) []byte {
	return append(binary.BigEndian.AppendUint64(to, uint64(len(b))), b...)
}

// File names the vaults. It is a file of its own and not a part of a worker's configuration, so that an enclave can measure it: all workers of
// a mesh have the same one, and who pins their measurement pins the vaults.
type File struct {
	// Roots are CA certificates in PEM under which the services below are known. Nothing of the host's own is trusted.
	Roots string `yaml:"roots"`
	// Azure are the vaults, all of which have to release their key.
	Azure []Azure `yaml:"azure"`
}

// Azure is one key of an Azure Key Vault or Managed HSM, and how to get it.
type Azure struct {
	// Key is the key's address with its version, such as https://NAME.managedhsm.azure.net/keys/KEY/VERSION.
	Key string `yaml:"key"`
	// Attestation is the address of the service whose tokens the key's release policy takes (its authority).
	Attestation string `yaml:"attestation"`
	// Identity says as whom the worker asks; the release policy decides, this only lets it ask.
	Identity Identity `yaml:"identity"`
}

// Identity is a managed identity of the machine, or an application with a secret.
type Identity struct {
	// Managed is the client id of the machine's managed identity, or "system" for the one that belongs to the machine.
	Managed string `yaml:"managed,omitempty"`
	// Tenant is that of an application, where the machine has no identity of its own.
	Tenant string `yaml:"tenant,omitempty"`
	// Client is the application's id.
	Client string `yaml:"client,omitempty"`
	// SecretFile is a file with the application's secret, which is read when it is needed.
	SecretFile string `yaml:"secret_file,omitempty"`
}

// Load reads the file strictly.
func Load(path string) (File, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the command line names the file
	if err != nil {
		return File{}, fmt.Errorf("%w: %w", errConfig, err)
	}
	var f File
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict(), yaml.DisallowUnknownField()).Decode(&f); err != nil {
		return File{}, fmt.Errorf("%w %s: %w", errConfig, path, err)
	}
	if err := f.check(); err != nil {
		return File{}, fmt.Errorf("%w %s: %w", errConfig, path, err)
	}
	return f, nil
}

var keyPath = regexp.MustCompile(`^/keys/[0-9A-Za-z-]{1,127}/[0-9a-f]{32}$`)

func (f File) check() error {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	need(x509.NewCertPool().AppendCertsFromPEM([]byte(f.Roots)), "roots: no certificate in PEM; nothing else is trusted")
	need(len(f.Azure) > 0, "azure: name at least one key, or leave the file away")
	for i, a := range f.Azure {
		key, err := url.Parse(a.Key)
		need(err == nil && plain(key) && keyPath.MatchString(key.Path), "azure[%d].key: %q is not https://VAULT/keys/NAME/VERSION", i, a.Key)
		service, err := url.Parse(a.Attestation)
		need(err == nil && plain(service) && service.Path == "", "azure[%d].attestation: %q is not https://SERVICE", i, a.Attestation)
		application := a.Identity.Tenant != "" && a.Identity.Client != "" && a.Identity.SecretFile != ""
		some := a.Identity.Tenant != "" || a.Identity.Client != "" || a.Identity.SecretFile != ""
		need((a.Identity.Managed != "") != some && application == some,
			"azure[%d].identity: give managed, or all of tenant, client and secret_file", i)
		need(!strings.ContainsAny(a.Identity.Tenant, "/?#%"), "azure[%d].identity.tenant: %q is no tenant", i, a.Identity.Tenant)
	}
	return errors.Join(errs...)
}

func plain(u *url.URL) bool {
	return u.Scheme == "https" && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && u.RawPath == ""
}
