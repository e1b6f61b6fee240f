package release

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func TestKeysEncodeInjectively(t *testing.T) {
	seen := map[string]string{}
	for _, keys := range [][]any{
		{}, {nil}, {nil, nil}, {""}, {"", ""}, {"a", "b"}, {"ab", ""}, {"", "ab"}, {"ab"}, {"n"}, {"t"}, {true}, {false},
		{int64(1)}, {int64(-1)}, {"1"}, {1.0}, {-1.0}, {math.Inf(1)}, {math.NaN()}, {int64(1), int64(2)}, {int64(2), int64(1)},
		{int64(0)}, {0.0}, {time.Unix(0, 0)}, {time.Unix(0, 1)}, {time.Unix(1, 0)}, {time.Unix(-1, 0)},
	} {
		id, err := encodeKeys(keys)
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("%T%v", keys, keys)
		if other, twice := seen[string(id)]; twice {
			t.Errorf("%#v and %s have one encoding", keys, other)
		}
		seen[string(id)] = name
	}
	berlin := time.FixedZone("east", 3600)
	for _, same := range [][2]any{{0.0, math.Copysign(0, -1)}, {math.NaN(), -math.NaN()}, {time.Unix(5, 0).UTC(), time.Unix(5, 0).In(berlin)}} {
		a, _ := encodeKeys(same[:1])
		b, _ := encodeKeys(same[1:])
		if string(a) != string(b) {
			t.Errorf("%v and %v have two encodings", same[0], same[1])
		}
	}
}
