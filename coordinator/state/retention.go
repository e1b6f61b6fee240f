package state

import "time"

// Expire destroys the keys of all datasets whose policy's last day has passed.
type Expire struct{}

func (Expire) kind() string          { return "expire" }
func (Expire) yields() (r Destroyed) { return r }

func (c *change) expire(Expire) (Destroyed, error) {
	out := Destroyed{Objects: []string{}}
	for _, id := range sortedKeys(c.Collaborations) {
		collab := c.Collaborations[id]
		v := collab.newest()
		if v == nil {
			continue
		}
		out.Objects = append(out.Objects, c.destroyWhere(collab, id, "retention", func(dataset string) bool {
			return !Kept(v.bundle.Policies[dataset], c.clock(collab, v))
		})...)
	}
	return out, nil
}

// Due says that some dataset is to be destroyed by Expire, by the state's time or by a later one.
func (m *Machine) Due(now time.Time) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, c := range m.s.Collaborations {
		v := c.newest()
		if v == nil {
			continue
		}
		at := m.s.clock(c, v)
		if v.quorum() == 0 && now.After(at) {
			at = now
		}
		for id, d := range c.Datasets {
			_, there := d.current()
			if there && !Kept(v.bundle.Policies[id], at) {
				return true
			}
		}
	}
	return false
}

// Destructions counts the keys that were destroyed. Whoever keeps older states on disk lets go of them when it grows.
func (m *Machine) Destructions() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.s.Destructions
}
