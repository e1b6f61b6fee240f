package key

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/pem"
	"fmt"
)

// OpenSSH's own format of private keys (PROTOCOL.key): "openssh-key-v1", cipher, KDF, number of keys, public and private part.
const (
	sshPrivateArmor = "OPENSSH PRIVATE KEY"
	sshPrivateMagic = "openssh-key-v1\x00"
)

// parseSSHPrivate reads a file of one ed25519 key that is not encrypted. With a passphrase, ssh-keygen has to sign.
func parseSSHPrivate(b []byte) (Private, error) {
	bad := func(why string) (Private, error) {
		return Private{}, fmt.Errorf("%w: OpenSSH private key: %s", ErrMalformed, why)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != sshPrivateArmor {
		return bad("its armor is broken")
	}
	rest, ok := bytes.CutPrefix(block.Bytes, []byte(sshPrivateMagic))
	if !ok {
		return bad("unknown version")
	}
	fields := make([][]byte, 3) // cipher, KDF, its options
	for i := range fields {
		if fields[i], rest, ok = cutSSHString(rest); !ok {
			return bad("cut short")
		}
	}
	if string(fields[0]) != "none" {
		return bad("it has a passphrase: sign with ssh-keygen ('concordat manifest approval-payload --help' shows how)")
	}
	if len(rest) < 4 || binary.BigEndian.Uint32(rest) != 1 {
		return bad("it holds not one key")
	}
	_, rest, ok = cutSSHString(rest[4:]) // the public half, which is in the private part too
	private, rest, ok2 := cutSSHString(rest)
	if !ok || !ok2 || len(rest) > 0 || len(private) < 8 || !bytes.Equal(private[:4], private[4:8]) {
		return bad("cut short")
	}
	kind, private, ok := cutSSHString(private[8:])
	if !ok || string(kind) != sshType {
		return bad(fmt.Sprintf("it is of type %.40q, not ed25519", kind))
	}
	public, private, ok := cutSSHString(private)
	secret, _, ok2 := cutSSHString(private)
	if !ok || !ok2 || len(secret) != ed25519.PrivateKeySize {
		return bad("cut short")
	}
	p, err := FromSeed(secret[:ed25519.SeedSize])
	if err != nil || !bytes.Equal(p.Public().Bytes(), public) {
		return bad("its halves do not belong together")
	}
	return p.AsSSH(), nil
}

// cutSSHString takes a string of the SSH protocol off the front.
func cutSSHString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if uint64(len(b)-4) < n {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}
