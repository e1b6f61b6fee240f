package receipt

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/grant"
)

// The types of the in-toto statement that a worker signs for a release.
const (
	PayloadType   = "application/vnd.in-toto+json"
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://concordat.dev/release/v1"
)

// ErrInvalid says that a receipt, or a part of it, lacks something or has another form.
var ErrInvalid = errors.New("invalid receipt")

// Statement is an in-toto Statement v1 whose one subject is the released result and whose predicate is a Release.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Release   `json:"predicate"`
}

// Subject names the result by the SHA-256 of its canonical JSON (answer.Result), in hex as in-toto writes digests.
type Subject struct {
	Name   string        `json:"name"`
	Digest SubjectDigest `json:"digest"`
}

// SubjectDigest is in-toto's map of digests, with the one entry that Concordat uses.
type SubjectDigest struct {
	SHA256 string `json:"sha256"`
}

// Release is what a worker says of one release: which documents, data and plan it came from, under which grant.
type Release struct {
	Ledger        string          `json:"ledger"`
	Collaboration string          `json:"collaboration"`
	Version       int             `json:"version"`  // of the manifest
	Manifest      canon.Digest    `json:"manifest"` // of its canonical JSON
	Mode          string          `json:"mode"`     // of the mesh: simulation | sgx
	Query         string          `json:"query"`    // query id
	Policies      []Policy        `json:"policies"` // of the datasets read, by dataset
	Datasets      []grant.Dataset `json:"datasets"` // by id
	SQL           canon.Digest    `json:"sql"`
	Plan          string          `json:"plan,omitempty"` // text of the plan, whose digest (PlanDigest) was granted
	PlanDigest    canon.Digest    `json:"plan_digest"`
	Question      canon.Digest    `json:"question"`
	Mechanism     string          `json:"mechanism"`
	Parameters    json.RawMessage `json:"parameters"` // of the mechanism, canonical JSON
	Price         []grant.Price   `json:"price"`
	Grant         canon.Digest    `json:"grant"` // of the canonical JSON of the grant
	Worker        Worker          `json:"worker"`
}

// Policy is the digest of a dataset's policy.
type Policy struct {
	Dataset string       `json:"dataset"`
	Digest  canon.Digest `json:"digest"`
}

// Worker is what a worker says of itself and of the mesh that admitted it. What of it is proved depends on the mesh's mode.
type Worker struct {
	Version   string              `json:"version"`             // of the program
	Noise     string              `json:"noise"`               // version of the noise derivation and sampler
	Measure   string              `json:"measure,omitempty"`   // measurement of the worker's program, lower-case hex, as MarbleRun's manifest has it
	MarbleRun []byte              `json:"marblerun,omitempty"` // MarbleRun's manifest, which the collaboration's manifest pins
	Evidence  []evidence.Evidence `json:"evidence,omitempty"`  // of MarbleRun's coordinator over the root certificate; none in simulation
}

// maxEvidence bounds the work of a verification.
const maxEvidence = 4

// planPrefix stands before the text of a plan when its digest is taken (sql/plan).
const planPrefix = "concordat.dev/plan/v1\n"

// DigestPlan is the digest of a plan's text.
func DigestPlan(text string) canon.Digest { return canon.Sum([]byte(planPrefix + text)) }

// validate says what is wrong with the release, in an error that matches ErrInvalid.
func (r Release) validate() error {
	bad := func(what string) error { return fmt.Errorf("%w: release: %s", ErrInvalid, what) }
	if r.Ledger == "" || r.Collaboration == "" || r.Query == "" || r.Version < 1 || r.Mechanism == "" {
		return bad("ledger, collaboration, version, query and mechanism must be there")
	}
	for _, d := range []canon.Digest{r.Manifest, r.SQL, r.PlanDigest, r.Question, r.Grant} {
		if !d.Valid() {
			return bad("manifest, sql, plan_digest, question and grant must be digests")
		}
	}
	if r.Mode != "simulation" && r.Mode != "sgx" {
		return bad("mode must be simulation or sgx")
	}
	if r.Plan != "" && DigestPlan(r.Plan) != r.PlanDigest {
		return bad("the plan does not have its digest")
	}
	if len(r.Worker.Evidence) > maxEvidence {
		return bad("too much evidence")
	}
	if !slices.IsSortedFunc(r.Policies, func(a, b Policy) int { return cmp.Compare(a.Dataset, b.Dataset) }) || len(r.Policies) != len(r.Datasets) {
		return bad("policies must be sorted, one for each dataset")
	}
	for i, p := range r.Policies {
		if p.Dataset != r.Datasets[i].ID || !p.Digest.Valid() {
			return bad("policies and datasets must name the same datasets")
		}
	}
	return nil
}

// Sign makes the body of a receipt: the statement for a result (canonical JSON of answer.Result), endorsed by the worker's certificate.
// Parameters may be any JSON; they are brought into canonical form.
func Sign(r Release, result []byte, worker tls.Certificate) (endorse.Endorsement, error) {
	fail := func(err error) (endorse.Endorsement, error) {
		return endorse.Endorsement{}, fmt.Errorf("sign release: %w", err)
	}
	if len(r.Parameters) > 0 {
		canonical, err := canon.Transform(r.Parameters)
		if err != nil {
			return fail(err)
		}
		r.Parameters = canonical
	}
	if err := r.validate(); err != nil {
		return fail(err)
	}
	sum := canon.Sum(result).Raw()
	payload, err := canon.Marshal(Statement{
		Type: StatementType, PredicateType: PredicateType, Predicate: r,
		Subject: []Subject{{Name: subjectName(r), Digest: SubjectDigest{hex.EncodeToString(sum[:])}}},
	})
	if err != nil {
		return fail(err)
	}
	return endorse.Sign(PayloadType, payload, worker)
}

func subjectName(r Release) string { return "release/" + r.Ledger + "/" + r.Query }

// OpenBody returns the release in a body, and the digest of its result, after checking that a worker below the pinned root signed it.
func OpenBody(body endorse.Endorsement, root canon.Digest, rootCert *x509.Certificate) (Release, canon.Digest, error) {
	payload, err := body.Verify(PayloadType, root, rootCert, endorse.Worker)
	if err != nil {
		return Release{}, "", fmt.Errorf("open receipt body: %w", err)
	}
	var s Statement
	if err := canon.Unmarshal(payload, &s); err != nil {
		return Release{}, "", fmt.Errorf("open receipt body: %w: %w", ErrInvalid, err)
	}
	if s.Type != StatementType || s.PredicateType != PredicateType || len(s.Subject) != 1 || s.Subject[0].Name != subjectName(s.Predicate) {
		return Release{}, "", fmt.Errorf("open receipt body: %w: not a statement of %s about one release", ErrInvalid, PredicateType)
	}
	result, err := canon.ParseDigest("sha256:" + s.Subject[0].Digest.SHA256)
	if err != nil {
		return Release{}, "", fmt.Errorf("open receipt body: %w: subject: %w", ErrInvalid, err)
	}
	if err := s.Predicate.validate(); err != nil {
		return Release{}, "", fmt.Errorf("open receipt body: %w", err)
	}
	return s.Predicate, result, nil
}
