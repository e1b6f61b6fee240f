package seal

// Ring seals under its own key and opens under older ones too, such as those that a mesh inherited.
type Ring struct {
	own   Key
	older []Key
}

// NewRing takes keys of 32 bytes.
func NewRing(own []byte, older ...[]byte) Ring {
	r := Ring{own: newKey(own)}
	for _, k := range older {
		r.older = append(r.older, newKey(k))
	}
	return r
}

// Seal encrypts as Key.Seal does.
func (r Ring) Seal(plain []byte, context string) []byte { return r.own.Seal(plain, context) }

// Open decrypts what was sealed under any of the keys.
func (r Ring) Open(sealed []byte, context string) ([]byte, error) {
	plain, err := r.own.Open(sealed, context)
	for i := len(r.older) - 1; err != nil && i >= 0; i-- {
		if p, older := r.older[i].Open(sealed, context); older == nil {
			return p, nil
		}
	}
	return plain, err
}
