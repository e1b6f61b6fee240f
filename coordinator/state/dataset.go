package state

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"concordat.dev/policies/approval"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/fault"
	"concordat.dev/protocol/statement"
)

// dataset is the registry of one dataset. The newest version alone is queried: when it is deleted, no older one takes its place.
type dataset struct {
	Next     uint32           `json:"next"` // number of the next version
	Versions []DatasetVersion `json:"versions"`
}

// DatasetVersion is what is registered of an upload that a worker sealed.
type DatasetVersion struct {
	Dataset      string    `json:"dataset"`
	Version      uint32    `json:"version"`
	Digest       string    `json:"digest"` // sha256 of the sealed file
	Objects      []string  `json:"objects"`
	Wrap         []byte    `json:"wrap,omitempty"` // gone when deleted
	Registration []byte    `json:"registration"`
	Statement    []byte    `json:"statement"` // the steward's upload statement
	Manifest     int       `json:"manifest"`  // version under which it was uploaded
	Person       string    `json:"person"`
	At           time.Time `json:"at"`
	Deleted      bool      `json:"deleted,omitempty"`
}

func (d *dataset) current() (DatasetVersion, bool) {
	if d == nil || len(d.Versions) == 0 {
		return DatasetVersion{}, false
	}
	v := d.Versions[len(d.Versions)-1]
	return v, !v.Deleted
}

// UploadState is how an upload stands.
type UploadState string

// The states of an upload.
const (
	UploadOpen       UploadState = "open"
	UploadRegistered UploadState = "registered"
	UploadRejected   UploadState = "rejected"
)

// Upload is one upload of a dataset.
type Upload struct {
	ID            string       `json:"id"`
	Collaboration string       `json:"collaboration"`
	Dataset       string       `json:"dataset"`
	Version       uint32       `json:"version"`
	Participant   string       `json:"participant"`
	Person        string       `json:"person"`
	Manifest      canon.Digest `json:"manifest"`
	Key           string       `json:"key"` // idempotency key
	Recipient     []byte       `json:"recipient"`
	IdentityWrap  []byte       `json:"identity_wrap,omitempty"` // gone when the upload is closed
	State         UploadState  `json:"state"`
	Report        []byte       `json:"report,omitempty"` // for the owner only
	At            time.Time    `json:"at"`
}

// forgetUploads is how long closed uploads, and open ones that nobody finishes, are remembered.
const forgetUploads = 7 * 24 * time.Hour

// maxOpenUploads is how many uploads of one participant are open at a time: with one more the oldest is forgotten. Each keeps a place here and parts in
// the object store until it ends.
const maxOpenUploads = 64

// OpenUpload registers an upload whose identity a worker made. The version must be the next one of the dataset.
type OpenUpload struct {
	Upload Upload `json:"upload"`
}

func (OpenUpload) kind() string       { return "open_upload" }
func (OpenUpload) yields() (r Upload) { return r }

func (c *change) openUpload(b OpenUpload) (Upload, error) {
	const op = "open upload"
	u := b.Upload
	collab, v, err := c.inForce(op, u.Collaboration, u.Manifest)
	if err != nil {
		return Upload{}, err
	}
	if d, ok := v.bundle.Manifest.Dataset(u.Dataset); !ok || d.Owner != u.Participant {
		return Upload{}, fault.Newf(op, fault.Forbidden, "%s does not own dataset %q", u.Participant, u.Dataset)
	}
	for _, id := range sortedKeys(c.Uploads) {
		old := c.Uploads[id]
		if old.Collaboration == u.Collaboration && old.Person == u.Person && old.Key == u.Key && old.Dataset == u.Dataset && u.Key != "" {
			return *old, nil
		}
		if old.At.Before(c.now().Add(-forgetUploads)) {
			if old.State == UploadOpen {
				c.endUpload("forget_upload", old)
			}
			delete(c.Uploads, id)
		}
	}
	if c.Uploads[u.ID] != nil {
		return Upload{}, fault.Newf(op, fault.Exists, "upload %s exists", u.ID)
	}
	d := collab.Datasets[u.Dataset]
	if err := c.mayUpload(op, collab, v, u.Dataset); err != nil {
		return Upload{}, err
	}
	if next := d.next(); u.Version != next {
		return Upload{}, fault.Newf(op, fault.Unavailable, "the next version of %s is %d: %w", u.Dataset, next, ErrChanged)
	}
	if d == nil {
		d = &dataset{}
		collab.Datasets[u.Dataset] = d
	}
	d.Next = u.Version + 1
	c.forgetOldest(u.Collaboration, u.Participant)
	u.State, u.At = UploadOpen, c.now()
	c.Uploads[u.ID] = &u
	return u, nil
}

