package state

import (
	"slices"
	"time"

	"concordat.dev/coordinator/log"
	"concordat.dev/policies/approval"
	"concordat.dev/policies/budget"
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/key"
)

// Basis is what an initialised cluster stands on.
type Basis struct {
	Ledger   string // empty before Init
	Mesh     approval.Mesh
	Founders []string
	Time     time.Time
}

// Basis tells ledger, mesh and founders.
func (m *Machine) Basis() Basis {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return Basis{Ledger: m.s.Ledger, Mesh: m.s.Mesh, Founders: slices.Clone(m.s.Founders), Time: m.s.now()}
}

// Collaborations are the ids of all collaborations, sorted.
func (m *Machine) Collaborations() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return sortedKeys(m.s.Collaborations)
}

// Knows says whether a key is a founder's, or stands in the newest or a proposed manifest of any collaboration.
func (m *Machine) Knows(k key.Public) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	text := k.String()
	if slices.Contains(m.s.Founders, text) {
		return true
	}
	for _, c := range m.s.Collaborations {
		for _, v := range []*version{c.newest(), c.pending()} {
			if v != nil && knows(v.bundle.Manifest, text) {
				return true
			}
		}
	}
	return false
}

// Manifest is one version of a manifest with all that is known of it. The bundle and the bytes must not be changed.
type Manifest struct {
	Bundle    *document.Bundle
	Previous  *document.Manifest // whose keys had to sign this one, nil for the first
	Documents document.SignedForm
	Proposal  []byte
	Approvals [][]byte
	Digest    canon.Digest
	Status    Status
	Signed    []string
	Missing   []string
	PausedBy  []string
	Rejection string
	Off       []string  // people whom it names and who have no authority
	Left      []string  // participants whom it names and who left
	NotBefore time.Time // when a recovery that all others signed can take effect
	By        string    // the owner who brought it into force alone, over Base
	Base      *Manifest // the version before, where not all signed this one
	Leaves    [][]byte  // the statements by which participants left the version before

	Founding canon.Digest // of the collaboration's first version
}

func knows(m *document.Manifest, k string) bool {
	_, person := m.PersonByKey(k)
	return person || slices.ContainsFunc(m.Participants, func(p document.Participant) bool { return slices.Contains(p.Keys, k) })
}

// Manifest finds a version of a collaboration's manifest; 0 is the newest, proposals included.
func (m *Machine) Manifest(id string, number int) (Manifest, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := m.s.Collaborations[id]
	if c == nil || number < 0 || number > len(c.Versions) {
		return Manifest{}, false
	}
	if number == 0 {
		number = len(c.Versions)
	}
	return m.s.manifest(c, c.Versions[number-1]), true
}

// Newest is the version in force of a collaboration, or that was last in force: paused, expired and revoked ones too.
func (m *Machine) Newest(id string) (Manifest, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := m.s.Collaborations[id]
	v := c.newest()
	if v == nil {
		return Manifest{}, false
	}
	return m.s.manifest(c, v), true
}

func (s *state) manifest(c *collaboration, v *version) Manifest {
	before := c.before(v)
	signed := s.judge(c, v)
	out := Manifest{
		Bundle: v.bundle, Previous: before, Documents: document.SignedForm{Manifest: v.Manifest, Policies: v.Policies},
		Proposal: v.Proposal, Approvals: slices.Clone(v.Approvals), Digest: v.Digest, Status: s.status(c, v),
		Signed: signed.Signed, Missing: signed.Missing, Rejection: v.Rejection,
	}
	if v.Status == Active {
		out.PausedBy = slices.Clone(c.PausedBy)
	}
	out.NotBefore, out.By, out.Founding = signed.NotBefore, v.By, c.founding()
	if base := c.beforeVersion(v); base != nil {
		out.Leaves = slices.Clone(base.Leaves)
		if v.By != "" {
			m := s.manifest(c, base)
			out.Base = &m
		}
	}
	out.Left = slices.Clone(c.Left)
	if len(c.Off) > 0 || len(c.Left) > 0 {
		for _, p := range v.bundle.Manifest.People {
			if c.off(p) {
				out.Off = append(out.Off, p.ID)
			}
		}
	}
	return out
}

// Dataset is what is known of a dataset: all versions, and the number that the next one gets.
type Dataset struct {
	Next     uint32
	Versions []DatasetVersion
	Expired  bool // its policy's last day has passed
}

// Current is the version that queries read; none when nothing was uploaded or the newest was deleted.
func (d Dataset) Current() (DatasetVersion, bool) {
	if d.Expired {
		return DatasetVersion{}, false
	}
	return (&dataset{Versions: d.Versions}).current()
}

// Dataset tells of one dataset; it is empty when nothing was uploaded.
func (m *Machine) Dataset(collaboration, id string) Dataset {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := m.s.Collaborations[collaboration]
	if c == nil {
		return Dataset{Next: 1}
	}
	d := c.Datasets[id]
	if d == nil {
		return Dataset{Next: 1}
	}
	out := Dataset{Next: d.next(), Versions: slices.Clone(d.Versions)}
	if v := c.newest(); v != nil {
		out.Expired = !Kept(v.bundle.Policies[id], m.s.clock(c, v))
	}
	return out
}

