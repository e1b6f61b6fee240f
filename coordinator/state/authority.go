package state

import (
	"slices"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/fault"
)

// offboarded is a person whose participant took all authority from them. It holds for these keys and this subject, in later versions too,
// until a version is in force that does not name the person, or names them with other keys only.
type offboarded struct {
	Keys    []string  `json:"keys,omitempty"`
	Subject string    `json:"subject,omitempty"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
}

// off says that a person, as a manifest names them, has no authority.
func (c *collaboration) off(p document.Person) bool {
	if slices.Contains(c.Left, p.Participant) {
		return true
	}
	o, ok := c.Off[p.ID]
	return ok && (p.Subject != "" && p.Subject == o.Subject || slices.ContainsFunc(p.Keys, func(k string) bool { return slices.Contains(o.Keys, k) }))
}

// offboard takes all authority from a person of the participant.
func (c *change) offboard(collab *collaboration, v *version, person, participant string) error {
	p, ok := v.bundle.Manifest.Person(person)
	if !ok || p.Participant != participant {
		return fault.Newf("offboard", fault.Forbidden, "%q is nobody of %s: a participant off-boards its own people", person, participant)
	}
	if collab.Off == nil {
		collab.Off = map[string]offboarded{}
	}
	collab.Off[person] = offboarded{
		Keys: append(slices.Clone(collab.Off[person].Keys), p.Keys...), Subject: p.Subject, By: participant, At: c.now(),
	}
	return nil
}

// leave ends a participant's part at once: its keys are destroyed, its people have no authority, and nothing goes on before a version
// without it is in force. The objects without keys are returned.
func (c *change) leave(collab *collaboration, v *version, participant string) []string {
	collab.Left = append(collab.Left, participant)
	if !slices.Contains(collab.PausedBy, participant) {
		collab.PausedBy = append(collab.PausedBy, participant)
	}
	return c.destroyWhere(collab, v.bundle.Manifest.Collaboration, participant, func(dataset string) bool {
		d, _ := v.bundle.Manifest.Dataset(dataset)
		return d.Owner == participant
	})
}

// Plan is what owners approved, or are asked to approve, where the manifest in force asks for reviews. An approval holds for one version.
type Plan struct {
	Digest   canon.Digest      `json:"digest"`
	Approved map[string]string `json:"approved"`         // participant → who signed
	Query    string            `json:"query,omitempty"`  // that was asked first; names its sealed text
	SQL      []byte            `json:"sql,omitempty"`    // sealed; empty where it was approved before anybody asked
	Person   string            `json:"person,omitempty"` // who asked
	Owners   []string          `json:"owners,omitempty"` // who have to approve
	At       time.Time         `json:"at"`
}

// Missing are the owners who have not approved.
func (p *Plan) Missing(owners []string) []string {
	var out []string
	for _, o := range owners {
		if p == nil || p.Approved[o] == "" {
			out = append(out, o)
		}
	}
	return out
}

// maxPlans is how many plans of a version wait for approval; the oldest make room.
const maxPlans = 1000

func (c *change) plan(collab *collaboration, digest canon.Digest) *Plan {
	if p := collab.Plans[digest.String()]; p != nil {
		return p
	}
	if collab.Plans == nil {
		collab.Plans = map[string]*Plan{}
	}
	waiting, oldest := 0, ""
	for _, id := range sortedKeys(collab.Plans) {
		if p := collab.Plans[id]; len(p.Approved) == 0 {
			waiting++
			if oldest == "" || p.At.Before(collab.Plans[oldest].At) {
				oldest = id
			}
		}
	}
	if waiting >= maxPlans {
		delete(collab.Plans, oldest)
	}
	p := &Plan{Digest: digest, Approved: map[string]string{}, At: c.now()}
	collab.Plans[digest.String()] = p
	return p
}

func (c *change) approvePlan(collab *collaboration, _ *version, digest canon.Digest, participant, by string) {
	c.plan(collab, digest).Approved[participant] = by
}

// review says which owners have not approved the plan of a query that its manifest wants reviewed, and notes that they are asked.
func (c *change) review(collab *collaboration, v *version, q *Query) []string {
	if v.bundle.Manifest.Review != document.ReviewPlan {
		return nil
	}
	missing := collab.Plans[q.Plan].Missing(q.Owners)
	if len(missing) > 0 {
		if p := c.plan(collab, canon.Digest(q.Plan)); p.Query == "" {
			p.Query, p.SQL, p.Person, p.Owners = q.ID, q.SQL, q.Person, q.Owners
		}
	}
	return missing
}

// Plans are the plans of a collaboration's version in force that were approved or wait for it, oldest first.
func (m *Machine) Plans(collaboration string) []Plan {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := m.s.Collaborations[collaboration]
	if c == nil {
		return nil
	}
	var out []Plan
	for _, id := range sortedKeys(c.Plans) {
		p := *c.Plans[id]
		p.Approved = map[string]string{}
		for who, by := range c.Plans[id].Approved {
			p.Approved[who] = by
		}
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b Plan) int { return a.At.Compare(b.At) })
	return out
}
