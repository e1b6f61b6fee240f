// Package document holds the two documents that owners sign: the manifest of a collaboration and the policy of each
// dataset. It defines their fields, reads them strictly from YAML and gives them one canonical form of bytes.
//
// Invariant: a document that Parse returned has no unknown or repeated key; its canonical form is RFC 8785 JSON.
//
// Sees: metadata
package document

import "strings"

// APIVersion is the only value of apiVersion that this build reads.
const APIVersion = "concordat.dev/v1"

// Manifest binds the participants, people, datasets and the mesh of one collaboration. All participants sign the same bytes of it.
type Manifest struct {
	APIVersion    string               `yaml:"apiVersion" json:"apiVersion"`
	Kind          string               `yaml:"kind" json:"kind"` // "Manifest"
	Collaboration string               `yaml:"collaboration" json:"collaboration"`
	Version       int                  `yaml:"version" json:"version"` // from 1, each version one more
	Purpose       string               `yaml:"purpose" json:"purpose"`
	Expires       string               `yaml:"expires" json:"expires"` // YYYY-MM-DD, the last day it is active (UTC)
	Participants  []Participant        `yaml:"participants" json:"participants"`
	People        []Person             `yaml:"people,omitempty" json:"people,omitempty"`
	Namespaces    map[string]Namespace `yaml:"namespaces" json:"namespaces"`
	Datasets      []Dataset            `yaml:"datasets" json:"datasets"`
	Release       ReleaseOptions       `yaml:"release,omitempty" json:"release"`
	Witnesses     *Witnesses           `yaml:"witnesses,omitempty" json:"witnesses,omitempty"`
	Receivers     *Receivers           `yaml:"receivers,omitempty" json:"receivers,omitempty"`
	Amendments    *Amendments          `yaml:"amendments,omitempty" json:"amendments,omitempty"`
	Review        string               `yaml:"review,omitempty" json:"review,omitempty"` // "" or none | plan
	Mesh          *Mesh                `yaml:"mesh,omitempty" json:"mesh,omitempty"`
}

// Participant is an organisation. Keys are its Ed25519 keys ("ed25519:<base64 of 32 bytes>"); Threshold of them must sign (default 1).
type Participant struct {
	ID        string   `yaml:"id" json:"id"`
	Name      string   `yaml:"name" json:"name"`
	Keys      []string `yaml:"keys,omitempty" json:"keys,omitempty"`
	Threshold int      `yaml:"threshold,omitempty" json:"threshold,omitempty"`
	Signers   []string `yaml:"signers,omitempty" json:"signers,omitempty"`
	OIDC      *OIDC    `yaml:"oidc,omitempty" json:"oidc,omitempty"`
}

// OIDC names the issuer that a participant trusts to sign its people in on the web.
type OIDC struct {
	Issuer   string `yaml:"issuer" json:"issuer"`
	ClientID string `yaml:"client_id" json:"client_id"`
}

// Person is somebody who may act in the collaboration, with the roles "steward", "analyst" and "auditor".
type Person struct {
	ID          string   `yaml:"id" json:"id"`
	Participant string   `yaml:"participant" json:"participant"`
	Roles       []string `yaml:"roles" json:"roles"`
	Keys        []string `yaml:"keys,omitempty" json:"keys,omitempty"`
	Subject     string   `yaml:"subject,omitempty" json:"subject,omitempty"`
}

// Dataset names a dataset, its owner and its policy. Policy is a path in the directory form; PolicyDigest ("sha256:…", of the
// canonical policy) takes its place in the signed form.
type Dataset struct {
	ID           string `yaml:"id" json:"id"`
	Owner        string `yaml:"owner" json:"owner"`
	Policy       string `yaml:"policy,omitempty" json:"policy,omitempty"`
	PolicyDigest string `yaml:"policy_digest,omitempty" json:"policy_digest,omitempty"`
}

// ReleaseOptions apply to all releases. TimeGrid is a Go duration ("500ms"), the default when empty; "0s" turns it off.
type ReleaseOptions struct {
	TimeGrid string `yaml:"time_grid,omitempty" json:"time_grid,omitempty"`
}

// Witnesses names the keys of which Quorum must cosign a checkpoint before a worker releases anything.
type Witnesses struct {
	Keys   []string `yaml:"keys" json:"keys"`
	Quorum int      `yaml:"quorum" json:"quorum"`
}

// Receivers says who may read a release: "runner", participant ids, or both, comma separated. Without runner only people of these
// participants may ask.
type Receivers struct {
	Default string `yaml:"default" json:"default"`
}

// Amendments says which new versions need fewer than all signatures. Left out, none does. Tightening: owner, when a version only tightens
// policies of one owner, who then signs alone; all otherwise. Recovery: others, when a version only replaces the keys of one participant
// who lost them, which all others sign; all otherwise.
type Amendments struct {
	Tightening string `yaml:"tightening,omitempty" json:"tightening"`
	Recovery   string `yaml:"recovery,omitempty" json:"recovery"`
}

// Mesh pins the mesh that the collaboration runs on.
type Mesh struct {
	Mode              string   `yaml:"mode" json:"mode"`                             // simulation | sgx
	MarbleRunManifest string   `yaml:"marblerun_manifest" json:"marblerun_manifest"` // sha256 of the MarbleRun manifest
	RootCertificate   string   `yaml:"root_certificate" json:"root_certificate"`     // sha256 of the MarbleRun coordinator's root certificate (DER)
	Coordinator       string   `yaml:"coordinator" json:"coordinator"`               // measurement of the MarbleRun coordinator
	Ledger            string   `yaml:"ledger" json:"ledger"`                         // ledger id, 32 hex digits
	Voters            []string `yaml:"voters,omitempty" json:"voters,omitempty"`     // node keys of the coordinators
	// Inherits are the root certificates (sha256) of the meshes that had the ledger before this one, oldest first; each handed it over to the next.
	Inherits []string `yaml:"inherits,omitempty" json:"inherits,omitempty"`
}

// The values of Amendments and Review.
const (
	ByAll      = "all"
	ByOwner    = "owner"
	ByOthers   = "others"
	ReviewNone = "none"
	ReviewPlan = "plan" // a query runs once every owner concerned approved the digest of its plan
)

// Receiver says whether people of a participant may read releases that others asked for, and runner whether whoever asks may.
func (m *Manifest) Receiver(participant string) (named, runner bool) {
	receivers := "runner"
	if m.Receivers != nil {
		receivers = m.Receivers.Default
	}
	for r := range strings.SplitSeq(receivers, ",") {
		r = strings.TrimSpace(r)
		named, runner = named || r == participant, runner || r == "runner"
	}
	return named, runner
}

// Tightening says whether a version that only tightens policies of one owner needs that owner's signature alone.
func (m *Manifest) Tightening() bool {
	return m.Amendments != nil && m.Amendments.Tightening == ByOwner
}

// Recovery says whether a version that only replaces lost keys of one participant needs all others' signatures alone.
func (m *Manifest) Recovery() bool { return m.Amendments != nil && m.Amendments.Recovery == ByOthers }
