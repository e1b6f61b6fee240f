package flight

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	arrowflight "github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/schema_ref"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/table"
)

// tableType is that of datasets: many tools list tables of this type alone. What each column is for comes with them; what a query may not do with them,
// its refusal says.
const tableType = "TABLE"

// dataset is a dataset under the names that SQL has for it.
type dataset struct {
	catalog, schema, name string
	policy                *document.Policy
}

// datasets lists what the person may ask about.
func (s *service) datasets(ctx context.Context) ([]dataset, error) {
	rooms, err := s.Asker.Rooms(ctx)
	if err != nil {
		return nil, failure(err)
	}
	var out []dataset
	for _, r := range rooms {
		for _, d := range r.Manifest.Datasets {
			schema, name, two := strings.Cut(d.ID, ".")
			if !two {
				schema, name = "", d.ID
			}
			out = append(out, dataset{catalog: r.Manifest.Collaboration, schema: schema, name: name, policy: r.Policies[d.ID]})
		}
	}
	return out, nil
}

// GetFlightInfoCatalogs implements flightsql.Server.
func (s *service) GetFlightInfoCatalogs(_ context.Context, d *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	return info(d, schema_ref.Catalogs), nil
}

// DoGetCatalogs implements flightsql.Server: collaborations are catalogs.
func (s *service) DoGetCatalogs(ctx context.Context) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	rooms, err := s.Asker.Rooms(ctx)
	if err != nil {
		return nil, nil, failure(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema_ref.Catalogs)
	defer b.Release()
	for _, r := range rooms {
		b.Field(0).(*array.StringBuilder).Append(r.Manifest.Collaboration)
	}
	return stream(schema_ref.Catalogs, b.NewRecordBatch())
}

// GetFlightInfoSchemas implements flightsql.Server.
func (s *service) GetFlightInfoSchemas(_ context.Context, _ flightsql.GetDBSchemas, d *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	return info(d, schema_ref.DBSchemas), nil
}

// DoGetDBSchemas implements flightsql.Server: what stands before the dot in a dataset's id.
func (s *service) DoGetDBSchemas(ctx context.Context, q flightsql.GetDBSchemas) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	all, err := s.datasets(ctx)
	if err != nil {
		return nil, nil, err
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema_ref.DBSchemas)
	defer b.Release()
	seen := map[[2]string]bool{}
	for _, d := range all {
		name := [2]string{d.catalog, d.schema}
		if seen[name] || !is(q.GetCatalog(), d.catalog) || !like(q.GetDBSchemaFilterPattern(), d.schema) {
			continue
		}
		seen[name] = true
		b.Field(0).(*array.StringBuilder).Append(d.catalog)
		b.Field(1).(*array.StringBuilder).Append(d.schema)
	}
	return stream(schema_ref.DBSchemas, b.NewRecordBatch())
}

// GetFlightInfoTables implements flightsql.Server.
func (s *service) GetFlightInfoTables(_ context.Context, q flightsql.GetTables, d *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	return info(d, tables(q)), nil
}

func tables(q flightsql.GetTables) *arrow.Schema {
	if q.GetIncludeSchema() {
		return schema_ref.TablesWithIncludedSchema
	}
	return schema_ref.Tables
}

// DoGetTables implements flightsql.Server.
func (s *service) DoGetTables(ctx context.Context, q flightsql.GetTables) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	all, err := s.datasets(ctx)
	if err != nil {
		return nil, nil, err
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, tables(q))
	defer b.Release()
	wanted := q.GetTableTypes()
	for _, d := range all {
		if len(wanted) > 0 && !slices.Contains(wanted, tableType) || !is(q.GetCatalog(), d.catalog) ||
			!like(q.GetDBSchemaFilterPattern(), d.schema) || !like(q.GetTableNameFilterPattern(), d.name) {
			continue
		}
		for i, value := range []string{d.catalog, d.schema, d.name, tableType} {
			b.Field(i).(*array.StringBuilder).Append(value)
		}
		if q.GetIncludeSchema() {
			b.Field(4).(*array.BinaryBuilder).Append(arrowflight.SerializeSchema(schemaOf(d), memory.DefaultAllocator))
		}
	}
	return stream(tables(q), b.NewRecordBatch())
}

