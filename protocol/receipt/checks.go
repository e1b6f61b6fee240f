package receipt

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/grant"
)

func (v *verification) checkManifest() (Status, string, error) {
	digest := canon.Sum(v.Manifest)
	switch {
	case digest == v.options.Manifest:
		return Proved, "the manifest is the trusted one, " + digest.String(), nil
	case v.options.Manifest == "" && v.options.AnyManifest:
		return Claimed, "no manifest was given to compare with: compare " + digest.String() + " with what was signed", nil
	case v.options.Manifest == "":
		return Failed, "", fmt.Errorf("no trusted manifest was given; the receipt has %s", digest)
	default:
		return Failed, "", fmt.Errorf("the receipt's manifest is %s, the trusted one is %s", digest, v.options.Manifest)
	}
}

func (v *verification) checkDocuments() (Status, string, error) {
	policies := make([][]byte, len(v.Policies))
	for i, p := range v.Policies {
		policies[i] = p
	}
	b, err := document.OpenSigned(v.Manifest, policies)
	if err != nil {
		return Failed, "", err
	}
	if problems := b.Validate(document.Signed); len(problems) > 0 {
		return Failed, "", fmt.Errorf("%d problems, the first: %s", len(problems), problems[0])
	}
	v.bundle = b
	return Proved, fmt.Sprintf("%s version %d; %d policies have the digests that the manifest carries", b.Manifest.Collaboration, b.Manifest.Version, len(policies)), nil
}

func (v *verification) checkRoot() (Status, string, error) {
	v.pin = canon.Digest(v.bundle.Manifest.Mesh.RootCertificate)
	if canon.Sum(v.Root) != v.pin {
		return Failed, "", fmt.Errorf("the root certificate is %s, the manifest pins %s", canon.Sum(v.Root), v.pin)
	}
	var err error
	if v.root, err = x509.ParseCertificate(v.Root); err != nil {
		return Failed, "", fmt.Errorf("root certificate: %w", err)
	}
	return Proved, "the root certificate is the one that the manifest pins", nil
}

func (v *verification) checkWorker() (Status, string, error) {
	var err error
	if v.release, v.subject, err = OpenBody(v.Body, v.pin, v.root); err != nil {
		return Failed, "", err
	}
	return Proved, "a worker of the pinned mesh signed this release", nil
}

func (v *verification) checkRelease() (Status, string, error) {
	m, r := v.bundle.Manifest, v.release
	if r.Ledger != m.Mesh.Ledger || r.Collaboration != m.Collaboration || r.Version != m.Version || r.Manifest != canon.Sum(v.Manifest) || r.Mode != m.Mesh.Mode {
		return Failed, "", fmt.Errorf("the worker signed for %s version %d of ledger %s in mode %s under manifest %s, not for this manifest", r.Collaboration, r.Version, r.Ledger, r.Mode, r.Manifest)
	}
	for _, p := range r.Policies {
		if d, ok := m.Dataset(p.Dataset); !ok || d.PolicyDigest != p.Digest.String() {
			return Failed, "", fmt.Errorf("the worker used another policy of %s than the manifest carries", p.Dataset)
		}
	}
	return Proved, "made under this manifest, with the policies of " + names(r), nil
}

func names(r Release) string {
	var all []string
	for _, d := range r.Datasets {
		all = append(all, fmt.Sprintf("%s version %d", d.ID, d.Version))
	}
	return strings.Join(all, ", ")
}

func (v *verification) checkResult() (Status, string, error) {
	if canon.Sum(v.Result) != v.subject {
		return Failed, "", fmt.Errorf("the result is %s, the worker signed %s", canon.Sum(v.Result), v.subject)
	}
	var result answer.Result
	if err := canon.Unmarshal(v.Result, &result); err != nil {
		return Failed, "", fmt.Errorf("result: %w", err)
	}
	if result.Mechanism != v.release.Mechanism {
		return Failed, "", fmt.Errorf("the result names mechanism %q, the worker %q", result.Mechanism, v.release.Mechanism)
	}
	return Proved, fmt.Sprintf("the result of %d rows is what the worker released by %s", len(result.Rows), result.Mechanism), nil
}

