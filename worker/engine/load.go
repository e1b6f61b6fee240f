package engine

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/duckdb/duckdb-go/v2"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/render"
)

// Load puts a dataset into memory under a name, which then means these rows. The reader's unit column is a 64-bit integer
// (ingest.Numbered). Policy says at which grain and within which bounds queries see the columns.
//
// Rows are kept in the order of their units, and texts with declared values as codes of a dictionary: joining and grouping by the unit
// and by such keys is what queries do most. Sealed datasets come in that order; that is seen while they are read, and rows in another
// order are sorted.
func (e *Engine) Load(ctx context.Context, name string, policy *document.Policy, reader array.RecordReader) error {
	e.mu.Lock()
	e.temporary++
	l := loading{policy: policy, id: e.temporary}
	e.mu.Unlock()
	conn, err := e.connector.Connect(ctx)
	if err != nil {
		return &Failure{"connect", err}
	}
	defer func() { _ = conn.Close() }()
	table, size, err := l.load(ctx, conn, reader)
	if err != nil {
		for _, statement := range l.forget() {
			_ = run(context.WithoutCancel(ctx), conn, statement)
		}
		return &Failure{"load", err}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tables[name] = loaded{table, size, l.forget()}
	return nil
}

func (l loading) load(ctx context.Context, conn driver.Conn, reader array.RecordReader) (render.Table, Size, error) {
	table := l.table()
	if err := runAll(ctx, conn, l.dictionaries(table)); err != nil {
		return table, Size{}, err
	}
	unit := l.policy.Unit.Column
	if l.policy.Unit.None {
		unit = ""
	}
	rows, err := watch(reader, unit)
	if err == nil {
		err = l.read(ctx, conn, rows, table.Name, l.items(table, reader.Schema()))
	}
	switch {
	case err != nil || unit == "":
	case rows.ascends():
		err = l.heavy(ctx, conn, rows, table.Heavy)
	default:
		err = runAll(ctx, conn, l.arrange(table, rows.nearly()))
	}
	return table, l.size(table, rows), err
}

// heavy makes the table of the units with more than one row.
func (l loading) heavy(ctx context.Context, conn driver.Conn, rows *watched, table string) error {
	heavy, err := rows.heavy()
	if err != nil {
		return err
	}
	defer heavy.Release()
	return l.read(ctx, conn, heavy, table, "*")
}

// loaded is a dataset in memory, and the statements that free it.
type loaded struct {
	render.Table
	size   Size
	forget []string
}

type loading struct {
	policy *document.Policy
	id     int
}

func (l loading) name(kind string) string { return fmt.Sprintf("%s_%d", kind, l.id) }

// read makes a table of the rows as they come. Items are all columns of the reader in their order, each alone: a registered view gives
// wrong rows to filters, and to projections that leave a column out or move it.
func (l loading) read(ctx context.Context, conn driver.Conn, reader array.RecordReader, table, items string) error {
	views, err := duckdb.NewArrowFromConn(conn)
	if err != nil {
		return err
	}
	release, err := views.RegisterView(reader, l.name("view"))
	if err != nil {
		return err
	}
	err = run(ctx, conn, "CREATE TABLE "+table+" AS SELECT "+items+" FROM "+l.name("view"))
	if dropped := run(context.WithoutCancel(ctx), conn, "DROP VIEW IF EXISTS "+l.name("view")); err == nil {
		err = dropped
	}
	release()
	if err == nil {
		err = reader.Err()
	}
	return err
}

// maxCodes is the most declared values that a dictionary is made of.
const maxCodes = 1000

// table describes a dataset as queries see it: measures within their bounds, times at their grain, texts.
func (l loading) table() render.Table {
	out := describe(l.name("data"), l.policy)
	out.Codes = map[string]string{}
	if l.policy.Unit.None {
		return out
	}
	out.Heavy = l.name("heavy")
	for name, c := range l.policy.Columns {
		if c.Role == "dimension" && c.Type == "varchar" && len(values(c)) > 0 {
			column := render.Identifier(name)
			out.Codes[name], out.Columns[name] = column, "CAST("+column+" AS VARCHAR)"
		}
	}
	return out
}

// values are the declared texts of a column in the order of their bytes, which is then the order of their codes.
func values(c document.Column) []string {
	if c.Domain == nil || c.Domain.Size() > maxCodes {
		return nil
	}
	seen := map[string]bool{}
	var out []string
	c.Domain.Each(func(v any) bool {
		if s, ok := v.(string); ok && !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
		return true
	})
	sort.Strings(out)
	return out
}

// dictionaries makes the types of texts that are kept as codes.
func (l loading) dictionaries(table render.Table) []string {
	var out []string
	for column := range table.Codes {
		quoted := values(l.policy.Columns[column])
		for i, v := range quoted {
			quoted[i] = render.Quote(v)
		}
		out = append(out, "CREATE TYPE "+l.dictionary(column)+" AS ENUM ("+strings.Join(quoted, ", ")+")")
	}
	return out
}

// items prints the columns of the rows as they come, texts as codes. A text that the policy no longer declares is NULL, and so is a time
// outside the years 1 to 9999: of such the engine can't compute the grain, and fails.
func (l loading) items(table render.Table, schema *arrow.Schema) string {
	out := make([]string, schema.NumFields())
	for i, field := range schema.Fields() {
		out[i] = render.Identifier(field.Name)
		if _, coded := table.Codes[field.Name]; coded {
			out[i] = fmt.Sprintf("TRY_CAST(%[1]s AS %[2]s) AS %[1]s", out[i], l.dictionary(field.Name))
		}
		switch field.Type.ID() {
		case arrow.DATE32:
			out[i] = fmt.Sprintf("CASE WHEN %[1]s BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' THEN %[1]s END AS %[1]s", out[i])
		case arrow.TIMESTAMP:
			out[i] = fmt.Sprintf("CASE WHEN %[1]s >= TIMESTAMP '0001-01-01' AND %[1]s < TIMESTAMP '10000-01-01' THEN %[1]s END AS %[1]s", out[i])
		}
	}
	return strings.Join(out, ", ")
}

// arrange puts a table in the order of units, unless it nearly is, and lists the units with more than one row.
func (l loading) arrange(table render.Table, nearly bool) []string {
	unit := render.Identifier(l.policy.Unit.Column)
	var out []string
	if !nearly {
		out = []string{
			fmt.Sprintf("CREATE TABLE %s AS SELECT * FROM %s ORDER BY %s", l.name("sorted"), table.Name, unit),
			"DROP TABLE " + table.Name,
			fmt.Sprintf("ALTER TABLE %s RENAME TO %s", l.name("sorted"), table.Name),
		}
	}
	return append(out, fmt.Sprintf("CREATE TABLE %[1]s AS SELECT %[2]s AS u, count(*) AS n FROM %[3]s GROUP BY %[2]s HAVING count(*) > 1", table.Heavy, unit, table.Name))
}

func (l loading) dictionary(column string) string {
	return render.Identifier(l.name("code") + "_" + column)
}

// forget drops what Load made.
func (l loading) forget() []string {
	table := l.table()
	out := []string{"DROP TABLE IF EXISTS " + table.Name, "DROP TABLE IF EXISTS " + l.name("sorted")}
	if table.Heavy != "" {
		out = append(out, "DROP TABLE IF EXISTS "+table.Heavy)
	}
	for column := range table.Codes {
		out = append(out, "DROP TYPE IF EXISTS "+l.dictionary(column))
	}
	return out
}

func runAll(ctx context.Context, conn driver.Conn, statements []string) error {
	for _, s := range statements {
		if err := run(ctx, conn, s); err != nil {
			return err
		}
	}
	return nil
}

func run(ctx context.Context, conn driver.Conn, statement string) error {
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		return errors.New("the driver can not execute")
	}
	_, err := execer.ExecContext(ctx, statement, nil)
	return err
}