// schemaOf are the columns of a dataset. What its policy makes of each stands in the metadata, for tools and people.
func schemaOf(d dataset) *arrow.Schema {
	var fields []arrow.Field
	for _, name := range slices.Sorted(maps.Keys(d.policy.Columns)) {
		c := d.policy.Columns[name]
		m := arrow.MetadataFrom(hints(d, name, c))
		fields = append(fields, arrow.Field{Name: name, Type: table.Type(c.Type), Nullable: true, Metadata: m})
	}
	m := arrow.MetadataFrom(map[string]string{"concordat.owner": d.policy.Owner, "concordat.joins": d.policy.Joins})
	return arrow.NewSchema(fields, &m)
}

func hints(d dataset, name string, c document.Column) map[string]string {
	out := map[string]string{
		"ARROW:FLIGHT:SQL:CATALOG_NAME": d.catalog, "ARROW:FLIGHT:SQL:SCHEMA_NAME": d.schema, "ARROW:FLIGHT:SQL:TABLE_NAME": d.name,
		"ARROW:FLIGHT:SQL:TYPE_NAME": strings.ToUpper(c.Type), "concordat.role": c.Role,
	}
	if !d.policy.Unit.None && d.policy.Unit.Column == name {
		out["concordat.namespace"] = d.policy.Unit.Namespace
	}
	if c.Bounds != nil {
		out["concordat.bounds"] = fmt.Sprintf("[%v, %v]", c.Bounds[0], c.Bounds[1])
	}
	if c.Grain != "" {
		out["concordat.grain"] = c.Grain
	}
	if c.Domain != nil {
		if b, err := json.Marshal(c.Domain); err == nil {
			out["concordat.domain"] = string(b)
		}
	}
	out["ARROW:FLIGHT:SQL:REMARKS"] = remarks(out)
	return out
}

// remarks say in words what the hints say: tools show them beside the column.
func remarks(hints map[string]string) string {
	out := hints["concordat.role"]
	for _, of := range []string{"namespace", "bounds", "grain", "domain"} {
		if said := hints["concordat."+of]; said != "" {
			out += "; " + of + " " + said
		}
	}
	return out
}

// GetFlightInfoTableTypes implements flightsql.Server.
func (s *service) GetFlightInfoTableTypes(_ context.Context, d *arrowflight.FlightDescriptor) (*arrowflight.FlightInfo, error) {
	return info(d, schema_ref.TableTypes), nil
}

// DoGetTableTypes implements flightsql.Server.
func (s *service) DoGetTableTypes(context.Context) (*arrow.Schema, <-chan arrowflight.StreamChunk, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema_ref.TableTypes)
	defer b.Release()
	b.Field(0).(*array.StringBuilder).Append(tableType)
	return stream(schema_ref.TableTypes, b.NewRecordBatch())
}

// is compares with a name that may not have been given.
func is(wanted *string, name string) bool { return wanted == nil || *wanted == name }

// like matches a pattern of SQL that may not have been given: % is any text, _ any character, and a backslash takes the next one as it is.
func like(pattern *string, name string) bool {
	if pattern == nil || *pattern == "" {
		return true
	}
	var form strings.Builder
	escaped := false
	for _, r := range *pattern {
		switch {
		case escaped:
			form.WriteString(regexp.QuoteMeta(string(r)))
			escaped = false
		case r == '\\':
			escaped = true
		case r == '%':
			form.WriteString(".*")
		case r == '_':
			form.WriteString(".")
		default:
			form.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	re, err := regexp.Compile("(?is)^" + form.String() + "$")
	return err == nil && re.MatchString(name)
}
