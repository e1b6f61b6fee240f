package marble

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Names under which MarbleRun v1.6.0 hands certificates to a marble, and the one under which our manifest hands it the secret.
const (
	envChain  = "MARBLE_PREDEFINED_MARBLE_CERTIFICATE_CHAIN"
	envKey    = "MARBLE_PREDEFINED_PRIVATE_KEY"
	envRoot   = "MARBLE_PREDEFINED_COORDINATOR_ROOT_CA"
	envSecret = "CONCORDAT_SECRET"
)

// minSecret is the least number of bytes of a root secret.
const minSecret = 32

// parameters are what MarbleRun's answer holds for us. The chain that it predefines is leaf and marble root, which is self-signed;
// the same key has a certificate by the coordinator root, the cross-signed intermediate, and that one takes its place.
type parameters struct {
	leaf, marbleRoot, root *x509.Certificate
	key                    crypto.PrivateKey
	secret                 []byte
}

func readParameters(env map[string][]byte) (parameters, error) {
	var p parameters
	chain, err := readCertificates(env[envChain], 2)
	if err != nil {
		return p, fmt.Errorf("%s in MarbleRun's answer: %w", envChain, err)
	}
	root, err := readCertificates(env[envRoot], 1)
	if err != nil {
		return p, fmt.Errorf("%s in MarbleRun's answer: %w", envRoot, err)
	}
	block, _ := pem.Decode(env[envKey])
	if block == nil {
		return p, fmt.Errorf("%s in MarbleRun's answer: no PEM block", envKey)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return p, fmt.Errorf("%s in MarbleRun's answer: %w", envKey, err)
	}
	secret, err := hex.DecodeString(string(env[envSecret]))
	if err != nil || len(secret) < minSecret {
		return p, fmt.Errorf("%s in MarbleRun's answer must be at least %d bytes in hex: is this mesh's MarbleRun manifest one of Concordat's?", envSecret, minSecret)
	}
	return parameters{leaf: chain[0], marbleRoot: chain[1], root: root[0], key: key, secret: secret}, nil
}

// identity completes the chain with the intermediate and checks that all parts belong together.
func (p parameters) identity(marbleType, uuid string, r Roots) (*Identity, error) {
	if !r.Root.Equal(p.root) {
		return nil, errors.New("MarbleRun's client API and marble API show different roots: the two addresses are not of one MarbleRun")
	}
	chain := []*x509.Certificate{p.leaf, r.Intermediate}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if err := Verify(chain, p.root, marbleType, usage, time.Now()); err != nil {
			return nil, err
		}
	}
	if !samePublicKey(p.key, p.leaf.PublicKey) {
		return nil, errors.New("MarbleRun's private key does not belong to its certificate")
	}
	return &Identity{
		Type: marbleType, UUID: uuid, Root: p.root, Secret: p.secret, Quote: r.Quote,
		Certificate: tls.Certificate{Certificate: [][]byte{p.leaf.Raw, r.Intermediate.Raw}, PrivateKey: p.key, Leaf: p.leaf},
	}, nil
}

func samePublicKey(private crypto.PrivateKey, public crypto.PublicKey) bool {
	s, ok := private.(crypto.Signer)
	if !ok {
		return false
	}
	k, ok := s.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(public)
}

// readCertificates reads exactly want certificates in PEM.
func readCertificates(b []byte, want int) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(out)+1, err)
		}
		out = append(out, c)
	}
	if len(out) != want {
		return nil, fmt.Errorf("want %d certificates, got %d", want, len(out))
	}
	return out, nil
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// loadUUID reads the marble's UUID, or makes one (version 4, RFC 9562) and keeps it.
func loadUUID(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err == nil {
		if u := strings.TrimSpace(string(b)); uuidForm.MatchString(u) {
			return u, nil
		}
		return "", fmt.Errorf("%s holds no UUID; remove it to have one made", file)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read UUID: %w", err)
	}
	var r [16]byte
	_, _ = rand.Read(r[:]) // never fails
	r[6], r[8] = r[6]&0x0f|0x40, r[8]&0x3f|0x80
	u := fmt.Sprintf("%x-%x-%x-%x-%x", r[0:4], r[4:6], r[6:8], r[8:10], r[10:])
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", fmt.Errorf("keep UUID: %w", err)
	}
	if err := os.WriteFile(file, []byte(u), 0o600); err != nil {
		return "", fmt.Errorf("keep UUID: %w", err)
	}
	return u, nil
}
