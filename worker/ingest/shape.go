package ingest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"concordat.dev/protocol/document"
	"concordat.dev/worker/token"
)

// Types of the columns as they leave ingest. Decimal is a double: the engine sums integers in units of the column's scale,
// which a double of up to 15 digits names exactly. A uuid is its lower-case text.
var arrowTypes = map[string]arrow.DataType{
	"boolean":   arrow.FixedWidthTypes.Boolean,
	"integer":   arrow.PrimitiveTypes.Int32,
	"bigint":    arrow.PrimitiveTypes.Int64,
	"double":    arrow.PrimitiveTypes.Float64,
	"decimal":   arrow.PrimitiveTypes.Float64,
	"varchar":   arrow.BinaryTypes.String,
	"uuid":      arrow.BinaryTypes.String,
	"date":      arrow.FixedWidthTypes.Date32,
	"timestamp": &arrow.TimestampType{Unit: arrow.Microsecond},
}

// TokenType is the type of the unit column after ingest.
var TokenType = &arrow.FixedSizeBinaryType{ByteWidth: token.Size}

// shape is what a policy asks of a file and makes of it: the columns that stay, by name.
type shape struct {
	names  []string // of the columns that stay, and then the second identifier's, where there is one
	types  []string
	checks []*check
	hidden map[string]bool
	unit   int // index of the unit column, -1 for unit: none
	then   int // index of the second identifier, behind the columns that stay; -1 without one
	schema *arrow.Schema
}

// Schema gives the columns of an ingested dataset: those of the policy by name, without hidden ones, the unit as a token.
func Schema(policy document.Policy) (*arrow.Schema, error) {
	s, err := newShape(policy)
	if err != nil {
		return nil, err
	}
	return s.schema, nil
}

func newShape(policy document.Policy) (*shape, error) {
	s := &shape{unit: -1, then: -1, hidden: map[string]bool{}}
	var fields []arrow.Field
	for _, name := range slices.Sorted(maps.Keys(policy.Columns)) {
		column := policy.Columns[name]
		isUnit := !policy.Unit.None && name == policy.Unit.Column
		if column.Role == "hidden" && !isUnit {
			s.hidden[name] = true
			continue
		}
		typ, ok := arrowTypes[column.Type]
		if !ok {
			return nil, fmt.Errorf("policy of %s: column %s: unknown type %q", policy.Dataset, name, column.Type)
		}
		if column.Role == "identifier" && !isUnit {
			return nil, fmt.Errorf("policy of %s: column %s: only the unit column %q may be an identifier; make it hidden", policy.Dataset, name, policy.Unit.Column)
		}
		check, err := newCheck(column)
		if err != nil {
			return nil, fmt.Errorf("policy of %s: column %s: %w", policy.Dataset, name, err)
		}
		if isUnit {
			s.unit, typ = len(fields), TokenType
		}
		s.names = append(s.names, name)
		s.types = append(s.types, column.Type)
		s.checks = append(s.checks, check)
		fields = append(fields, arrow.Field{Name: name, Type: typ, Nullable: !isUnit})
	}
	if s.unit < 0 && !policy.Unit.None {
		return nil, fmt.Errorf("policy of %s: the unit column %q isn't among its columns", policy.Dataset, policy.Unit.Column)
	}
	s.schema = arrow.NewSchema(fields, nil)
	if then := policy.Unit.Then; then != "" {
		column, ok := policy.Columns[then]
		if !ok || !s.hidden[then] {
			return nil, fmt.Errorf("policy of %s: the second identifier %q isn't among its hidden columns", policy.Dataset, then)
		}
		delete(s.hidden, then)
		s.then = len(s.names)
		s.names, s.types = append(s.names, then), append(s.types, column.Type)
	}
	return s, nil
}

// columns are the names of those that stay.
func (s *shape) columns() []string { return s.names[:s.schema.NumFields()] }
