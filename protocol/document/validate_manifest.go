package document

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/witness"
)

var roles = []string{"steward", "analyst", "auditor"}

func (b *Bundle) checkManifest(c checker, mode Mode) {
	m := b.Manifest
	c.require(m.APIVersion == APIVersion, "apiVersion", fmt.Sprintf("%.60q is not known", m.APIVersion), "write "+APIVersion)
	c.require(m.Kind == "Manifest", "kind", fmt.Sprintf("%.60q is not a manifest", m.Kind), "write Manifest")
	c.id("collaboration", m.Collaboration, idForm, "a-z, 0-9, -, _ and dots, first a letter")
	c.require(m.Version >= 1, "version", "versions count from 1", "write 1 for the first, one more for each later one")
	c.text("purpose", m.Purpose)
	if day, err := time.Parse(time.DateOnly, m.Expires); err != nil || day.Format(time.DateOnly) != m.Expires {
		c.add("expires", fmt.Sprintf("%.60q is not a date", m.Expires), "write the last day as YYYY-MM-DD")
	}
	checkParticipants(c, m, mode)
	checkPeople(c, m, mode)
	checkKeys(c, m)
	for _, id := range slices.Sorted(maps.Keys(m.Namespaces)) {
		path := join("namespaces", id)
		c.id(path, id, idForm, "a-z, 0-9, -, _ and dots, first a letter")
		checkNamespace(c, path, m.Namespaces[id])
	}
	b.checkDatasets(c)
	if d, err := time.ParseDuration(or(m.Release.TimeGrid, DefaultTimeGrid)); err != nil || d < 0 || d > time.Minute {
		c.add("release.time_grid", fmt.Sprintf("%.60q is not a duration from 0s to 1m", m.Release.TimeGrid), "write for instance 500ms")
	}
	checkWitnesses(c, m.Witnesses)
	checkReceivers(c, m)
	checkAmendments(c, m)
	checkMesh(c, m.Mesh, mode)
}

