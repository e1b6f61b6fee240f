// Package upload is what the parties to an upload of a dataset exchange: the offer of a recipient that a worker made for it, the
// encrypted parts, the statement by which a steward signs for all of them, and the registration of what the worker sealed.
//
// Invariant: each of the four names ledger, collaboration, dataset and version, so none of them counts for another upload.
//
// Sees: plaintext rows (in EncryptPart and DecryptPart), else metadata
package upload

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/key"
)

// The payload types of the signed objects.
const (
	StatementPayloadType    = "application/vnd.concordat.upload+json"
	OfferPayloadType        = "application/vnd.concordat.upload-recipient+json"
	RegistrationPayloadType = "application/vnd.concordat.registration+json"
)

const (
	// MaxParts bounds a statement: 16,384 parts are 1 TiB.
	MaxParts   = 16_384
	maxColumns = 500
	maxText    = 256
)

// ErrInvalid says that an object lacks a field, or has one that it must not have.
var ErrInvalid = errors.New("invalid upload object")

// Target is the dataset version that an upload becomes, under one manifest of one ledger.
type Target struct {
	Ledger        string       `json:"ledger"`
	Collaboration string       `json:"collaboration"`
	Manifest      canon.Digest `json:"manifest"`
	Dataset       string       `json:"dataset"`
	Version       uint32       `json:"version"` // of the dataset, from 1
	Upload        string       `json:"upload"`  // upload id
}

func (t Target) validate() error {
	if t.Ledger == "" || t.Collaboration == "" || !t.Manifest.Valid() || t.Dataset == "" || t.Version == 0 || t.Upload == "" {
		return fmt.Errorf("%w: ledger, collaboration, manifest, dataset, version and upload must all be there", ErrInvalid)
	}
	for _, s := range []string{t.Ledger, t.Collaboration, t.Dataset, t.Upload} {
		if len(s) > maxText {
			return fmt.Errorf("%w: id longer than %d bytes", ErrInvalid, maxText)
		}
	}
	return nil
}

// Folder is where the sealed files of a dataset version lie in the object store, without a slash at its end.
func Folder(collaboration, dataset string, version uint32) string {
	return fmt.Sprintf("datasets/%s/%s/%d", collaboration, dataset, version)
}

// Header is that of part number (from 1) of this upload.
func (t Target) Header(number uint32) Header {
	return Header{Ledger: t.Ledger, Collaboration: t.Collaboration, Dataset: t.Dataset, Version: t.Version, Upload: t.Upload, Number: number}
}

// Part is one encrypted part: digest and size in bytes of its ciphertext. Plain is the size of its plaintext without the header; 0 is unknown, as
// from clients that send CSV only.
type Part struct {
	Digest canon.Digest `json:"digest"`
	Size   int64        `json:"size"`
	Plain  int64        `json:"plain,omitempty"`
}

// Statement is what a steward signs when all parts are there: Parts in order, the columns of the file in order.
type Statement struct {
	Type string `json:"type"` // "concordat.dev/upload/v1"
	Target
	Format  string   `json:"format"`            // CSV, JSONLines, Parquet or Arrow
	Dialect *Dialect `json:"dialect,omitempty"` // how texts are read, where it isn't as usual
	Files   []int    `json:"files,omitempty"`   // parts of each file, in order; without it they are one file
	Columns []string `json:"columns"`           // of texts; the other formats may leave them out
	Parts   []Part   `json:"parts"`
	Client  string   `json:"client"` // name and version of the program that encrypted
	Issued  string   `json:"issued"` // RFC 3339, UTC

	Report   string     `json:"report"`             // the age recipient that the client made for the ingest report
	Tolerate *Tolerance `json:"tolerate,omitempty"` // bad rows that may be left out; without it none
}

const statementType = "concordat.dev/upload/v1"

// Validate says what is wrong with s, in an error that matches ErrInvalid.
func (s Statement) Validate() error {
	if err := s.validate(); err != nil {
		return err
	}
	if s.Type != statementType {
		return fmt.Errorf("%w: type %.40q: want %s", ErrInvalid, s.Type, statementType)
	}
	if err := errors.Join(s.validateFormat(), s.validateReport()); err != nil {
		return err
	}
	if text := s.Format == CSV || s.Format == JSONLines; len(s.Columns) == 0 && text || len(s.Columns) > maxColumns || len(s.Parts) == 0 || len(s.Parts) > MaxParts {
		return fmt.Errorf("%w: %d columns and %d parts, want 1 to %d and 1 to %d", ErrInvalid, len(s.Columns), len(s.Parts), maxColumns, MaxParts)
	}
	for _, c := range append([]string{s.Client}, s.Columns...) {
		if c == "" || len(c) > maxText {
			return fmt.Errorf("%w: client and columns have names of 1 to %d bytes", ErrInvalid, maxText)
		}
	}
	for i, p := range s.Parts {
		if !p.Digest.Valid() || p.Size <= 0 || p.Size > MaxCiphertext || p.Plain < 0 || p.Plain > MaxPart {
			return fmt.Errorf("%w: part %d has no digest, or not 1 to %d bytes", ErrInvalid, i+1, MaxCiphertext)
		}
	}
	if t, err := time.Parse(time.RFC3339, s.Issued); err != nil || t.UTC().Format(time.RFC3339) != s.Issued {
		return fmt.Errorf("%w: issued is not RFC 3339 in UTC with whole seconds", ErrInvalid)
	}
	return nil
}

