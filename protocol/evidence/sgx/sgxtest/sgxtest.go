// Package sgxtest is an SGX platform of its own: a root in place of Intel's, a processor, a quoting enclave and Intel's tables about
// them, so that tests can show what genuine vectors cannot: outdated firmware, revocation, debug enclaves, other data.
//
// Sees: nothing real
package sgxtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/sgx"
)

// Platform makes quotes. Its fields may be changed before Quote and Collateral are called.
type Platform struct {
	Root      *x509.Certificate
	Revoked   []*x509.Certificate // for the revocation lists
	Status    string              // of the platform's level in the TCB info
	QEStatus  string              // of the quoting enclave
	PCESVN    uint16              // of the processor; the level of Status wants 13, the one below it, OutOfDate, 5
	FMSPC     string              // in the TCB info
	Issued    time.Time           // of the collateral; it ends 30 days later
	PCK, CA   *x509.Certificate
	rootKey   *ecdsa.PrivateKey
	caKey     *ecdsa.PrivateKey
	pckKey    *ecdsa.PrivateKey
	attestKey *ecdsa.PrivateKey
}

const fmspc = "00906ea10000"

var (
	start    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end      = time.Date(2056, 1, 1, 0, 0, 0, 0, time.UTC)
	qeSigner = sha256.Sum256([]byte("signer of the quoting enclave"))
)

// New makes a platform that is up to date, with collateral issued at a time.
func New(t testing.TB, issued time.Time) *Platform {
	t.Helper()
	p := &Platform{Status: "UpToDate", QEStatus: "UpToDate", PCESVN: 13, FMSPC: fmspc, Issued: issued}
	p.rootKey, p.caKey, p.pckKey, p.attestKey = newKey(t), newKey(t), newKey(t), newKey(t)
	p.Root = issue(t, ca("Intel SGX Root CA"), nil, &p.rootKey.PublicKey, p.rootKey)
	p.CA = issue(t, ca("Intel SGX PCK Platform CA"), p.Root, &p.caKey.PublicKey, p.rootKey)
	return p
}

// Verifier trusts this platform's root.
func (p *Platform) Verifier() *sgx.Verifier { return sgx.WithRoot(p.Root) }

// Enclave is what a quote says.
type Enclave struct {
	Measurement [32]byte
	Debug       bool
	Data        []byte // at most 64 bytes, then zeros
}

// Evidence quotes an enclave, with collateral.
func (p *Platform) Evidence(t testing.TB, e Enclave) evidence.Evidence {
	t.Helper()
	quote := p.Quote(t, e) // first: it makes the processor's certificate
	raw, err := p.Collateral(t).Marshal()
	must(t, err)
	return evidence.Evidence{Kind: evidence.SGX, Report: quote, Collateral: raw}
}

// Quote makes a quote of version 3.
func (p *Platform) Quote(t testing.TB, e Enclave) []byte {
	t.Helper()
	p.PCK = issue(t, p.pckTemplate(t), p.CA, &p.pckKey.PublicKey, p.caKey)
	head := make([]byte, 48)
	binary.LittleEndian.PutUint16(head, 3)
	binary.LittleEndian.PutUint16(head[2:], 2)
	vendor, err := hex.DecodeString("939a7233f79c4ca9940a0db3957f0607")
	must(t, err)
	copy(head[12:], vendor)
	body := report(e.Measurement, sha256.Sum256([]byte("signer")), e.Debug, 0, 0, e.Data)
	x := point(t, p.attestKey)
	auth := []byte("authentication data of 32 bytes.")
	bound := sha256.Sum256(append(append([]byte{}, x...), auth...))
	qe := report(sha256.Sum256([]byte("quoting enclave")), qeSigner, false, 1, 6, bound[:])
	var sig []byte
	sig = append(sig, sign(t, p.attestKey, append(append([]byte{}, head...), body...))...)
	sig = append(sig, x...)
	sig = append(sig, qe...)
	sig = append(sig, sign(t, p.pckKey, qe)...)
	sig = append(binary.LittleEndian.AppendUint16(sig, uint16(len(auth))), auth...) //nolint:gosec // G115: 32
	chain := append(toPEM(p.PCK, p.CA, p.Root), 0)
	sig = binary.LittleEndian.AppendUint16(sig, 5)
	sig = append(binary.LittleEndian.AppendUint32(sig, uint32(len(chain))), chain...) //nolint:gosec // G115: a few thousand
	out := append(append(head, body...), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(out[len(out)-4:], uint32(len(sig))) //nolint:gosec // G115: a few thousand
	return append(out, sig...)
}

// Collateral signs Intel's tables about this platform.
func (p *Platform) Collateral(t testing.TB) *sgx.Collateral {
	t.Helper()
	key := newKey(t)
	signing := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Intel SGX TCB Signing"}, KeyUsage: x509.KeyUsageDigitalSignature}, p.Root, &key.PublicKey, p.rootKey)
	when := fmt.Sprintf(`"issueDate":%q,"nextUpdate":%q,"tcbEvaluationDataNumber":17`, p.Issued.Format(time.RFC3339), p.next().Format(time.RFC3339))
	level := func(pcesvn int, status string) string {
		components := ""
		for i := range 16 {
			components += fmt.Sprintf(`,{"svn":%d}`, i%3)
		}
		return fmt.Sprintf(`{"tcb":{"sgxtcbcomponents":[%s],"pcesvn":%d},"tcbDate":"2026-01-01T00:00:00Z","tcbStatus":%q,"advisoryIDs":["INTEL-SA-%05d"]}`, components[1:], pcesvn, status, pcesvn)
	}
	table := func(field, text string) []byte {
		return fmt.Appendf(nil, `{%q:%s,"signature":"%x"}`, field, text, sign(t, key, []byte(text)))
	}
	return &sgx.Collateral{
		TCBInfo: table("tcbInfo", fmt.Sprintf(`{"id":"SGX","version":3,%s,"fmspc":%q,"pceId":"0000","tcbType":0,"tcbLevels":[%s,%s]}`, when, p.FMSPC, level(13, p.Status), level(5, "OutOfDate"))),
		QEIdentity: table("enclaveIdentity", fmt.Sprintf(`{"id":"QE","version":2,%s,"miscselect":"00000000","miscselectMask":"FFFFFFFF","attributes":"01000000000000000000000000000000",`+
			`"attributesMask":"FBFFFFFFFFFFFFFF0000000000000000","mrsigner":"%x","isvprodid":1,"tcbLevels":[{"tcb":{"isvsvn":6},"tcbDate":"2026-01-01T00:00:00Z","tcbStatus":%q}]}`, when, qeSigner, p.QEStatus)),
		Chain: toPEM(signing, p.Root), PCKCRL: p.crl(t, p.CA, p.caKey), RootCRL: p.crl(t, p.Root, p.rootKey),
	}
}

func (p *Platform) next() time.Time { return p.Issued.Add(30 * 24 * time.Hour) }

func (p *Platform) crl(t testing.TB, issuer *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: p.Issued, NextUpdate: p.next()}
	for _, c := range p.Revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: p.Issued})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, issuer, key)
	must(t, err)
	return der
}

