package keyrelease

import (
	"crypto"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

var (
	errSigned = errors.New("what came is not signed by the vault")
	errWrap   = errors.New("the released key does not open")
)

// released is the signed part of an answer: what was asked, and the key.
type released struct {
	Request struct {
		KeyID string `json:"kid"`
		Enc   string `json:"enc"`
		Nonce string `json:"nonce"`
	} `json:"request"`
	Response struct {
		Key struct {
			Key struct {
				Type string `json:"kty"`
				ID   string `json:"kid"`
				HSM  string `json:"key_hsm"`
			} `json:"key"`
		} `json:"key"`
	} `json:"response"`
}

// open checks the vault's signature, that it answers this request, and unwraps the key.
func (a azure) open(token, nonce string, pair *rsa.PrivateKey) ([]byte, error) {
	raw, err := a.verify(token)
	if err != nil {
		return nil, err
	}
	var r released
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	key := r.Response.Key.Key
	switch {
	case key.ID != a.cfg.Key:
		return nil, fmt.Errorf("%w: another key: %.200q", errAnswer, key.ID)
	case r.Request.Enc != wrapping:
		return nil, fmt.Errorf("%w: wrapped by %.40q, want %s", errAnswer, r.Request.Enc, wrapping)
	case r.Request.Nonce != "" && r.Request.Nonce != nonce:
		return nil, fmt.Errorf("%w: the answer to another request", errAnswer)
	}
	blob, err := decode(key.HSM)
	if err != nil {
		return nil, fmt.Errorf("%w: key_hsm: %w", errAnswer, err)
	}
	var hsm struct {
		Ciphertext string `json:"ciphertext"`
	}
	if err := json.Unmarshal(blob, &hsm); err != nil {
		return nil, fmt.Errorf("%w: key_hsm: %w", errAnswer, err)
	}
	ciphertext, err := decode(hsm.Ciphertext)
	if err != nil {
		return nil, fmt.Errorf("%w: ciphertext: %w", errAnswer, err)
	}
	plain, err := unwrap(ciphertext, pair)
	if err != nil {
		return nil, err
	}
	return material(key.Type, plain)
}

func decode(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }

// verify gives the payload of a JWS whose certificate is the vault's, under the pinned roots.
func (a azure) verify(token string) ([]byte, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%w: not a token of three parts", errSigned)
	}
	head, err := decode(parts[0])
	if err != nil {
		return nil, fmt.Errorf("%w: header: %w", errSigned, err)
	}
	var h struct {
		Algorithm string   `json:"alg"`
		Critical  []string `json:"crit"`
		Chain     [][]byte `json:"x5c"` // base64 with padding (RFC 7515, 4.1.6), as encoding/json reads bytes
	}
	if err := json.Unmarshal(head, &h); err != nil || len(h.Chain) == 0 || len(h.Chain) > 8 || len(h.Critical) > 0 || h.Algorithm != "RS256" {
		return nil, fmt.Errorf("%w: algorithm %.20q, %d certificates: %w", errSigned, h.Algorithm, len(h.Chain), err)
	}
	leaf, err := a.vault(h.Chain)
	if err != nil {
		return nil, err
	}
	signature, err := decode(parts[2])
	if err != nil {
		return nil, fmt.Errorf("%w: signature: %w", errSigned, err)
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(leaf, crypto.SHA256, sum[:], signature); err != nil {
		return nil, fmt.Errorf("%w: %w", errSigned, err)
	}
	return decode(parts[1])
}

// vault checks that a chain, leaf first, is that of the vault's name.
func (a azure) vault(chain [][]byte) (*rsa.PublicKey, error) {
	address, err := url.Parse(a.cfg.Key)
	if err != nil {
		return nil, err
	}
	between := x509.NewCertPool()
	for _, raw := range chain[1:] {
		c, err := x509.ParseCertificate(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: chain: %w", errSigned, err)
		}
		between.AddCert(c)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("%w: leaf: %w", errSigned, err)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: a.roots, Intermediates: between, DNSName: address.Hostname(), CurrentTime: a.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSigned, err)
	}
	key, ok := leaf.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: a key of type %T", errSigned, leaf.PublicKey)
	}
	return key, nil
}

// unwrap opens RSA_AES_KEY_WRAP_256: an AES key under OAEP with SHA-256, then the key under that AES key.
func unwrap(ciphertext []byte, pair *rsa.PrivateKey) ([]byte, error) {
	if len(ciphertext) <= pair.Size() {
		return nil, fmt.Errorf("%w: %d bytes", errWrap, len(ciphertext))
	}
	kek, err := rsa.DecryptOAEP(sha256.New(), nil, pair, ciphertext[:pair.Size()], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWrap, err)
	}
	return unwrapPadded(kek, ciphertext[pair.Size():])
}

// paddedIV begins what RFC 5649 wraps; the length in bytes follows, 32 bits.
const paddedIV = 0xa65959a6

// unwrapPadded is AES key unwrap with padding, RFC 5649 section 4.2.
func unwrapPadded(kek, wrapped []byte) ([]byte, error) {
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWrap, err)
	}
	if len(wrapped) < 16 || len(wrapped)%8 != 0 || len(wrapped) > 8192 {
		return nil, fmt.Errorf("%w: %d bytes", errWrap, len(wrapped))
	}
	// b is A and R[i] for each turn; r is A, R[1], …, R[n] in place.
	r, n := append([]byte(nil), wrapped...), uint64(len(wrapped)/8-1)
	if n == 1 {
		block.Decrypt(r, r)
	} else {
		b := make([]byte, 16)
		for t := 6 * n; t >= 1; t-- {
			i := (t-1)%n + 1
			binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(r)^t)
			copy(b[8:], r[8*i:8*i+8])
			block.Decrypt(b, b)
			copy(r, b[:8])
			copy(r[8*i:], b[8:])
		}
	}
	head, size := binary.BigEndian.Uint32(r), uint64(binary.BigEndian.Uint32(r[4:]))
	if head != paddedIV || size > 8*n || size <= 8*(n-1) {
		return nil, fmt.Errorf("%w: it was wrapped under another key, or changed", errWrap)
	}
	if padding := r[8+size:]; subtle.ConstantTimeCompare(padding, make([]byte, len(padding))) != 1 {
		return nil, fmt.Errorf("%w: padding", errWrap)
	}
	return r[8 : 8+size], nil
}

// material is the secret number or bytes of a key, the same however it was encoded: a symmetric key's bytes; the two primes of an RSA key, the
// smaller one first; the private scalar of an elliptic curve's key. Key Vault exports no symmetric keys, Managed HSM does.
func material(kind string, plain []byte) ([]byte, error) {
	switch kind {
	case "oct", "oct-HSM":
		return plain, nil
	case "RSA", "RSA-HSM", "EC", "EC-HSM":
	default:
		return nil, fmt.Errorf("%w: a key of type %.20q", errAnswer, kind)
	}
	private, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	switch k := private.(type) {
	case *rsa.PrivateKey:
		p, q := k.Primes[0], k.Primes[1]
		if p.Cmp(q) > 0 {
			p, q = q, p
		}
		return append(p.Bytes(), q.Bytes()...), nil
	case *ecdsa.PrivateKey:
		return k.Bytes()
	}
	return nil, fmt.Errorf("%w: a key of type %T", errAnswer, private)
}