// forgetOldest ends the oldest open upload of a participant that has as many as there may be.
func (c *change) forgetOldest(collaboration, participant string) {
	var oldest *Upload
	open := 0
	for _, id := range sortedKeys(c.Uploads) {
		u := c.Uploads[id]
		if u.State != UploadOpen || u.Collaboration != collaboration || u.Participant != participant {
			continue
		}
		if open++; oldest == nil || u.At.Before(oldest.At) {
			oldest = u
		}
	}
	if open >= maxOpenUploads {
		c.endUpload("forget_upload", oldest)
		delete(c.Uploads, oldest.ID)
	}
}

// uploadEvery is how often a dataset under the threshold mechanism may change: two versions tell what changed between them (PRIVACY.md R10).
const uploadEvery = 24 * time.Hour

// mayUpload says whether policy and time let a new version of a dataset come.
func (s *state) mayUpload(op string, collab *collaboration, v *version, id string) error {
	p := v.bundle.Policies[id]
	if Kept(p, s.clock(collab, v)) {
		if p.Release == nil || p.Release.Mechanism != document.Threshold {
			return nil
		}
		d := collab.Datasets[id]
		if d == nil || len(d.Versions) == 0 {
			return nil
		}
		next := d.Versions[len(d.Versions)-1].At.Add(uploadEvery)
		if !s.now().Before(next) {
			return nil
		}
		return fault.Newf(op, fault.Conflict, "%s is under the threshold mechanism, which takes one new version a day: the next can come after %s",
			id, next.Format(time.RFC3339))
	}
	return fault.Newf(op, fault.Conflict, "%s was to be kept until %s: a version whose policy says a later day can take new data", id, p.Expires)
}

// Kept says whether the policy's retention still lets the data be there. A day that can't be read has passed.
func Kept(p *document.Policy, now time.Time) bool {
	if p == nil || p.Expires == "" {
		return true
	}
	last, err := time.Parse(time.DateOnly, p.Expires)
	return err == nil && now.Before(last.AddDate(0, 0, 1))
}

func (d *dataset) next() uint32 {
	if d == nil {
		return 1
	}
	return max(1, d.Next)
}

// CloseUpload ends an upload: with a sealed version it is registered, without it is rejected and the previous version stays.
type CloseUpload struct {
	Upload string          `json:"upload"`
	Sealed *DatasetVersion `json:"sealed,omitempty"`
	Report []byte          `json:"report"`
}

func (CloseUpload) kind() string       { return "close_upload" }
func (CloseUpload) yields() (r Upload) { return r }

func (c *change) closeUpload(b CloseUpload) (Upload, error) {
	const op = "complete upload"
	u := c.Uploads[b.Upload]
	if u == nil {
		return Upload{}, fault.Newf(op, fault.NotFound, "upload %q is not known, or was forgotten: open a new one", b.Upload)
	}
	if u.State != UploadOpen {
		return *u, nil
	}
	if b.Sealed == nil {
		u.State, u.IdentityWrap, u.Report = UploadRejected, nil, b.Report
		c.endUpload("reject_upload", u)
		return *u, nil
	}
	collab, v, err := c.inForce(op, u.Collaboration, u.Manifest)
	if err != nil {
		return Upload{}, err
	}
	d := collab.Datasets[u.Dataset]
	if n := len(d.Versions); n > 0 && d.Versions[n-1].Version >= u.Version {
		return Upload{}, fault.Newf(op, fault.Conflict, "version %d of %s was registered meanwhile: upload anew", d.Versions[n-1].Version, u.Dataset)
	}
	if err := c.mayUpload(op, collab, v, u.Dataset); err != nil {
		return Upload{}, err
	}
	sealed := *b.Sealed
	sealed.Dataset, sealed.Version, sealed.Person = u.Dataset, u.Version, u.Person
	sealed.Manifest, sealed.At, sealed.Deleted = v.bundle.Manifest.Version, c.now(), false
	d.Versions = append(d.Versions, sealed)
	u.State, u.IdentityWrap, u.Report = UploadRegistered, nil, b.Report
	c.fact("dataset", u.Collaboration, struct {
		Dataset      string       `json:"dataset"`
		Version      uint32       `json:"version"`
		Digest       string       `json:"digest"`
		Registration canon.Digest `json:"registration"`
		By           string       `json:"by"`
	}{u.Dataset, u.Version, sealed.Digest, canon.Sum(sealed.Registration), u.Person})
	return *u, nil
}

// endUpload logs that the key of an upload was destroyed and nothing came of it. Where a version did, its own event says so.
func (c *change) endUpload(action string, u *Upload) {
	c.fact(action, u.Collaboration, struct {
		Upload  string `json:"upload"`
		Dataset string `json:"dataset"`
		Version uint32 `json:"version"`
		By      string `json:"by"`
	}{u.ID, u.Dataset, u.Version, u.Person})
}

// Delete destroys the key of a version of a dataset, by a statement over the digest of the sealed file that its owner, or a steward
// of its owner, signed.
type Delete struct {
	Collaboration string `json:"collaboration"`
	Dataset       string `json:"dataset"`
	Version       uint32 `json:"version"`
	Statement     []byte `json:"statement"`
}