// pckTemplate carries the processor's security versions as Intel's extension 1.2.840.113741.1.13.1 has them.
func (p *Platform) pckTemplate(t testing.TB) *x509.Certificate {
	t.Helper()
	oid := func(rest ...int) asn1.ObjectIdentifier {
		return append(asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}, rest...)
	}
	type octets struct {
		ID    asn1.ObjectIdentifier
		Value []byte
	}
	type number struct {
		ID    asn1.ObjectIdentifier
		Value int
	}
	marshal := func(v any) asn1.RawValue {
		der, err := asn1.Marshal(v)
		must(t, err)
		return asn1.RawValue{FullBytes: der}
	}
	var svns []asn1.RawValue
	for i := range 16 {
		svns = append(svns, marshal(number{oid(2, i+1), i % 3}))
	}
	svns = append(svns, marshal(number{oid(2, 17), int(p.PCESVN)}), marshal(octets{oid(2, 18), make([]byte, 16)}))
	family, err := hex.DecodeString(fmspc)
	must(t, err)
	all := marshal([]asn1.RawValue{
		marshal(octets{oid(1), make([]byte, 16)}),
		marshal(struct {
			ID    asn1.ObjectIdentifier
			Value []asn1.RawValue
		}{oid(2), svns}),
		marshal(octets{oid(3), make([]byte, 2)}), marshal(octets{oid(4), family}),
	})
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "Intel SGX PCK Certificate"}, KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, SubjectKeyId: []byte{1},
		CRLDistributionPoints: []string{"https://pck.example/crl"}, ExtraExtensions: []pkix.Extension{{Id: oid(), Value: all.FullBytes}},
	}
}

func ca(name string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
}

func issue(t testing.TB, c, parent *x509.Certificate, public *ecdsa.PublicKey, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = c
	}
	var err error
	c.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	must(t, err)
	c.NotBefore, c.NotAfter = start, end
	der, err := x509.CreateCertificate(rand.Reader, c, parent, public, by)
	must(t, err)
	out, err := x509.ParseCertificate(der)
	must(t, err)
	return out
}

// report lays out an enclave's REPORT.
func report(measurement, signer [32]byte, debug bool, product, version uint16, data []byte) []byte {
	b := make([]byte, 384)
	b[48] = 1 // INIT
	if debug {
		b[48] |= 2
	}
	copy(b[64:], measurement[:])
	copy(b[128:], signer[:])
	binary.LittleEndian.PutUint16(b[256:], product)
	binary.LittleEndian.PutUint16(b[258:], version)
	copy(b[320:], data)
	return b
}

func sign(t testing.TB, key *ecdsa.PrivateKey, msg []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(msg)
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	must(t, err)
	out := make([]byte, 64)
	r.FillBytes(out[:32])
	s.FillBytes(out[32:])
	return out
}

func point(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	b, err := key.PublicKey.Bytes()
	must(t, err)
	return b[1:]
}

func toPEM(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
