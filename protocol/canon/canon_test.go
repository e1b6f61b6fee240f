package canon_test

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"concordat.dev/protocol/canon"
)

type sample struct {
	B string         `json:"b"`
	A int64          `json:"a,omitempty"`
	M map[string]any `json:"m,omitempty"`
}

// The vectors are read by TypeScript too.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("../testdata/canon.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, In, Out string
		Digest        canon.Digest
		Refused       bool
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			out, err := canon.Transform([]byte(v.In))
			if v.Refused {
				if err == nil {
					t.Fatalf("accepted as %s", out)
				}
				return
			}
			if err != nil || string(out) != v.Out || canon.Sum(out) != v.Digest {
				t.Fatalf("got %s %s %v, want %s %s", out, canon.Sum(out), err, v.Out, v.Digest)
			}
		})
	}
}

func TestUnmarshalAcceptsOneForm(t *testing.T) {
	for in, ok := range map[string]bool{
		`{"a":1,"b":"x"}`:             true,
		`{"b":""}`:                    true,
		`{"b":"x","a":1}`:             false, // order
		`{"a":1, "b":"x"}`:            false, // space
		`{"a":1,"b":"x"}` + "\n":      false,
		`{"a":1,"b":"x"}{}`:           false,
		`{"a":0,"b":"x"}`:             false, // omitted when zero
		`{"A":1,"b":"x"}`:             false, // other case
		`{"a":1,"a":1,"b":"x"}`:       false,
		`{"a":1,"b":"x","c":2}`:       false,
		`{"a":1e0,"b":"x"}`:           false,
		`{"b":"\u0078"}`:              false,
		`{"a":9007199254740993}`:      false,
		`{}`:                          false, // b is always written
		`{"b":"x","m":{"k":1,"j":2}}`: false,
	} {
		var s sample
		err := canon.Unmarshal([]byte(in), &s)
		if (err == nil) != ok {
			t.Errorf("%s: %v", in, err)
		}
	}
	var s sample
	if err := canon.Unmarshal([]byte(`{"b":"x","a":1}`), &s); !errors.Is(err, canon.ErrNotCanonical) {
		t.Errorf("got %v", err)
	}
}

func TestDigest(t *testing.T) {
	d := canon.Sum([]byte("abc"))
	if d != "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Fatal(d)
	}
	if canon.Of(d.Raw()) != d {
		t.Fatal("Raw and Of differ")
	}
	for _, bad := range []string{"", "sha256:", "sha512:" + string(d[7:]), string(d[:70]), string(d) + "0",
		"sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"} {
		if _, err := canon.ParseDigest(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
	var v struct{ D canon.Digest }
	if err := json.Unmarshal([]byte(`{"D":"sha256:00"}`), &v); err == nil {
		t.Error("a short digest was decoded")
	}
}

func FuzzTransform(f *testing.F) {
	for _, s := range []string{`{"b":1,"a":[1.5e300,null,"é\u0000"]}`, `[1e-7,0.1,-0]`, `"\ud83d\ude00"`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		once, err := canon.Transform(in)
		if err != nil {
			return
		}
		twice, err := canon.Transform(once)
		if err != nil || string(once) != string(twice) {
			t.Fatalf("%q -> %q -> %q, %v", in, once, twice, err)
		}
	})
}
