package release

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"concordat.dev/policies/mechanism"
)

// EncodeKeys is an injective encoding of a group's keys: it names the group in noise contexts. Times are instants; -0 is 0 and all NaN are one.
func encodeKeys(keys []any) ([]byte, error) {
	var out []byte
	for _, k := range keys {
		switch v := k.(type) {
		case nil:
			out = append(out, 'n')
		case string:
			out = binary.BigEndian.AppendUint64(append(out, 's'), uint64(len(v)))
			out = append(out, v...)
		case int64:
			out = binary.BigEndian.AppendUint64(append(out, 'i'), uint64(v))
		case bool:
			if v {
				out = append(out, 't')
			} else {
				out = append(out, 'f')
			}
		case float64:
			switch {
			case v == 0:
				v = 0 // also of -0
			case math.IsNaN(v):
				v = math.NaN()
			}
			out = binary.BigEndian.AppendUint64(append(out, 'd'), math.Float64bits(v))
		case time.Time:
			out = binary.BigEndian.AppendUint64(append(out, 'T'), uint64(v.Unix()))
			out = binary.BigEndian.AppendUint32(out, uint32(v.Nanosecond()))
		default:
			return nil, fmt.Errorf("%w: a key of type %T", ErrGroups, k)
		}
	}
	return out, nil
}

// DeclaredTypes notes the type of each key's declared values, so that an engine that returns another type is noticed: its groups would
// otherwise be taken for absent.
func declaredTypes(spec *mechanism.Spec, types []string) error {
	if !spec.PublicKeys || spec.Kind == mechanism.Threshold {
		return nil
	}
	for i := range types {
		for _, v := range spec.Domain[i] {
			if err := sameType(v, &types[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func sameTypes(keys []any, types []string) error {
	for i, k := range keys {
		if err := sameType(k, &types[i]); err != nil {
			return err
		}
	}
	return nil
}

func sameType(v any, want *string) error {
	if v == nil {
		return nil
	}
	have := fmt.Sprintf("%T", v)
	if *want == "" {
		*want = have
	}
	if have != *want {
		return fmt.Errorf("%w: a key of type %s among %s", ErrGroups, have, *want)
	}
	return nil
}

// CompareKeys orders groups by their keys, NULL last.
func compareKeys(a, b []any) int {
	for i := range a {
		if c := compareKey(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}

func compareKey(a, b any) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	switch v := a.(type) {
	case string:
		return strings.Compare(v, b.(string))
	case int64:
		return cmp.Compare(v, b.(int64))
	case float64:
		return cmp.Compare(v, b.(float64))
	case time.Time:
		return v.Compare(b.(time.Time))
	case bool:
		return compareBool(v, b.(bool))
	}
	x, _ := encodeKeys([]any{a})
	y, _ := encodeKeys([]any{b})
	return bytes.Compare(x, y)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}
