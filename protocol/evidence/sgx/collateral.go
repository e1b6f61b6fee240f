package sgx

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-tdx-guest/pcs"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/evidence"
)

// Collateral is what Intel's Provisioning Certification Service (API version 4) answers for a processor, each answer as it came: Intel signs
// bytes. In JSON each is base64.
type Collateral struct {
	TCBInfo    []byte `json:"tcb_info"`    // body of /sgx/certification/v4/tcb
	QEIdentity []byte `json:"qe_identity"` // body of /sgx/certification/v4/qe/identity
	Chain      []byte `json:"chain"`       // header TCB-Info-Issuer-Chain, PEM: signing certificate, root
	PCKCRL     []byte `json:"pck_crl"`     // body of /sgx/certification/v4/pckcrl, DER
	RootCRL    []byte `json:"root_crl"`    // https://certificates.trustedservices.intel.com/IntelSGXRootCA.der
}

// ParseCollateral reads canonical JSON.
func ParseCollateral(b []byte) (*Collateral, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: none is there", evidence.ErrCollateral)
	}
	c := new(Collateral)
	if err := canon.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("%w: %w: %w", evidence.ErrMalformed, evidence.ErrCollateral, err)
	}
	return c, nil
}

// Marshal writes canonical JSON.
func (c *Collateral) Marshal() ([]byte, error) { return canon.Marshal(c) }

// tables are Intel's signed tables, after their signatures.
type tables struct {
	tcb     pcs.TcbInfo
	qe      pcs.EnclaveIdentity
	signing *x509.Certificate
	crls    map[string]*x509.RevocationList // by the issuer's name
}

// open checks signatures, forms and times of the collateral. Newer collateral than at is taken: it knows more.
func (c *Collateral) open(v *Verifier, at time.Time) (*tables, error) {
	fail := func(what string, err error) (*tables, error) {
		return nil, fmt.Errorf("%w: %s: %w", evidence.ErrCollateral, what, err)
	}
	chain, err := readChain(c.Chain, 2)
	if err != nil {
		return fail("issuer chain", err)
	}
	t := &tables{signing: chain[0], crls: map[string]*x509.RevocationList{}}
	key, ok := t.signing.PublicKey.(*ecdsa.PublicKey)
	if !ok || t.signing.Subject.CommonName != nameTCBSigning || !chain[1].Equal(v.root) {
		return fail("issuer chain", fmt.Errorf("%q is not Intel's signer of tables", t.signing.Subject.CommonName))
	}
	if err := v.checkChain(at, t.signing); err != nil {
		return fail("issuer chain", err)
	}
	if err := openTable(c.TCBInfo, "tcbInfo", key, &t.tcb); err != nil {
		return fail("TCB info", err)
	}
	if err := openTable(c.QEIdentity, "enclaveIdentity", key, &t.qe); err != nil {
		return fail("QE identity", err)
	}
	if t.tcb.ID != "SGX" || t.tcb.Version != 3 || t.tcb.TcbType != 0 || t.qe.ID != "QE" || t.qe.Version != 2 {
		return fail("tables", fmt.Errorf("TCB info %q version %d type %d, QE identity %q version %d", t.tcb.ID, t.tcb.Version, t.tcb.TcbType, t.qe.ID, t.qe.Version))
	}
	for what, raw := range map[string][]byte{"PCK": c.PCKCRL, "root": c.RootCRL} {
		crl, err := x509.ParseRevocationList(raw)
		if err != nil {
			return fail(what+" revocation list", err)
		}
		t.crls[crl.Issuer.CommonName] = crl
	}
	if end := t.until(); at.After(end) {
		return fail("tables and revocation lists", fmt.Errorf("to be renewed by %s, before %s", end.Format(time.RFC3339), at.Format(time.RFC3339)))
	}
	return t, nil
}

// openTable checks the signature over the bytes of field as they stand in body, and reads them.
func openTable(body []byte, field string, key *ecdsa.PublicKey, into any) error {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(body, &parts); err != nil {
		return err
	}
	var text string
	if err := json.Unmarshal(parts["signature"], &text); err != nil || len(parts) != 2 {
		return fmt.Errorf("want %s and signature", field)
	}
	signature, err := hex.DecodeString(text)
	if err != nil {
		return err
	}
	if !verifyECDSA(key, parts[field], signature) {
		return fmt.Errorf("%w: not signed by Intel", evidence.ErrSignature)
	}
	return json.Unmarshal(parts[field], into)
}

// until is when the first part has to be renewed.
func (t *tables) until() time.Time {
	first := t.tcb.NextUpdate
	if t.qe.NextUpdate.Before(first) {
		first = t.qe.NextUpdate
	}
	for _, crl := range t.crls {
		if crl.NextUpdate.Before(first) {
			first = crl.NextUpdate
		}
	}
	return first
}