// turns says whether a character breaks a line or has text stand in another order than it is written: what is signed is what is read.
func turns(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

func (c checker) text(path, s string) {
	ok := strings.TrimSpace(s) != "" && len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsFunc(s, turns)
	c.require(ok, path, "missing, too long, or with control characters", fmt.Sprintf("write one line of at most %d bytes", maxText))
}

func checkParticipants(c checker, m *Manifest, mode Mode) {
	c.require(len(m.Participants) > 0 && len(m.Participants) <= maxParticipants, "participants",
		fmt.Sprintf("%d participants", len(m.Participants)), fmt.Sprintf("name 1 to %d", maxParticipants))
	var ids []string
	for i, p := range m.Participants {
		path := fmt.Sprintf("participants[%d]", i)
		c.id(path+".id", p.ID, idForm, "a-z, 0-9, -, _ and dots, first a letter")
		c.text(path+".name", p.Name)
		ids = append(ids, p.ID)
		threshold := or(p.Threshold, 1)
		if len(p.Keys) > 0 || mode == Signed {
			c.require(len(p.Keys) > 0, path+".keys", fmt.Sprintf("%s has no key to sign with", p.ID), "add the output of `concordat key show`")
			c.require(threshold >= 1 && threshold <= max(len(p.Keys), 1), path+".threshold",
				fmt.Sprintf("%d of %d keys", threshold, len(p.Keys)), "write 1 up to the number of keys")
		}
		for j, s := range p.Signers {
			who, ok := m.Person(s)
			c.require(ok && who.Participant == p.ID, fmt.Sprintf("%s.signers[%d]", path, j), fmt.Sprintf("%.80q is not a person of %s", s, p.ID), "name people of this participant")
		}
		if p.OIDC != nil {
			u, err := url.Parse(p.OIDC.Issuer)
			ok := err == nil && u.User == nil && u.RawQuery == "" && u.Fragment == "" && u.Host != "" &&
				(u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1"))
			c.require(ok, path+".oidc.issuer", fmt.Sprintf("%.100q is not the URL of an issuer", p.OIDC.Issuer), "write https://HOST[/PATH]")
			c.require(p.OIDC.ClientID != "", path+".oidc.client_id", "missing", "write the client id that the issuer gave")
		}
	}
	c.unique("participants", ids)
}

func checkPeople(c checker, m *Manifest, mode Mode) {
	c.require(len(m.People) <= maxPeople, "people", fmt.Sprintf("%d people", len(m.People)), fmt.Sprintf("name at most %d", maxPeople))
	if mode == Signed {
		c.require(len(m.People) > 0, "people", "nobody may act in this collaboration", "name at least one person")
	}
	var ids []string
	for i, p := range m.People {
		path := fmt.Sprintf("people[%d]", i)
		c.require(len(p.ID) <= 128 && personForm.MatchString(p.ID), path+".id", fmt.Sprintf("%.140q is not an id of a person", p.ID), "write for instance dana@clinic.example, in lower case")
		ids = append(ids, p.ID)
		_, ok := m.Participant(p.Participant)
		c.require(ok, path+".participant", fmt.Sprintf("%.80q is not a participant", p.Participant), "name one of the participants")
		c.require(len(p.Roles) > 0, path+".roles", "no role", "give at least one of: "+strings.Join(roles, ", "))
		for j, r := range p.Roles {
			c.oneOf(fmt.Sprintf("%s.roles[%d]", path, j), r, roles...)
		}
		c.unique(path+".roles", p.Roles)
		if mode == Signed {
			c.require(len(p.Keys) > 0 || p.Subject != "", path, fmt.Sprintf("%s can neither sign requests nor sign in", p.ID), "add a key or a subject of the participant's issuer")
		}
		if part, _ := m.Participant(p.Participant); p.Subject != "" && part.OIDC != nil {
			who, ok := m.PersonBySubject(part.OIDC.Issuer, part.OIDC.ClientID, p.Subject)
			c.require(ok && who.ID == p.ID, path+".subject", fmt.Sprintf("%.80q of this issuer and client is somebody else too", p.Subject), "give each person a subject of their own, or the participants clients of their own")
		}
		c.require(len(p.Subject) <= maxSubject, path+".subject", "too long", fmt.Sprintf("write at most %d bytes", maxSubject))
	}
	c.unique("people", ids)
}

// checkKeys refuses a key that stands in two places: a signature must tell who signed.
func checkKeys(c checker, m *Manifest) {
	owner := map[string]string{} // by the key itself, whichever of its forms a document uses
	check := func(path, who string, keys []string) {
		c.require(len(keys) <= maxKeys, path, fmt.Sprintf("%d keys", len(keys)), fmt.Sprintf("name at most %d", maxKeys))
		for i, s := range keys {
			at := fmt.Sprintf("%s[%d]", path, i)
			k, err := key.ParsePublic(s)
			if err != nil {
				c.add(at, err.Error(), "copy the output of `concordat key show`, or the first two words of an id_ed25519.pub")
				continue
			}
			if other, taken := owner[string(k.Bytes())]; taken {
				c.add(at, "this key already belongs to "+other, "make a key of its own with `concordat key new`")
			}
			owner[string(k.Bytes())] = who
		}
	}
	for i, p := range m.Participants {
		check(fmt.Sprintf("participants[%d].keys", i), "participant "+p.ID, p.Keys)
	}
	for i, p := range m.People {
		check(fmt.Sprintf("people[%d].keys", i), p.ID, p.Keys)
	}
}

func (b *Bundle) checkDatasets(c checker) {
	m := b.Manifest
	c.require(len(m.Datasets) > 0 && len(m.Datasets) <= maxDatasets, "datasets", fmt.Sprintf("%d datasets", len(m.Datasets)), fmt.Sprintf("name 1 to %d", maxDatasets))
	var ids []string
	for i, d := range m.Datasets {
		path := fmt.Sprintf("datasets[%d]", i)
		c.id(path+".id", d.ID, datasetForm, "a-z, 0-9 and _, in one part or two with a dot between, each starting with a letter, as SQL names it")
		_, ok := m.Participant(d.Owner)
		c.require(ok, path+".owner", fmt.Sprintf("%.80q is not a participant", d.Owner), "name one of the participants")
		c.require((d.Policy == "") != (d.PolicyDigest == ""), path, "needs either policy (a file) or policy_digest (the signed form)", "name the file of the policy")
		if d.PolicyDigest != "" {
			c.require(canon.Digest(d.PolicyDigest).Valid(), path+".policy_digest", "not a digest", "write sha256: and 64 hex digits")
		}
		c.require(b.Policies[d.ID] != nil, path, fmt.Sprintf("dataset %q has no policy", d.ID), "write one")
		ids = append(ids, d.ID)
	}
	c.unique("datasets", ids)
}

func checkWitnesses(c checker, w *Witnesses) {
	if w == nil {
		return
	}
	c.require(w.Quorum >= 0 && w.Quorum <= len(w.Keys), "witnesses.quorum", fmt.Sprintf("%d of %d witnesses", w.Quorum, len(w.Keys)), "write 0 up to the number of keys")
	c.require(len(w.Keys) <= maxWitnesses, "witnesses.keys", fmt.Sprintf("%d witnesses", len(w.Keys)), fmt.Sprintf("name at most %d", maxWitnesses))
	seen := map[key.Public]bool{}
	for i, text := range w.Keys {
		path := fmt.Sprintf("witnesses.keys[%d]", i)
		v, err := witness.Parse(text)
		if err != nil {
			c.add(path, err.Error(), "write NAME+HASH+KEY as `concordat witness key` prints it")
			continue
		}
		c.require(!seen[v.Key()], path, "this key is named already: one witness counts once", "name each witness once")
		seen[v.Key()] = true
	}
}

func checkReceivers(c checker, m *Manifest) {
	if m.Receivers == nil {
		return
	}
	for _, r := range strings.Split(m.Receivers.Default, ",") {
		r = strings.TrimSpace(r)
		_, ok := m.Participant(r)
		c.require(ok || r == "runner", "receivers.default", fmt.Sprintf("%.80q is not a participant", r), "write runner, or participants with commas between")
	}
}

func checkAmendments(c checker, m *Manifest) {
	if m.Review != "" {
		c.oneOf("review", m.Review, ReviewNone, ReviewPlan)
	}
	if m.Amendments == nil {
		return
	}
	c.oneOf("amendments.tightening", or(m.Amendments.Tightening, ByAll), ByAll, ByOwner)
	c.oneOf("amendments.recovery", or(m.Amendments.Recovery, ByAll), ByAll, ByOthers)
	c.require(!m.Recovery() || len(m.Participants) >= 3, "amendments.recovery", "with fewer than three participants, others means one alone",
		"write all, or take a third participant in")
}

func checkMesh(c checker, mesh *Mesh, mode Mode) {
	if mesh == nil {
		if mode == Signed {
			c.add("mesh", "missing: the manifest pins no mesh", "`concordat manifest pin DIR` writes those of the mesh that runs; compare them with the other participants")
		}
		return
	}
	c.oneOf("mesh.mode", mesh.Mode, "simulation", "sgx")
	pin := func(path, d string) {
		c.require(canon.Digest(d).Valid(), path, fmt.Sprintf("%.80q is not a digest", d), "take it from `concordat status`: sha256: and 64 hex digits")
	}
	pin("mesh.marblerun_manifest", mesh.MarbleRunManifest)
	pin("mesh.root_certificate", mesh.RootCertificate)
	pin("mesh.coordinator", mesh.Coordinator)
	c.require(ledgerForm.MatchString(mesh.Ledger), "mesh.ledger", fmt.Sprintf("%.80q is not a ledger id", mesh.Ledger), "take it from `concordat status`: 32 hex digits")
	for i, v := range mesh.Voters {
		c.require(v != "" && len(v) <= 256 && !strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' }), fmt.Sprintf("mesh.voters[%d]", i), "not a node key", "take it from `concordat status`")
	}
	c.unique("mesh.voters", mesh.Voters)
	for i, root := range mesh.Inherits {
		pin(fmt.Sprintf("mesh.inherits[%d]", i), root)
	}
	c.unique("mesh.inherits", append(slices.Clone(mesh.Inherits), mesh.RootCertificate))
}
