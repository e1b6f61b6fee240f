package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

const none = "none"

type unitFields Unit

func (u *Unit) fromYAML(d *decoder, n ast.Node, path string) error {
	if s, ok := textOf(n); ok {
		if s != none {
			return d.errorf(n, "%s: want {column, namespace} or the word none, have %.60q", path, s)
		}
		*u = Unit{None: true}
		return nil
	}
	return d.decode(n, reflectElem((*unitFields)(u)), path)
}

// MarshalJSON writes "none" or the fields.
func (u Unit) MarshalJSON() ([]byte, error) {
	if u.None {
		return json.Marshal(none)
	}
	return json.Marshal(unitFields(u))
}

// UnmarshalJSON reads "none" or the fields.
func (u *Unit) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) {
		if string(b) != `"none"` {
			return fmt.Errorf("unit: want the word none or fields, have %.60s", b)
		}
		*u = Unit{None: true}
		return nil
	}
	return strictJSON(b, (*unitFields)(u))
}

type domainRange struct {
	From *int64 `yaml:"from" json:"from"`
	To   *int64 `yaml:"to" json:"to"`
}

func (r domainRange) domain() (Domain, error) {
	if r.From == nil || r.To == nil {
		return Domain{}, errors.New("a range needs from and to, both integers")
	}
	return Domain{From: r.From, To: r.To}, nil
}

func (v *Domain) fromYAML(d *decoder, n ast.Node, path string) error {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		var r domainRange
		err := d.decode(n, reflectElem(&r), path)
		if err == nil {
			if *v, err = r.domain(); err != nil {
				return d.errorf(n, "%s: %s", path, err)
			}
		}
		return err
	}
	v.Values = make([]any, len(s.Values))
	for i, e := range s.Values {
		value, err := d.scalar(e, fmt.Sprintf("%s[%d]", path, i))
		if err != nil {
			return err
		}
		v.Values[i] = value
	}
	return nil
}

func (d *decoder) scalar(n ast.Node, path string) (any, error) {
	d.positions[path] = positionOf(n)
	if s, ok := textOf(n); ok {
		return s, nil
	}
	if i, ok := integerOf(n); ok {
		return i, nil
	}
	switch b := n.(type) {
	case *ast.NullNode:
		return nil, nil
	case *ast.BoolNode:
		if t := n.GetToken().Value; t == "true" || t == "false" {
			return b.Value, nil
		}
	}
	return nil, d.errorf(n, "%s: want text, an integer, true, false or null, have %s; put text that looks like a number in quotes", path, describe(n))
}

// MarshalJSON writes the list of values, or {"from":…,"to":…}.
func (v Domain) MarshalJSON() ([]byte, error) {
	if v.From != nil || v.To != nil {
		return json.Marshal(domainRange{From: v.From, To: v.To})
	}
	if v.Values == nil {
		return []byte("[]"), nil
	}
	return json.Marshal(v.Values)
}

// UnmarshalJSON reads what MarshalJSON wrote. Integers become int64.
func (v *Domain) UnmarshalJSON(b []byte) error {
	if !bytes.HasPrefix(b, []byte("[")) {
		var r domainRange
		err := strictJSON(b, &r)
		if err == nil {
			*v, err = r.domain()
		}
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	values := []any{}
	if err := d.Decode(&values); err != nil {
		return err
	}
	for i, e := range values {
		switch e := e.(type) {
		case nil, string, bool:
		case json.Number:
			n, err := strconv.ParseInt(e.String(), 10, 64)
			if err != nil {
				return fmt.Errorf("domain: %.40s is not an integer", e.String())
			}
			values[i] = n
		default:
			return errors.New("domain: want text, integers, true, false or null")
		}
	}
	*v = Domain{Values: values}
	return nil
}

// Size is the number of declared values.
func (v *Domain) Size() int64 {
	if v == nil {
		return 0
	}
	if v.From != nil && v.To != nil {
		return *v.To - *v.From + 1
	}
	return int64(len(v.Values))
}

// Each calls yield with each declared value in order (string, int64, bool, or nil for null) until it returns false.
func (v *Domain) Each(yield func(any) bool) {
	if v == nil {
		return
	}
	if v.From != nil && v.To != nil {
		for i := *v.From; i <= *v.To; i++ {
			if !yield(i) {
				return
			}
		}
		return
	}
	for _, e := range v.Values {
		if !yield(e) {
			return
		}
	}
}

func reflectElem(pointer any) reflect.Value { return reflect.ValueOf(pointer).Elem() }
