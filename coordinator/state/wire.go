package state

import (
	"errors"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// errWire says that bytes are not what this build writes.
var errWire = errors.New("malformed record")

// record is what is written most often, commands and the parts of snapshots that grow, in the wire format of protocol buffers: numbered
// fields, those without a value left out. A field's number is never given to another.
type record []byte

func (r *record) text(n protowire.Number, s string) {
	if s != "" {
		*r = protowire.AppendString(protowire.AppendTag(*r, n, protowire.BytesType), s)
	}
}

func (r *record) raw(n protowire.Number, b []byte) {
	if len(b) > 0 {
		r.item(n, b)
	}
}

// item is an element of a list, which is written empty too.
func (r *record) item(n protowire.Number, b []byte) {
	*r = protowire.AppendBytes(protowire.AppendTag(*r, n, protowire.BytesType), b)
}

func (r *record) number(n protowire.Number, v int64) {
	if v != 0 {
		*r = protowire.AppendVarint(protowire.AppendTag(*r, n, protowire.VarintType), protowire.EncodeZigZag(v))
	}
}

func (r *record) float(n protowire.Number, v float64) {
	if bits := math.Float64bits(v); bits != 0 {
		*r = protowire.AppendFixed64(protowire.AppendTag(*r, n, protowire.Fixed64Type), bits)
	}
}

func (r *record) time(n protowire.Number, t time.Time) {
	if !t.IsZero() {
		r.number(n, t.UnixNano()+1) // the epoch itself is no time left out
	}
}

// field is one field as it is read. Which of its methods fits, the number tells.
type field struct {
	num   protowire.Number
	value uint64
	bytes []byte
}

func (f field) number() int64    { return protowire.DecodeZigZag(f.value) }
func (f field) float() float64   { return math.Float64frombits(f.value) }
func (f field) text() string     { return string(f.bytes) }
func (f field) raw() []byte      { return slices.Clone(f.bytes) }
func (f field) time() time.Time  { return time.Unix(0, f.number()-1).UTC() }
func (f field) index() uint64    { return uint64(f.number()) } //nolint:gosec // written from one
func (f field) number32() uint32 { return uint32(f.number()) } //nolint:gosec // written from one

// fields reads a record. A field that take does not know was written by another build: that is an error.
func fields(b []byte, take func(field) bool) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errWire
		}
		b = b[n:]
		f := field{num: num}
		switch kind {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(b)
		case protowire.Fixed64Type:
			f.value, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			return errWire
		}
		if n < 0 || !take(f) {
			return errWire
		}
		b = b[n:]
	}
	return nil
}

// names keeps one copy of strings that come again and again. A nil one keeps none.
type names map[string]string

// maxNames is how many it knows before it begins anew: those that still come are soon known again.
const maxNames = 10_000

func (n names) of(b []byte) string {
	if s, ok := n[string(b)]; ok {
		return s
	}
	return n.keep(string(b))
}

// one is the copy of a string that is kept.
func (n names) one(s string) string {
	if known, ok := n[s]; ok {
		return known
	}
	return n.keep(s)
}

func (n names) keep(s string) string {
	if n == nil {
		return s
	}
	if len(n) >= maxNames {
		clear(n)
	}
	n[s] = s
	return s
}
