// Package grant is the coordinators' leave to execute one query: what was reserved in the replicated ledger, signed by the ledger's
// grant key, which a coordinator's certificate endorses.
//
// Invariant: a grant that Verify returned belongs to the expected ledger and was signed by the key that a marble of type
// coordinator below the pinned root vouches for.
//
// Sees: metadata
package grant

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/key"
)

// The payload types.
const (
	PayloadType     = "application/vnd.concordat.grant+json"
	KeysPayloadType = "application/vnd.concordat.ledger-keys+json"
)

// The reasons of Verify.
var (
	ErrInvalid = errors.New("invalid grant")
	ErrLedger  = errors.New("the grant is for another ledger")
)

// MaxSize is the size of a signed grant that Parse reads.
const MaxSize = 1 << 20

// Grant binds one query to the reservation that pays for it.
type Grant struct {
	Type          string       `json:"type"`  // "concordat.dev/grant/v1"
	Query         string       `json:"query"` // query id
	Ledger        string       `json:"ledger"`
	Collaboration string       `json:"collaboration"`
	Version       int          `json:"version"`  // of the manifest
	Manifest      canon.Digest `json:"manifest"` // of its canonical JSON
	Person        string       `json:"person"`
	Participant   string       `json:"participant"`
	SQL           canon.Digest `json:"sql"` // of the text's bytes
	Plan          canon.Digest `json:"plan"`
	Question      canon.Digest `json:"question"` // names the stored answer
	Datasets      []Dataset    `json:"datasets"` // by id
	Price         []Price      `json:"price"`    // by owner and namespace
	Index         uint64       `json:"index"`    // raft index of the reservation
	Reserved      string       `json:"reserved"` // time of the ledger, RFC 3339, UTC
}

// Dataset is a dataset version that the plan reads, with the digest of its sealed file.
type Dataset struct {
	ID      string       `json:"id"`
	Version uint32       `json:"version"`
	Sealed  canon.Digest `json:"sealed"`
}

// Price is what one owner's namespace pays, and what it had spent before, over the lifetime. Rho is in units of 1e-9.
type Price struct {
	Owner       string `json:"owner"`
	Namespace   string `json:"namespace"`
	Rho         int64  `json:"rho"`
	SpentBefore int64  `json:"spent_before"`
	Queries     int64  `json:"queries,omitempty"`
}

const grantType = "concordat.dev/grant/v1"

// Validate says what is wrong with g, in an error that matches ErrInvalid.
func (g Grant) Validate() error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrInvalid, what) }
	for _, s := range []string{g.Query, g.Ledger, g.Collaboration, g.Person, g.Participant} {
		if s == "" || len(s) > 256 {
			return bad("query, ledger, collaboration, person and participant must be there, at most 256 bytes each")
		}
	}
	for _, d := range []canon.Digest{g.Manifest, g.SQL, g.Plan, g.Question} {
		if !d.Valid() {
			return bad("manifest, sql, plan and question must be digests")
		}
	}
	if g.Type != grantType || g.Version < 1 || g.Index < 1 {
		return bad("type, version or index")
	}
	if len(g.Datasets) == 0 || len(g.Datasets) > 64 || !slices.IsSortedFunc(g.Datasets, byID) || repeats(g.Datasets, byID) {
		return bad("datasets must be 1 to 64, sorted, each once")
	}
	for _, d := range g.Datasets {
		if d.ID == "" || d.Version == 0 || !d.Sealed.Valid() {
			return bad("dataset without id, version or digest")
		}
	}
	if len(g.Price) > 64 || !slices.IsSortedFunc(g.Price, byOwner) || repeats(g.Price, byOwner) {
		return bad("prices must be at most 64, sorted, each owner and namespace once")
	}
	for _, p := range g.Price {
		if p.Owner == "" || p.Namespace == "" || p.Rho < 0 || p.SpentBefore < 0 || p.Queries < 0 {
			return bad("price without owner or namespace, or below zero")
		}
	}
	if t, err := time.Parse(time.RFC3339, g.Reserved); err != nil || t.UTC().Format(time.RFC3339) != g.Reserved {
		return bad("reserved is not RFC 3339 in UTC with whole seconds")
	}
	return nil
}

func byID(a, b Dataset) int { return cmp.Compare(a.ID, b.ID) }

func byOwner(a, b Price) int {
	return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Namespace, b.Namespace))
}

func repeats[T any](s []T, compare func(a, b T) int) bool {
	for i := 1; i < len(s); i++ {
		if compare(s[i-1], s[i]) == 0 {
			return true
		}
	}
	return false
}

// Keys are the keys of one ledger, derived from the coordinators' secret and the ledger id. Endorsed by a coordinator's certificate
// they are what strangers check grants and checkpoints with.
type Keys struct {
	Type   string     `json:"type"` // "concordat.dev/ledger-keys/v1"
	Ledger string     `json:"ledger"`
	Log    key.Public `json:"log"`   // signs checkpoints
	Grant  key.Public `json:"grant"` // signs grants
}

