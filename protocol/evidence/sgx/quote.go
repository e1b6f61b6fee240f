package sgx

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"

	"concordat.dev/protocol/evidence"
)

// Sizes and numbers of Intel's "SGX ECDSA Quote Library Reference", appendix A.4 (quote, version 3), and of the enclave report.
const (
	headerSize    = 48
	reportSize    = 384
	quoteVersion  = 3
	keyECDSA      = 2 // attestation key type: ECDSA-256 with P-256
	certsPCKChain = 5 // certification data type: PEM of the PCK certificate and its chain
	flagInit      = 1 << 0
	flagDebug     = 1 << 1
)

// intelQE is the vendor id of Intel's quoting enclave.
var intelQE = []byte{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07}

// openEnclave is the header that Open Enclave puts before a quote: version 1, type 2 (remote report), then the size.
var openEnclave = []byte{1, 0, 0, 0, 2, 0, 0, 0}

// report is the part of an enclave's REPORT that is signed (Intel SDM, volume 3D, table "REPORT").
type report struct {
	raw        []byte
	misc       []byte // MISCSELECT, 4 bytes
	flags      uint64
	attributes []byte // flags and XFRM, 16 bytes
	enclave    []byte // MRENCLAVE
	signer     []byte // MRSIGNER
	product    uint16
	version    uint16
	data       []byte // 64 bytes
}

func readReport(b []byte) report {
	return report{
		raw: b, misc: b[16:20], flags: binary.LittleEndian.Uint64(b[48:]), attributes: b[48:64],
		enclave: b[64:96], signer: b[128:160], product: binary.LittleEndian.Uint16(b[256:]), version: binary.LittleEndian.Uint16(b[258:]), data: b[320:384],
	}
}

// quote is a version 3 quote in its parts.
type quote struct {
	signed      []byte // header and report
	report      report
	signature   []byte
	key         []byte // attestation key, x and y
	qe          report // of the quoting enclave
	qeSignature []byte
	qeAuth      []byte
	chain       []*x509.Certificate // PCK certificate, intermediate, root
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{evidence.ErrMalformed}, args...)...)
}

// parseQuote takes the whole of b, or b after Open Enclave's header.
func parseQuote(b []byte) (quote, error) {
	if bytes.HasPrefix(b, openEnclave) {
		if len(b) < 16 || binary.LittleEndian.Uint64(b[8:]) != uint64(len(b)-16) {
			return quote{}, malformed("Open Enclave's header gives another size")
		}
		b = b[16:]
	}
	if len(b) < headerSize+reportSize+4 {
		return quote{}, malformed("quote of %d bytes", len(b))
	}
	if v, kind := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:]); v != quoteVersion || kind != keyECDSA {
		return quote{}, malformed("quote of version %d, key type %d; want %d and %d", v, kind, quoteVersion, keyECDSA)
	}
	if tee := binary.LittleEndian.Uint32(b[4:]); tee != 0 || !bytes.Equal(b[12:28], intelQE) {
		return quote{}, malformed("not by Intel's SGX quoting enclave")
	}
	q := quote{signed: b[:headerSize+reportSize], report: readReport(b[headerSize:])}
	all := reader{b: b[headerSize+reportSize:]}
	r := reader{b: all.sized(4)}
	if all.failed || len(all.b) > 0 {
		return quote{}, malformed("the quote does not end where it says")
	}
	q.signature, q.key = r.take(64), r.take(64)
	qe := r.take(reportSize)
	q.qeSignature, q.qeAuth = r.take(64), r.sized(2)
	kind := r.take(2)
	chain := r.sized(4)
	if r.failed || len(r.b) > 0 {
		return quote{}, malformed("the quote's parts do not fill it")
	}
	q.qe = readReport(qe)
	if k := binary.LittleEndian.Uint16(kind); k != certsPCKChain {
		return quote{}, malformed("certification data of type %d: want the PCK certificate chain (%d)", k, certsPCKChain)
	}
	var err error
	q.chain, err = readChain(chain, 3)
	return q, err
}

// reader takes parts off the front; failed says that there was less than asked for.
type reader struct {
	b      []byte
	failed bool
}

// take gives zeros where there is too little, so that whoever reads on needs to look at failed only once.
func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.failed, r.b = true, nil
		return make([]byte, min(n, reportSize))
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// sized takes a part whose length stands before it in 2 or 4 bytes.
func (r *reader) sized(width int) []byte {
	size := make([]byte, 4)
	copy(size, r.take(width))
	return r.take(int(binary.LittleEndian.Uint32(size)))
}

// readChain reads exactly want certificates; zeros may follow, as Intel's library writes C strings.
func readChain(b []byte, want int) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	b = bytes.TrimRight(b, "\x00\r\n")
	for len(b) > 0 {
		block, rest := pem.Decode(b)
		if block == nil || block.Type != "CERTIFICATE" || len(out) == want {
			return nil, malformed("certificate chain: want %d certificates in PEM", want)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, malformed("certificate %d: %v", len(out), err)
		}
		out, b = append(out, c), bytes.TrimLeft(rest, "\r\n")
	}
	if len(out) != want {
		return nil, malformed("chain of %d certificates, want %d", len(out), want)
	}
	return out, nil
}

// verifyECDSA checks a signature of 32 bytes r and 32 bytes s over msg.
func verifyECDSA(k *ecdsa.PublicKey, msg, signature []byte) bool {
	sum := sha256.Sum256(msg)
	return len(signature) == 64 && ecdsa.Verify(k, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

// checkSignatures follows the quote from the PCK key, over the quoting enclave's report and its attestation key, to the enclave.
func (q quote) checkSignatures(pck *x509.Certificate) error {
	pckKey, ok := pck.PublicKey.(*ecdsa.PublicKey)
	if !ok || !verifyECDSA(pckKey, q.qe.raw, q.qeSignature) {
		return fmt.Errorf("%w: report of the quoting enclave", evidence.ErrSignature)
	}
	bound := sha256.Sum256(append(bytes.Clone(q.key), q.qeAuth...))
	if !bytes.Equal(q.qe.data[:32], bound[:]) || !bytes.Equal(q.qe.data[32:], make([]byte, 32)) {
		return fmt.Errorf("%w: the quoting enclave vouches for another attestation key", evidence.ErrSignature)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, q.key...))
	if err != nil {
		return fmt.Errorf("%w: attestation key: %w", evidence.ErrSignature, err)
	}
	if !verifyECDSA(key, q.signed, q.signature) {
		return fmt.Errorf("%w: report of the enclave", evidence.ErrSignature)
	}
	return nil
}
