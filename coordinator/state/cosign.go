package state

import (
	"fmt"
	"slices"
	"time"

	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/fault"
)

// cosigned is a checkpoint with cosignatures.
type cosigned struct {
	Checkpoint string    `json:"checkpoint"`
	Size       int64     `json:"size"`
	At         time.Time `json:"at"` // median of the cosignatures
}

// IsZero says that there is none.
func (c cosigned) IsZero() bool { return c == cosigned{} }

// older says that other is of a larger log, or was cosigned later.
func (c cosigned) older(other cosigned) bool {
	return other.Size > c.Size || other.Size == c.Size && other.At.After(c.At)
}

func (v *version) quorum() int {
	if w := v.bundle.Manifest.Witnesses; w != nil {
		return w.Quorum
	}
	return 0
}

// witnessed says that the version was in force once and demands witnesses. Its releases need them for as long as they can be asked for.
func (v *version) witnessed() bool {
	return v.quorum() > 0 && v.Status != Proposed && v.Status != Rejected && v.Status != Revoked
}

// clock is the time by which a version expires and budgets roll over: that of the witnesses where it demands some, else the state's. It
// never goes back while a version is in force.
func (s *state) clock(c *collaboration, v *version) time.Time {
	if v.quorum() > 0 {
		return time.UnixMilli(c.Witnessed).UTC()
	}
	return s.now()
}

// Cosign keeps a checkpoint of a size of this log with the cosignatures that were gathered, for each version of a manifest whose quorum
// it reaches.
type Cosign struct {
	Size       int64  `json:"size"`
	Checkpoint string `json:"checkpoint"` // signed note
}

func (Cosign) kind() string         { return "cosign" }
func (Cosign) yields() (r Accepted) { return r }

// Accepted tells how many versions of manifests have their quorum by it.
type Accepted struct {
	Versions int `json:"versions"`
}

func (c *change) cosign(b Cosign) (Accepted, error) {
	const op = "cosign"
	root, err := c.Tree.Root(b.Size)
	if err != nil {
		return Accepted{}, fault.New(op, fault.Invalid, err)
	}
	text := checkpoint.Text(c.Ledger, b.Size, root)
	var out Accepted
	for _, id := range sortedKeys(c.Collaborations) {
		collab := c.Collaborations[id]
		for _, v := range collab.Versions {
			if !v.witnessed() {
				continue
			}
			keys := v.bundle.Manifest.Witnesses.Keys
			by, err := checkpoint.Cosignatures(b.Checkpoint, text, keys)
			if err != nil {
				return Accepted{}, fault.New(op, fault.Invalid, fmt.Errorf("collaboration %s: %w", id, err))
			}
			if len(by) >= v.quorum() {
				out.Versions++
				c.keep(collab, v, checkpoint.Checkpoint{Size: b.Size, Cosigned: by}, b.Checkpoint)
			}
		}
	}
	if out.Versions == 0 {
		return out, fault.Newf(op, fault.Conflict, "the checkpoint of size %d has the quorum of no manifest", b.Size)
	}
	return out, nil
}

func (c *change) keep(collab *collaboration, v *version, head checkpoint.Checkpoint, signed string) {
	at, _ := head.Time()
	kept := cosigned{Checkpoint: checkpoint.Keep(signed, c.Ledger, v.bundle.Manifest.Witnesses.Keys), Size: head.Size, At: at}
	if v.Cosigned.older(kept) {
		v.Cosigned = kept
	}
	if collab.active() == v {
		collab.Witnessed = max(collab.Witnessed, at.UnixMilli())
	}
	if public := (cosigned{Checkpoint: signed, Size: head.Size, At: at}); c.Head.older(public) {
		c.Head = public
	}
}

// Demand is what a version of a manifest demands of witnesses, and how far they are. Checkpoint is a signed note of the first Size
// leaves with at least Quorum cosignatures, empty before the first.
type Demand struct {
	Collaboration string
	Version       int
	Keys          []string
	Quorum        int
	InForce       bool // queries are taken under it
	Checkpoint    string
	Size          int64
	At            time.Time // median of its cosignatures
}

// Demands lists what versions that are or were in force demand; those with quorum 0 demand nothing.
func (m *Machine) Demands() []Demand {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []Demand
	for _, id := range sortedKeys(m.s.Collaborations) {
		for _, v := range m.s.Collaborations[id].Versions {
			if v.witnessed() {
				out = append(out, m.s.Collaborations[id].demand(id, v))
			}
		}
	}
	return out
}

// Demand is what one version demands; it is false when it demands nothing.
func (m *Machine) Demand(collaboration string, number int) (Demand, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := m.s.Collaborations[collaboration]
	if c == nil || number < 1 || number > len(c.Versions) || c.Versions[number-1].quorum() == 0 {
		return Demand{}, false
	}
	return c.demand(collaboration, c.Versions[number-1]), true
}

func (c *collaboration) demand(collaboration string, v *version) Demand {
	w := v.bundle.Manifest.Witnesses
	return Demand{
		Collaboration: collaboration, Version: v.bundle.Manifest.Version, Keys: slices.Clone(w.Keys), Quorum: w.Quorum,
		InForce: c.active() == v, Checkpoint: v.Cosigned.Checkpoint, Size: v.Cosigned.Size, At: v.Cosigned.At,
	}
}

// Unprotected are the collaborations whose manifest in force demands no witness: nobody would see that their ledger was rolled back.
func (m *Machine) Unprotected() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []string
	for _, id := range sortedKeys(m.s.Collaborations) {
		if v := m.s.Collaborations[id].active(); v != nil && v.quorum() == 0 {
			out = append(out, id)
		}
	}
	return out
}

// Head is the newest checkpoint that the quorum of some manifest cosigned, with all cosignatures that were gathered; false while no
// manifest in force demands any.
func (m *Machine) Head() (signed string, size int64, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, c := range m.s.Collaborations {
		if v := c.active(); v != nil && v.quorum() > 0 && v.Cosigned.Size > 0 {
			return m.s.Head.Checkpoint, m.s.Head.Size, true
		}
	}
	return "", 0, false
}

// Leaves are the records of the log from start up to end, which is within it.
func (m *Machine) Leaves(start, end int64) [][]byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out [][]byte
	for _, e := range m.s.Entries[start:end] {
		out = append(out, e.Leaf)
	}
	return out
}