func (Delete) kind() string          { return "delete" }
func (Delete) yields() (r Destroyed) { return r }

// Destroyed names objects whose keys are gone.
type Destroyed struct {
	Objects []string `json:"objects"`
}

func (c *change) deleteDataset(b Delete) (Destroyed, error) {
	const op = "delete dataset"
	collab := c.Collaborations[b.Collaboration]
	v := collab.newest()
	if v == nil {
		return Destroyed{}, fault.Newf(op, fault.NotFound, "collaboration %q has no manifest", b.Collaboration)
	}
	envelope, err := dsse.Parse(b.Statement)
	if err != nil {
		return Destroyed{}, fault.New(op, fault.Invalid, err)
	}
	said, who, err := approval.Participant(envelope, v.bundle.Manifest, nil, v.Digest)
	if errors.Is(err, approval.ErrSigner) {
		var person document.Person
		said, person, err = approval.Steward(envelope, v.bundle.Manifest, v.Digest)
		who = person.Participant
		if err == nil && collab.off(person) {
			err = fmt.Errorf("%w: %s was off-boarded", approval.ErrSigner, person.ID)
		}
	}
	if err != nil {
		return Destroyed{}, fault.New(op, signatureKind(err), err)
	}
	owner, known := v.bundle.Manifest.Dataset(b.Dataset)
	switch {
	case said.Action != statement.Delete:
		return Destroyed{}, fault.Newf(op, fault.Invalid, "the statement says %s, not delete", said.Action)
	case !known || owner.Owner != who:
		return Destroyed{}, fault.Newf(op, fault.Forbidden, "%s does not own dataset %q", who, b.Dataset)
	case collab.Nonces[said.Nonce]:
		return Destroyed{}, fault.Newf(op, fault.Exists, "this statement was used before: sign a new one")
	}
	d := collab.Datasets[b.Dataset]
	i := -1
	if d != nil {
		i = slices.IndexFunc(d.Versions, func(x DatasetVersion) bool { return x.Version == b.Version && x.Digest == said.Subject.String() })
	}
	if i < 0 {
		return Destroyed{}, fault.Newf(op, fault.NotFound, "dataset %s has no version %d with digest %s", b.Dataset, b.Version, said.Subject)
	}
	collab.Nonces[said.Nonce] = true
	return Destroyed{Objects: c.destroy(b.Collaboration, d, i, who)}, nil
}

// destroy drops the key of a version, and every stored answer that rests on it.
func (c *change) destroy(collaboration string, d *dataset, i int, by string) []string {
	v := &d.Versions[i]
	if v.Deleted {
		return v.Objects
	}
	v.Deleted, v.Wrap = true, nil
	c.Destructions++
	objects := slices.Clone(v.Objects)
	for _, id := range c.Order {
		q := c.Queries[id]
		if q.Collaboration == collaboration && q.reads(v.Dataset, v.Version) && q.Object != "" {
			objects = append(objects, q.Object)
			c.edit(q).Object = ""
		}
	}
	c.fact("delete", collaboration, struct {
		Dataset string `json:"dataset"`
		Version uint32 `json:"version"`
		Digest  string `json:"digest"`
		By      string `json:"by"`
	}{v.Dataset, v.Version, v.Digest, by})
	return objects
}

// destroyWhere destroys all versions of the datasets for which it holds.
func (c *change) destroyWhere(collab *collaboration, id, by string, holds func(dataset string) bool) []string {
	var objects []string
	for _, name := range sortedKeys(collab.Datasets) {
		d := collab.Datasets[name]
		for i := range d.Versions {
			if !d.Versions[i].Deleted && holds(name) {
				objects = append(objects, c.destroy(id, d, i, by)...)
			}
		}
	}
	return objects
}

// inForce finds the version in force and refuses when it is not the one that the caller worked with, or may not be used now.
func (s *state) inForce(op, id string, digest canon.Digest) (*collaboration, *version, error) {
	collab := s.Collaborations[id]
	v := collab.active()
	if v == nil {
		return nil, nil, fault.Newf(op, fault.Conflict, "collaboration %q has no manifest in force", id)
	}
	if status := s.status(collab, v); status != Active {
		return nil, nil, fault.Newf(op, fault.Conflict, "the manifest of %s is %s", id, status)
	}
	if v.Digest != digest {
		return nil, nil, fault.Newf(op, fault.Unavailable, "the manifest of %s: %w", id, ErrChanged)
	}
	if v.quorum() > 0 && v.Cosigned.Size == 0 {
		return nil, nil, fault.Newf(op, fault.Unavailable, "no %d witnesses of %s have cosigned the log yet: try again in a moment", v.quorum(), id)
	}
	return collab, v, nil
}

// status is how a version stands now.
func (s *state) status(c *collaboration, v *version) Status {
	switch {
	case v.Status != Active:
		return v.Status
	case approval.Expired(v.bundle.Manifest, s.clock(c, v)):
		return Expired
	case len(c.PausedBy) > 0:
		return Paused
	default:
		return Active
	}
}