// describe prints a dataset's columns as queries see them: measures within their bounds, times at their grain.
func describe(table string, policy *document.Policy) render.Table {
	out := render.Table{Name: table, Columns: map[string]string{}, Raw: map[string]string{}}
	for name, c := range policy.Columns {
		column := render.Identifier(name)
		out.Columns[name] = column
		switch {
		case c.Role == "measure" && c.Bounds != nil:
			out.Columns[name] = bounded(column, c)
		case c.Role == "time" && c.Grain != "":
			out.Columns[name], out.Raw[name] = truncated(column, c), column
		}
	}
	return out
}

func bounded(column string, c document.Column) string {
	low, high := fmt.Sprintf("%v", c.Bounds[0]), fmt.Sprintf("%v", c.Bounds[1])
	kind := "DOUBLE"
	if c.Type == "integer" || c.Type == "bigint" {
		kind = "BIGINT"
		low, high = fmt.Sprintf("%.0f", c.Bounds[0]), fmt.Sprintf("%.0f", c.Bounds[1])
	}
	return fmt.Sprintf("CASE WHEN %[1]s IS NOT NULL THEN least(greatest(CAST(%[1]s AS %[4]s), CAST(%[2]s AS %[4]s)), CAST(%[3]s AS %[4]s)) END", column, low, high, kind)
}

func truncated(column string, c document.Column) string {
	kind := "TIMESTAMP"
	if c.Type == "date" {
		if c.Grain == "day" {
			return column
		}
		kind = "DATE"
	}
	return fmt.Sprintf("CAST(date_trunc(%s, %s) AS %s)", render.Quote(strings.ToLower(c.Grain)), column, kind)
}
