package document

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// MaxSize is the size of one document in bytes, in either form.
const MaxSize = 1 << 20

// maxDepth bounds the nesting of YAML; documents need 6.
const maxDepth = 16

// Position is a place in a YAML file, both counted from 1; zero when unknown.
type Position struct {
	Line, Column int
}

// SyntaxError says where YAML is not a document of ours. It prints as FILE:LINE:COL: message.
type SyntaxError struct {
	File string
	Position
	Message string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Source is where the fields of a document stand in its file. The zero Source knows nothing.
type Source struct {
	File      string
	positions map[string]Position
}

// Find returns the place of a field such as "columns.age.bounds", or of the nearest field around it.
func (s Source) Find(path string) Position {
	for path != "" {
		if p, ok := s.positions[path]; ok {
			return p
		}
		i := len(path) - 1
		for i > 0 && path[i] != '.' && path[i] != '[' {
			i--
		}
		path = path[:i]
	}
	return s.positions[""]
}

// ParseManifest reads a manifest as written; file is its name in messages. It checks form, not meaning: see Bundle.Validate.
func ParseManifest(file string, b []byte) (*Manifest, Source, error) {
	m := new(Manifest)
	src, err := parse(file, b, m)
	if err != nil {
		return nil, Source{}, err
	}
	zero := map[string]bool{"release.time_grid": m.Release.TimeGrid == "", "review": m.Review == ""}
	if a := m.Amendments; a != nil {
		zero["amendments.tightening"], zero["amendments.recovery"] = a.Tightening == "", a.Recovery == ""
	}
	return m, src, explicitZero(src, zero)
}

// ParsePolicy reads a policy as written, without defaults.
func ParsePolicy(file string, b []byte) (*Policy, Source, error) {
	p := new(Policy)
	src, err := parse(file, b, p)
	if err != nil {
		return nil, Source{}, err
	}
	zero := map[string]bool{"joins": p.Joins == "", "max_rows_per_unit": p.MaxRows == 0, "expires": p.Expires == ""}
	if r := p.Release; r != nil {
		zero["release.groups_per_unit"], zero["release.rows_per_group"] = r.GroupsPerUnit == 0, r.RowsPerGroup == 0
		zero["release.max_groups"], zero["release.rho_per_aggregate"] = r.MaxGroups == 0, r.RhoPerAggregate == 0
	}
	if b := p.Budget; b != nil {
		zero["budget.queries"], zero["budget.period"] = b.Queries == 0, b.Period == ""
		zero["budget.per_person_share"] = b.PerPersonShare == 0
	}
	for name, c := range p.Columns {
		zero["columns."+name+".scale"], zero["columns."+name+".prefix"] = c.Scale == 0, c.Prefix == 0
		zero["columns."+name+".grain"] = c.Grain == ""
	}
	return p, src, explicitZero(src, zero)
}

// explicitZero refuses fields that are written as zero, where leaving them out means a default: the writer meant something else.
func explicitZero(src Source, zero map[string]bool) error {
	var first *SyntaxError
	for path, isZero := range zero {
		p, written := src.positions[path]
		if !isZero || !written {
			continue
		}
		if first == nil || p.Line < first.Line || p.Line == first.Line && p.Column < first.Column {
			first = &SyntaxError{File: src.File, Position: p, Message: path + ": must not be zero or empty; leave it out for the default"}
		}
	}
	if first == nil {
		return nil
	}
	return first
}

func parse(file string, b []byte, v any) (Source, error) {
	if len(b) > MaxSize {
		return Source{}, fmt.Errorf("%s: %d bytes; a document has at most %d", file, len(b), MaxSize)
	}
	start := Position{Line: 1, Column: 1}
	if !utf8.Valid(b) || bytes.HasPrefix(b, []byte("\ufeff")) {
		return Source{}, &SyntaxError{File: file, Position: start, Message: "not plain UTF-8; save it as UTF-8 without a byte order mark"}
	}
	if err := checkShape(file, b); err != nil {
		return Source{}, err
	}
	tree, err := parser.ParseBytes(b, 0)
	if err != nil {
		return Source{}, yamlError(file, err)
	}
	var body ast.Node
	for _, doc := range tree.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			return Source{}, &SyntaxError{File: file, Position: positionOf(doc.Body), Message: "a second document; write one document a file"}
		}
		body = doc.Body
	}
	if body == nil {
		return Source{}, &SyntaxError{File: file, Position: start, Message: "the file is empty"}
	}
	d := &decoder{file: file, positions: map[string]Position{}}
	if err := d.plain(body, 0); err != nil {
		return Source{}, err
	}
	if err := d.decode(body, reflect.ValueOf(v).Elem(), ""); err != nil {
		return Source{}, err
	}
	return Source{File: file, positions: d.positions}, nil
}

// plain refuses the parts of YAML that make one text mean what another text says: anchors, aliases, merges, tags, directives.
func (d *decoder) plain(n ast.Node, depth int) error {
	if depth > maxDepth {
		return d.errorf(n, "nested deeper than %d levels", maxDepth)
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, e := range n.Values {
			if err := d.plain(e, depth); err != nil {
				return err
			}
		}
	case *ast.MappingValueNode:
		if err := d.plain(n.Key, depth+1); err != nil {
			return err
		}
		return d.plain(n.Value, depth+1)
	case *ast.SequenceNode:
		for _, e := range n.Values {
			if err := d.plain(e, depth+1); err != nil {
				return err
			}
		}
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode, *ast.TagNode, *ast.DirectiveNode:
		return d.errorf(n, "anchors, aliases, merges, tags and directives are not allowed; write the value out")
	case *ast.MappingKeyNode:
		return d.errorf(n, "keys are plain names")
	}
	return nil
}

func yamlError(file string, err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil && y.GetToken().Position != nil {
		p := y.GetToken().Position
		return &SyntaxError{File: file, Position: Position{Line: p.Line, Column: p.Column}, Message: "not YAML: " + y.GetMessage()}
	}
	return fmt.Errorf("%s: not YAML: %w", file, err)
}