// Upload finds an upload.
func (m *Machine) Upload(id string) (Upload, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if u := m.s.Uploads[id]; u != nil {
		return *u, true
	}
	return Upload{}, false
}

// Reports are the sealed ingest reports of a dataset's versions that are still kept, by version.
func (m *Machine) Reports(collaboration, dataset string) map[uint32][]byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	out := map[uint32][]byte{}
	for _, u := range m.s.Uploads {
		if u.Collaboration == collaboration && u.Dataset == dataset && u.State == UploadRegistered && len(u.Report) > 0 {
			out[u.Version] = u.Report
		}
	}
	return out
}

// OpenedUpload finds the upload that a person opened with an idempotency key.
func (m *Machine) OpenedUpload(collaboration, person, dataset, key string) (Upload, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, id := range sortedKeys(m.s.Uploads) {
		u := m.s.Uploads[id]
		if u.Key == key && key != "" && u.Collaboration == collaboration && u.Person == person && u.Dataset == dataset {
			return *u, true
		}
	}
	return Upload{}, false
}

// Query finds a query.
func (m *Machine) Query(id string) (Query, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if q := m.s.Queries[id]; q != nil {
		return *q, true
	}
	return Query{}, false
}

// Queries lists a collaboration's queries, newest first, for which keep is true, at most limit.
func (m *Machine) Queries(collaboration string, limit int, keep func(*Query) bool) []Query {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []Query
	for _, id := range slices.Backward(m.s.Order) {
		if len(out) == limit {
			break
		}
		if q := m.s.Queries[id]; q.Collaboration == collaboration && keep(q) {
			out = append(out, *q)
		}
	}
	return out
}

// Balance is how the account of an owner's namespace stands under the manifest in force. The epsilon is at the policies' delta.
type Balance struct {
	Owner     string
	Namespace string
	Limits    []budget.Limit
	Spent     budget.Amount // for good
	Left      budget.Amount
	Share     budget.Amount // what the person who is told may still spend of it
	Used      float64       // the fullest of the limits, from 0 to 1
	Epsilon   *float64      // spent; nil without differential privacy
}

// Balance tells of one account, and of a person's share of it. It is false when no dataset of the owner protects the namespace.
func (m *Machine) Balance(collaboration, owner, namespace, person string) (Balance, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := m.s.Collaborations[collaboration]
	v := c.newest()
	if v == nil {
		return Balance{}, false
	}
	return m.s.balance(c, v, owner, namespace, person)
}

func (s *state) balance(c *collaboration, v *version, owner, namespace, person string) (Balance, bool) {
	limits, err := v.limits(owner, namespace)
	if err != nil || len(limits) == 0 {
		return Balance{}, false
	}
	a := s.Budget.Account(budget.Key{Owner: c.Owners[owner], Namespace: namespace})
	b := Balance{Owner: owner, Namespace: namespace, Limits: limits, Spent: a.Spent, Left: a.Remaining(limits, s.clock(c, v)), Used: a.Used(limits, s.clock(c, v)), Share: a.Share(person, limits, s.clock(c, v))}
	if e, ok := epsilon(a.Spent.Rho, limits); ok {
		b.Epsilon = &e
	}
	return b, true
}

// EpsilonWith is the epsilon that would be spent after a further price.
func (b Balance) EpsilonWith(price mechanism.Rho) float64 {
	e, _ := epsilon(b.Spent.Rho+price, b.Limits)
	return e
}

// Private says whether the balance has a limit in rho.
func (b Balance) Private() bool {
	return slices.ContainsFunc(b.Limits, func(l budget.Limit) bool { return l.Mechanism == mechanism.DifferentialPrivacy })
}

// Counted says whether the balance has a quota of queries.
func (b Balance) Counted() bool {
	return slices.ContainsFunc(b.Limits, func(l budget.Limit) bool { return l.Queries > 0 })
}

// Balances lists all accounts of a collaboration, with a person's shares, in the order of the manifest's datasets.
func (m *Machine) Balances(collaboration, person string) []Balance {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := m.s.Collaborations[collaboration]
	v := c.newest()
	if v == nil {
		return nil
	}
	var out []Balance
	for _, d := range v.bundle.Manifest.Datasets {
		namespace := v.bundle.Policies[d.ID].Unit.Namespace
		known := slices.ContainsFunc(out, func(b Balance) bool { return b.Owner == d.Owner && b.Namespace == namespace })
		if b, ok := m.s.balance(c, v, d.Owner, namespace, person); ok && !known {
			out = append(out, b)
		}
	}
	return out
}

// Tree is the transparency log as it is now.
func (m *Machine) Tree() *log.Tree {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.s.Tree.View()
}

// Entry is what is kept of one leaf.
func (m *Machine) Entry(index int64) (Entry, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if index < 0 || index >= int64(len(m.s.Entries)) {
		return Entry{}, false
	}
	return m.s.Entries[index], true
}

// Entries lists leaves of a collaboration, and those about coordinators, which concern all, from an index on, at most limit.
func (m *Machine) Entries(collaboration string, start int64, limit int) []Entry {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []Entry
	for i := max(0, start); i < int64(len(m.s.Entries)) && len(out) < limit; i++ {
		if e := m.s.Entries[i]; e.Collaboration == collaboration || concernsAll(e.Kind) {
			out = append(out, e)
		}
	}
	return out
}