// Sign validates s and signs it with the steward's key. A zero Type is filled in.
func Sign(s Statement, steward key.Private) (dsse.Envelope, error) {
	if s.Type == "" {
		s.Type = statementType
	}
	if err := s.Validate(); err != nil {
		return dsse.Envelope{}, fmt.Errorf("sign upload: %w", err)
	}
	payload, err := canon.Marshal(s)
	if err != nil {
		return dsse.Envelope{}, fmt.Errorf("sign upload: %w", err)
	}
	return dsse.Sign(StatementPayloadType, payload, steward), nil
}

// Verify returns the statement in e after checking that one of the stewards' keys signed it.
func Verify(e dsse.Envelope, stewards []key.Public) (Statement, error) {
	if _, err := e.Verify(StatementPayloadType, stewards); err != nil {
		return Statement{}, fmt.Errorf("verify upload: %w", err)
	}
	var s Statement
	if err := canon.Unmarshal(e.Payload, &s); err != nil {
		return Statement{}, fmt.Errorf("verify upload: %w: %w", ErrInvalid, err)
	}
	if err := s.Validate(); err != nil {
		return Statement{}, fmt.Errorf("verify upload: %w", err)
	}
	return s, nil
}

// Offer is the recipient that a worker made in its enclave for one upload, endorsed by its certificate.
type Offer struct {
	Type string `json:"type"` // "concordat.dev/upload-recipient/v1"
	Target
	Recipient string `json:"recipient"` // age1pq1…
}

const offerType = "concordat.dev/upload-recipient/v1"

// SignOffer endorses the recipient for target by the worker's certificate.
func SignOffer(target Target, recipient *age.HybridRecipient, worker tls.Certificate) (endorse.Endorsement, error) {
	return sign("sign offer", OfferPayloadType, target, Offer{Type: offerType, Target: target, Recipient: recipient.String()}, worker)
}

// VerifyOffer returns the recipient after checking that a worker below the pinned root made it for exactly this target.
func VerifyOffer(e endorse.Endorsement, root canon.Digest, rootCert *x509.Certificate, target Target) (*age.HybridRecipient, error) {
	var o Offer
	if err := verify(e, OfferPayloadType, root, rootCert, &o); err != nil {
		return nil, fmt.Errorf("verify offer: %w", err)
	}
	if o.Type != offerType || o.Target != target {
		return nil, fmt.Errorf("verify offer: %w: it is for upload %.80q of %.80q version %d", ErrInvalid, o.Upload, o.Dataset, o.Version)
	}
	r, err := age.ParseHybridRecipient(o.Recipient)
	if err != nil {
		return nil, fmt.Errorf("verify offer: %w: recipient: %w", ErrInvalid, err)
	}
	return r, nil
}

// Registration is a worker's word that the file with digest Sealed holds what Statement (digest of the steward's DSSE envelope in
// canonical JSON) signed for.
type Registration struct {
	Type string `json:"type"` // "concordat.dev/registration/v1"
	Target
	Statement canon.Digest `json:"statement"`
	Sealed    canon.Digest `json:"sealed"`
	Tokens    canon.Digest `json:"tokens,omitempty"` // of the rules by which identifiers became tokens; none for public data
}

const registrationType = "concordat.dev/registration/v1"

// SignRegistration endorses r by the worker's certificate. A zero Type is filled in.
func SignRegistration(r Registration, worker tls.Certificate) (endorse.Endorsement, error) {
	r.Type = registrationType
	if !r.Statement.Valid() || !r.Sealed.Valid() {
		return endorse.Endorsement{}, fmt.Errorf("sign registration: %w: digests are missing", ErrInvalid)
	}
	return sign("sign registration", RegistrationPayloadType, r.Target, r, worker)
}

// VerifyRegistration returns the registration after checking that a worker below the pinned root signed it.
func VerifyRegistration(e endorse.Endorsement, root canon.Digest, rootCert *x509.Certificate) (Registration, error) {
	var r Registration
	if err := verify(e, RegistrationPayloadType, root, rootCert, &r); err != nil {
		return Registration{}, fmt.Errorf("verify registration: %w", err)
	}
	if r.Type != registrationType || !r.Statement.Valid() || !r.Sealed.Valid() {
		return Registration{}, fmt.Errorf("verify registration: %w", ErrInvalid)
	}
	return r, r.validate()
}

func sign(op, payloadType string, t Target, v any, worker tls.Certificate) (endorse.Endorsement, error) {
	if err := t.validate(); err != nil {
		return endorse.Endorsement{}, fmt.Errorf("%s: %w", op, err)
	}
	payload, err := canon.Marshal(v)
	if err != nil {
		return endorse.Endorsement{}, fmt.Errorf("%s: %w", op, err)
	}
	return endorse.Sign(payloadType, payload, worker)
}

func verify(e endorse.Endorsement, payloadType string, root canon.Digest, rootCert *x509.Certificate, v any) error {
	payload, err := e.Verify(payloadType, root, rootCert, endorse.Worker)
	if err != nil {
		return err
	}
	if err := canon.Unmarshal(payload, v); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}