const keysType = "concordat.dev/ledger-keys/v1"

// Origin is the name of a ledger's log in checkpoints and verifier keys (C2SP tlog-checkpoint: a URL without scheme).
func Origin(ledger string) string { return "concordat.dev/ledger/" + ledger }

// EndorseKeys signs keys by a coordinator's certificate. A zero Type is filled in.
func EndorseKeys(k Keys, coordinator tls.Certificate) (endorse.Endorsement, error) {
	k.Type = keysType
	payload, err := canon.Marshal(k)
	if err != nil {
		return endorse.Endorsement{}, fmt.Errorf("endorse ledger keys: %w", err)
	}
	return endorse.Sign(KeysPayloadType, payload, coordinator)
}

// VerifyKeys returns the keys of the expected ledger after checking that a coordinator below the pinned root vouches for them.
func VerifyKeys(e endorse.Endorsement, root canon.Digest, rootCert *x509.Certificate, ledger string) (Keys, error) {
	payload, err := e.Verify(KeysPayloadType, root, rootCert, endorse.Coordinator)
	if err != nil {
		return Keys{}, fmt.Errorf("verify ledger keys: %w", err)
	}
	var k Keys
	if err := canon.Unmarshal(payload, &k); err != nil {
		return Keys{}, fmt.Errorf("verify ledger keys: %w: %w", ErrInvalid, err)
	}
	if k.Type != keysType || k.Log.IsZero() || k.Grant.IsZero() {
		return Keys{}, fmt.Errorf("verify ledger keys: %w: type or a key is missing", ErrInvalid)
	}
	if k.Ledger != ledger {
		return Keys{}, fmt.Errorf("verify ledger keys: %w: %.40q, want %q", ErrLedger, k.Ledger, ledger)
	}
	return k, nil
}

// Signed is a grant with what is needed to check it.
type Signed struct {
	Grant dsse.Envelope       `json:"grant"`
	Keys  endorse.Endorsement `json:"keys"`
}

// Sign brings datasets and prices into order, validates g and signs it with the ledger's grant key; keys is the endorsement of that key.
func Sign(g Grant, grantKey key.Private, keys endorse.Endorsement) (Signed, error) {
	g.Type, g.Datasets, g.Price = grantType, slices.Clone(g.Datasets), slices.Clone(g.Price)
	slices.SortFunc(g.Datasets, byID)
	slices.SortFunc(g.Price, byOwner)
	if err := g.Validate(); err != nil {
		return Signed{}, fmt.Errorf("sign grant: %w", err)
	}
	payload, err := canon.Marshal(g)
	if err != nil {
		return Signed{}, fmt.Errorf("sign grant: %w", err)
	}
	return Signed{Grant: dsse.Sign(PayloadType, payload, grantKey), Keys: keys}, nil
}

// Marshal writes the signed grant as canonical JSON.
func (s Signed) Marshal() ([]byte, error) { return canon.Marshal(s) }

// Parse reads what Marshal wrote. It checks no signature.
func Parse(b []byte) (Signed, error) {
	if len(b) > MaxSize {
		return Signed{}, fmt.Errorf("%w: %d bytes, at most %d", ErrInvalid, len(b), MaxSize)
	}
	var s Signed
	if err := canon.Unmarshal(b, &s); err != nil {
		return Signed{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return s, nil
}

// Verify returns the grant and the ledger's keys after checking the keys' endorsement and the one signature of the grant. ledger and
// root are the pins of the signed manifest.
func (s Signed) Verify(root canon.Digest, rootCert *x509.Certificate, ledger string) (Grant, Keys, error) {
	keys, err := VerifyKeys(s.Keys, root, rootCert, ledger)
	if err != nil {
		return Grant{}, Keys{}, fmt.Errorf("verify grant: %w", err)
	}
	if _, err := s.Grant.Verify(PayloadType, []key.Public{keys.Grant}); err != nil {
		return Grant{}, Keys{}, fmt.Errorf("verify grant: %w: %w", ErrInvalid, err)
	}
	if len(s.Grant.Signatures) != 1 {
		return Grant{}, Keys{}, fmt.Errorf("verify grant: %w: %d signatures, want that of the grant key alone", ErrInvalid, len(s.Grant.Signatures))
	}
	var g Grant
	if err := canon.Unmarshal(s.Grant.Payload, &g); err != nil {
		return Grant{}, Keys{}, fmt.Errorf("verify grant: %w: %w", ErrInvalid, err)
	}
	if err := g.Validate(); err != nil {
		return Grant{}, Keys{}, fmt.Errorf("verify grant: %w", err)
	}
	if g.Ledger != ledger {
		return Grant{}, Keys{}, fmt.Errorf("verify grant: %w: %.40q, want %q", ErrLedger, g.Ledger, ledger)
	}
	return g, keys, nil
}