func (v *verification) checkGrant() (Status, string, error) {
	g, keys, err := v.Grant.Verify(v.pin, v.root, v.bundle.Manifest.Mesh.Ledger)
	if err != nil {
		return Failed, "", err
	}
	r := v.release
	same := g.Query == r.Query && g.Collaboration == r.Collaboration && g.Version == r.Version && g.Manifest == r.Manifest && g.SQL == r.SQL &&
		g.Plan == r.PlanDigest && g.Question == r.Question && slices.Equal(g.Datasets, r.Datasets) && slices.Equal(g.Price, r.Price)
	if !same || canon.Sum(v.Grant.Grant.Payload) != r.Grant {
		return Failed, "", errors.New("the grant is not the one that the worker executed")
	}
	if day, _, _ := strings.Cut(g.Reserved, "T"); day > v.bundle.Manifest.Expires { // both were found to be dates of the form YYYY-MM-DD
		return Failed, "", fmt.Errorf("reserved at %s, after the manifest expired on %s", g.Reserved, v.bundle.Manifest.Expires)
	}
	v.grant, v.keys = g, keys
	return Proved, fmt.Sprintf("reserved at %s, as command %d of ledger %s: %s", g.Reserved, g.Index, g.Ledger, prices(g)), nil
}

func prices(g grant.Grant) string {
	all := []string{}
	for _, p := range g.Price {
		if p.Queries > 0 {
			all = append(all, fmt.Sprintf("%s pays %d of its queries", p.Owner, p.Queries))
			continue
		}
		all = append(all, fmt.Sprintf("%s pays rho %s of its budget for %s (spent %s before, %s after)", p.Owner, rho(p.Rho), p.Namespace, rho(p.SpentBefore), rho(p.SpentBefore+p.Rho)))
	}
	if len(all) == 0 {
		return "nobody pays"
	}
	return strings.Join(all, ", ")
}

// rho writes units of 1e-9 without rounding.
func rho(units int64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%09d", units/1e9, units%1e9), "0"), ".")
}

func (v *verification) checkRunner() (Status, string, error) {
	p, ok := v.bundle.Manifest.Person(v.grant.Person)
	if !ok || p.Participant != v.grant.Participant || !slices.Contains(p.Roles, "analyst") {
		return Failed, "", fmt.Errorf("%.80q of %.80q is not an analyst of this manifest", v.grant.Person, v.grant.Participant)
	}
	return Proved, fmt.Sprintf("granted to %s of %s, an analyst in the manifest", p.ID, p.Participant), nil
}

func (v *verification) checkSQL() (Status, string, error) {
	if v.SQL == "" {
		return Claimed, "the text is not in this receipt; its digest is " + v.release.SQL.String(), nil
	}
	if canon.Sum([]byte(v.SQL)) != v.release.SQL {
		return Failed, "", errors.New("the SQL text is not the one that was run")
	}
	return Proved, "the SQL text is the one that was run", nil
}

func (v *verification) checkPlan() (Status, string, error) {
	if v.release.Plan == "" {
		return Claimed, "the plan is not in this receipt; its digest is " + v.release.PlanDigest.String(), nil
	}
	return Proved, "the plan has the digest that was granted", nil // the digest was compared when the body was opened, the grant's after
}

func (v *verification) checkCheckpoint() (Status, string, error) {
	var witnesses []string
	if w := v.bundle.Manifest.Witnesses; w != nil {
		witnesses = w.Keys
	}
	var err error
	if v.head, err = checkpoint.Open(v.Checkpoint, v.bundle.Manifest.Mesh.Ledger, v.keys.Log, witnesses); err != nil {
		return Failed, "", err
	}
	return Proved, fmt.Sprintf("the ledger signed its log of %d entries", v.head.Size), nil
}

func (v *verification) checkInclusion() (Status, string, error) {
	body, err := v.Body.Marshal()
	if err != nil {
		return Failed, "", err
	}
	if len(v.Salt) != checkpoint.SaltSize {
		return Failed, "", fmt.Errorf("%w: salt of %d bytes, want %d", ErrInvalid, len(v.Salt), checkpoint.SaltSize)
	}
	if err := v.head.Includes(v.Index, checkpoint.Leaf(v.Salt, body), v.Proof); err != nil {
		return Failed, "", err
	}
	return Proved, fmt.Sprintf("what the worker signed is entry %d of that log", v.Index), nil
}

func (v *verification) checkWitnesses() (Status, string, error) {
	w := v.bundle.Manifest.Witnesses
	if w == nil || w.Quorum == 0 {
		return Claimed, "ledger not rollback-protected: the manifest demands no witness", nil
	}
	n := len(v.head.Cosigned)
	if n < w.Quorum {
		return Failed, "", fmt.Errorf("%d of %d cosignatures", n, w.Quorum)
	}
	at, _ := v.head.Time()
	return Proved, fmt.Sprintf("%d witnesses cosigned, %d are demanded; their median time is %s", n, w.Quorum, at.Format(time.RFC3339)), nil
}