// checkRevoked checks both revocation lists' signatures and looks the certificates up.
func (t *tables) checkRevoked(root, intermediate, pck *x509.Certificate) error {
	for _, link := range []struct {
		issuer *x509.Certificate
		issued []*x509.Certificate
	}{{root, []*x509.Certificate{intermediate, t.signing}}, {intermediate, []*x509.Certificate{pck}}} {
		name := link.issuer.Subject.CommonName
		crl, ok := t.crls[name]
		if !ok || !bytes.Equal(crl.RawIssuer, link.issuer.RawSubject) {
			return fmt.Errorf("%w: no revocation list of %q", evidence.ErrCollateral, name)
		}
		if err := crl.CheckSignatureFrom(link.issuer); err != nil {
			return fmt.Errorf("%w: revocation list of %q: %w", evidence.ErrCollateral, name, err)
		}
		for _, entry := range crl.RevokedCertificateEntries {
			for _, c := range link.issued {
				if entry.SerialNumber.Cmp(c.SerialNumber) == 0 {
					return fmt.Errorf("%w: %q, serial %x", evidence.ErrRevoked, c.Subject.CommonName, c.SerialNumber)
				}
			}
		}
	}
	return nil
}

// status is the state of platform and quoting enclave, the worse of both, with the advisories of the platform's level.
func (t *tables) status(pck *x509.Certificate, qe report) (string, []string, error) {
	exts, err := pcs.PckCertificateExtensions(pck)
	if err != nil {
		return "", nil, malformed("PCK certificate: %v", err)
	}
	if !strings.EqualFold(exts.FMSPC, t.tcb.Fmspc) || !strings.EqualFold(exts.PCEID, t.tcb.PceID) {
		return "", nil, fmt.Errorf("%w: TCB info is for FMSPC %.12s, the processor is %.12s", evidence.ErrCollateral, t.tcb.Fmspc, exts.FMSPC)
	}
	enclave, err := t.quotingEnclave(qe)
	if err != nil {
		return "", nil, err
	}
	for _, level := range t.tcb.TcbLevels {
		if !reaches(exts.TCB, level.Tcb) {
			continue
		}
		if enclave == pcs.TcbComponentStatusRevoked || level.TcbStatus == pcs.TcbComponentStatusRevoked {
			return string(pcs.TcbComponentStatusRevoked), level.AdvisoryIDs, nil
		}
		if enclave != pcs.TcbComponentStatusUpToDate {
			return string(pcs.TcbComponentStatusOutOfDate), append(level.AdvisoryIDs, "quoting enclave "+string(enclave)), nil
		}
		return string(level.TcbStatus), level.AdvisoryIDs, nil
	}
	return "", nil, fmt.Errorf("%w: the platform is below every level of Intel's table", evidence.ErrFirmware)
}

// reaches says that a processor has at least every security version of a level.
func reaches(have pcs.PckCertTCB, level pcs.Tcb) bool {
	if len(level.SgxTcbcomponents) != 16 || len(have.CPUSvnComponents) != 16 || have.PCESvn < level.Pcesvn {
		return false
	}
	for i, c := range level.SgxTcbcomponents {
		if have.CPUSvnComponents[i] < c.Svn {
			return false
		}
	}
	return true
}

// quotingEnclave is the state of the enclave that made the quote, after checking that it is Intel's.
func (t *tables) quotingEnclave(qe report) (pcs.TcbComponentStatus, error) {
	foreign := func(what string) (pcs.TcbComponentStatus, error) {
		return "", fmt.Errorf("%w: the quoting enclave is not Intel's: %s", evidence.ErrSignature, what)
	}
	switch {
	case !bytes.Equal(qe.signer, t.qe.Mrsigner.Bytes):
		return foreign("signer")
	case qe.product != t.qe.IsvProdID:
		return foreign("product")
	case !masked(qe.misc, t.qe.MiscselectMask.Bytes, t.qe.Miscselect.Bytes):
		return foreign("MISCSELECT")
	case !masked(qe.attributes, t.qe.AttributesMask.Bytes, t.qe.Attributes.Bytes):
		return foreign("attributes")
	}
	for _, level := range t.qe.TcbLevels {
		if uint32(qe.version) >= level.Tcb.Isvsvn {
			return level.TcbStatus, nil
		}
	}
	return foreign("version below every level")
}

// masked says that have, under mask, is want.
func masked(have, mask, want []byte) bool {
	if len(mask) != len(have) || len(want) != len(have) {
		return false
	}
	for i := range have {
		if have[i]&mask[i] != want[i] {
			return false
		}
	}
	return true
}
