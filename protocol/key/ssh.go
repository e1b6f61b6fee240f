package key

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"strings"
)

// SSH keys of type ed25519 are Ed25519 keys in another coat: "ssh-ed25519 " and the base64 of the wire form of RFC 8709, as the first
// two words of an id_ed25519.pub. `ssh-keygen -Y sign` wraps a signature as OpenSSH's PROTOCOL.sshsig says. For one key, one
// namespace and the hash sha512 that is a constant and 64 bytes, so both are compared whole and no parser is needed.
const (
	sshPrefix = "ssh-ed25519 "
	sshMagic  = "SSHSIG"
	sshHash   = "sha512" // the default of ssh-keygen
	sshArmor  = "SSH SIGNATURE"
)

// sshString is a string of the SSH protocol (RFC 4251 section 5).
func sshString(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) //nolint:gosec // G115: keys, names and hashes, far below 4 GiB
}

const sshType = "ssh-ed25519"

func (p Public) sshWire() []byte { return append(sshString([]byte(sshType)), sshString(p.raw[:])...) }

func parseSSH(s, encoded string) (Public, error) {
	if strings.Contains(encoded, " ") {
		return Public{}, fmt.Errorf("%w: %.80q…: leave out the comment after the key", ErrMalformed, s)
	}
	wire, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(wire) < ed25519.PublicKeySize {
		return Public{}, fmt.Errorf("%w: %.80q: not the base64 of an SSH key", ErrMalformed, s)
	}
	p, err := PublicFromBytes(wire[len(wire)-ed25519.PublicKeySize:])
	if err != nil {
		return Public{}, err
	}
	if p.ssh = true; p.String() != s {
		return Public{}, fmt.Errorf("%w: %.80q: not an SSH key of type ed25519", ErrMalformed, s)
	}
	return p, nil
}

// SSH says that p is written as an SSH key.
func (p Public) SSH() bool { return p.ssh }

// Same says that p and q are one key, whatever their forms.
func (p Public) Same(q Public) bool { return p.raw == q.raw && p.y == q.y }

// sshSignature is the blob that ssh-keygen writes before the 64 bytes of the signature.
func (p Public) sshSignature(namespace string) []byte {
	var b bytes.Buffer
	b.WriteString(sshMagic)
	b.Write([]byte{0, 0, 0, 1}) // version
	for _, s := range [][]byte{p.sshWire(), []byte(namespace), nil, []byte(sshHash)} {
		b.Write(sshString(s))
	}
	b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(sshString([]byte(sshType)))+4+ed25519.SignatureSize))) //nolint:gosec // G115: 83
	b.Write(sshString([]byte(sshType)))
	b.Write([]byte{0, 0, 0, ed25519.SignatureSize})
	return b.Bytes()
}

// VerifySSH checks what `ssh-keygen -Y sign -n NAMESPACE` wrote for msg, without its armor, with the hash sha512.
func (p Public) VerifySSH(namespace string, msg, blob []byte) bool {
	sig, ok := bytes.CutPrefix(blob, p.sshSignature(namespace))
	if !ok {
		return false
	}
	return p.Verify(sshSigned(namespace, msg), sig)
}

func sshSigned(namespace string, msg []byte) []byte {
	sum := sha512.Sum512(msg)
	var b bytes.Buffer
	b.WriteString(sshMagic)
	for _, s := range [][]byte{[]byte(namespace), nil, []byte(sshHash), sum[:]} {
		b.Write(sshString(s))
	}
	return b.Bytes()
}

// AsSSH is the same key, whose public half is written as an SSH key.
func (p Private) AsSSH() Private { return Private{key: p.key, ssh: true} }

// SignSSH makes what VerifySSH accepts, as ssh-keygen does.
func (p Private) SignSSH(namespace string, msg []byte) []byte {
	return append(p.Public().sshSignature(namespace), p.Sign(sshSigned(namespace, msg))...)
}

// ParseSSHSignature takes the armor off a signature file of ssh-keygen and returns the key that it names, in the form of SSH, and
// the blob. It verifies nothing.
func ParseSSHSignature(armored []byte) (Public, []byte, error) {
	block, rest := pem.Decode(bytes.TrimSpace(armored))
	if block == nil || block.Type != sshArmor || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return Public{}, nil, fmt.Errorf("%w: not a signature of ssh-keygen (-----BEGIN SSH SIGNATURE-----)", ErrMalformed)
	}
	start := len(sshMagic) + 4 + 4 + len(sshString([]byte(sshType))) + 4
	if len(block.Bytes) < start+ed25519.PublicKeySize {
		return Public{}, nil, fmt.Errorf("%w: SSH signature of %d bytes", ErrMalformed, len(block.Bytes))
	}
	p, err := PublicFromBytes(block.Bytes[start : start+ed25519.PublicKeySize])
	if err != nil {
		return Public{}, nil, fmt.Errorf("SSH signature, which must be by a key of type ed25519: %w", err)
	}
	if p.ssh = true; !bytes.HasPrefix(block.Bytes[len(sshMagic)+4+4:], p.sshWire()) {
		return Public{}, nil, fmt.Errorf("%w: SSH signature, but not by a key of type ed25519", ErrMalformed)
	}
	return p, block.Bytes, nil
}

// ArmorSSH writes a blob as ssh-keygen does, so that `ssh-keygen -Y verify` reads it.
func ArmorSSH(blob []byte) []byte {
	encoded := base64.StdEncoding.EncodeToString(blob)
	var b strings.Builder
	b.WriteString("-----BEGIN " + sshArmor + "-----\n")
	for len(encoded) > 0 {
		n := min(len(encoded), 70)
		b.WriteString(encoded[:n] + "\n")
		encoded = encoded[n:]
	}
	b.WriteString("-----END " + sshArmor + "-----\n")
	return []byte(b.String())
}
