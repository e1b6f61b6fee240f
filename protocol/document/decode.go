package document

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// decoder fills a document from YAML nodes. It is stricter than YAML libraries are: no value changes its kind (text is never read from
// a number, nor the reverse), nothing is null, no key is unknown or repeated; and it remembers where each field stands.
type decoder struct {
	file      string
	positions map[string]Position
}

// fromYAML is implemented by values that have a YAML form of their own.
type fromYAML interface {
	fromYAML(d *decoder, n ast.Node, path string) error
}

var (
	integerForm = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	numberForm  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
)

func (d *decoder) errorf(n ast.Node, format string, args ...any) error {
	message := strings.TrimPrefix(fmt.Sprintf(format, args...), ": ") // the document itself has no path
	return &SyntaxError{File: d.file, Position: positionOf(n), Message: message}
}

func positionOf(n ast.Node) Position {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 { // the token of a block mapping is its first colon
		return positionOf(m.Values[0].Key)
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		return positionOf(m.Key)
	}
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return Position{}
	}
	p := n.GetToken().Position
	return Position{Line: p.Line, Column: p.Column}
}

func (d *decoder) decode(n ast.Node, v reflect.Value, path string) error {
	d.positions[path] = positionOf(n)
	if v.CanAddr() {
		if own, ok := v.Addr().Interface().(fromYAML); ok {
			return own.fromYAML(d, n, path)
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return d.decode(n, v.Elem(), path)
	case reflect.Struct:
		return d.structure(n, v, path)
	case reflect.Map:
		return d.mapping(n, v, path)
	case reflect.Slice, reflect.Array:
		return d.sequence(n, v, path)
	case reflect.String:
		s, ok := textOf(n)
		if !ok {
			return d.errorf(n, "%s: want text, have %s; put it in quotes if it is meant as text", path, describe(n))
		}
		v.SetString(s)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok || (n.GetToken().Value != "true" && n.GetToken().Value != "false") {
			return d.errorf(n, "%s: want true or false, have %s", path, describe(n))
		}
		v.SetBool(b.Value)
	case reflect.Int, reflect.Int64:
		i, ok := integerOf(n)
		if !ok {
			return d.errorf(n, "%s: want an integer in decimal digits, have %s", path, describe(n))
		}
		v.SetInt(i)
	case reflect.Float64:
		f, ok := numberOf(n)
		if !ok {
			return d.errorf(n, "%s: want a finite number, have %s", path, describe(n))
		}
		v.SetFloat(f)
	default:
		panic("document: field of kind " + v.Kind().String() + " at " + path)
	}
	return nil
}

// entries returns the keys and values of a mapping and refuses repeated keys.
func (d *decoder) entries(n ast.Node, path string) ([]*ast.MappingValueNode, error) {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		return nil, d.errorf(n, "%s: want fields (key: value), have %s", path, describe(n))
	}
	seen := map[string]bool{}
	for _, e := range values {
		k, ok := textOf(e.Key)
		if !ok {
			return nil, d.errorf(e.Key, "%s: want a name as key, have %s; put it in quotes if it is one", path, describe(e.Key))
		}
		if seen[k] {
			return nil, d.errorf(e.Key, "%s: key %q is there twice; remove one", path, k)
		}
		seen[k] = true
	}
	return values, nil
}

// missing are keys that are looked for and not there, and why.
var missing = map[string]string{
	"then.then": "a namespace has two identifiers at most, since a third would be linked through the second; choose the two that most rows have, and upload data that has another one alone " +
		"as a dataset of a namespace of its own (docs/adr/0023-two-identifiers.md)",
}

func (d *decoder) structure(n ast.Node, v reflect.Value, path string) error {
	entries, err := d.entries(n, path)
	if err != nil {
		return err
	}
	fields := map[string]int{}
	var names []string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name != "-" {
			fields[name] = i
			names = append(names, name)
		}
	}
	for _, e := range entries {
		k, _ := textOf(e.Key)
		i, ok := fields[k]
		if why, missed := missing[path[strings.LastIndexByte(path, '.')+1:]+"."+k]; missed && !ok {
			return d.errorf(e.Key, "%s: %s", join(path, k), why)
		}
		if !ok {
			return d.errorf(e.Key, "%s: unknown key %q; known here: %s", path, k, strings.Join(names, ", "))
		}
		if f, ok := numberOf(e.Value); ok && v.Type().Field(i).Tag.Get("form") == "number" { // text that may be written as a number
			d.positions[join(path, k)] = positionOf(e.Value)
			v.Field(i).SetString(strconv.FormatFloat(f, 'f', -1, 64))
			continue
		}
		if err := d.decode(e.Value, v.Field(i), join(path, k)); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, path string) error {
	entries, err := d.entries(n, path)
	if err != nil {
		return err
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range entries {
		k, _ := textOf(e.Key)
		element := reflect.New(v.Type().Elem()).Elem()
		if err := d.decode(e.Value, element, join(path, k)); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(k), element)
	}
	return nil
}

func (d *decoder) sequence(n ast.Node, v reflect.Value, path string) error {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		return d.errorf(n, "%s: want a list, have %s", path, describe(n))
	}
	if v.Kind() == reflect.Array {
		if len(s.Values) != v.Len() {
			return d.errorf(n, "%s: want %d values, have %d", path, v.Len(), len(s.Values))
		}
	} else {
		v.Set(reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values)))
	}
	for i, e := range s.Values {
		if err := d.decode(e, v.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// textOf refuses plain scalars that YAML 1.2 reads as numbers; the parser takes some of them (1e-6) for text.
func textOf(n ast.Node) (string, bool) {
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value, s.Token.Type != token.StringType || !numberForm.MatchString(s.Value)
	case *ast.LiteralNode:
		return s.Value.Value, true
	default:
		return "", false
	}
}

func integerOf(n ast.Node) (int64, bool) {
	if _, ok := n.(*ast.IntegerNode); !ok || !integerForm.MatchString(n.GetToken().Value) {
		return 0, false
	}
	i, err := strconv.ParseInt(n.GetToken().Value, 10, 64)
	return i, err == nil
}

func numberOf(n ast.Node) (float64, bool) {
	switch s := n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
	case *ast.StringNode:
		if s.Token.Type != token.StringType {
			return 0, false
		}
	default:
		return 0, false
	}
	if !numberForm.MatchString(n.GetToken().Value) {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.GetToken().Value, 64)
	return f, err == nil && !math.IsInf(f, 0)
}

func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "fields"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		if s, ok := textOf(n); ok {
			return fmt.Sprintf("text %.60q", s)
		}
		return fmt.Sprintf("%.60s", n.GetToken().Value)
	default:
		return fmt.Sprintf("%.60s", n.GetToken().Value)
	}
}
