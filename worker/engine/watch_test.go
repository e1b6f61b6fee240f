package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"concordat.dev/protocol/document"
)

var visits = &document.Policy{Dataset: "a.b", Unit: document.Unit{Column: "id", Namespace: "n"}, Columns: map[string]document.Column{
	"id": {Type: "varchar", Role: "identifier"}, "amount": {Type: "double", Role: "measure"}, "free": {Type: "varchar", Role: "dimension"},
	"kind": {Type: "varchar", Role: "dimension", Domain: &document.Domain{Values: []any{"b", "a"}}}}}

// rowsOf reads units in a given order, in batches of a thousand; the other columns follow from the unit.
func rowsOf(t *testing.T, units []uint64) array.RecordReader {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "amount", Type: arrow.PrimitiveTypes.Float64}, {Name: "free", Type: arrow.BinaryTypes.String},
		{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "kind", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	var batches []arrow.RecordBatch
	for part := range slices.Chunk(units, 1000) {
		for _, u := range part {
			b.Field(0).(*array.Float64Builder).Append(float64(u % 1000))
			b.Field(1).(*array.StringBuilder).Append(fmt.Sprint("a text that is long: ", u%1000))
			b.Field(2).(*array.Int64Builder).Append(int64(u))
			b.Field(3).(*array.StringBuilder).Append([]string{"a", "b", "not declared any more"}[u%3])
		}
		batches = append(batches, b.NewRecordBatch())
	}
	reader, err := array.NewRecordReader(schema, batches)
	if err != nil {
		t.Fatal(err)
	}
	return reader
}

// TestOrderIsSeen loads the same rows sorted, in two runs and in no order: queries find the same table and the same heavy units.
func TestOrderIsSeen(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	var sorted []uint64
	for range 20_000 {
		u := draw.Uint64()
		sorted = append(sorted, slices.Repeat([]uint64{u}, 1+int(u%4))...)
	}
	mixed := slices.Clone(sorted)
	draw.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	slices.Sort(sorted)
	half := len(mixed) / 2
	slices.Sort(mixed[:half])
	runs := slices.Clone(mixed)
	slices.Sort(runs[half:])
	for name, units := range map[string][]uint64{"sorted": sorted, "two runs": runs, "half in no order": mixed, "empty": nil} {
		e := locked(t, Config{Threads: 2})
		reader := rowsOf(t, units)
		if err := e.Load(context.Background(), "set", visits, reader); err != nil {
			t.Fatal(name, err)
		}
		reader.Release()
		table := e.tables["set"]
		heavy := fmt.Sprintf("SELECT count(*) FROM (SELECT id AS u, count(*) AS n FROM %s GROUP BY id HAVING count(*) > 1) FULL JOIN %s h USING (u, n) ", table.Name, table.Heavy)
		for what, query := range map[string]string{
			"rows that are missing":   fmt.Sprintf("SELECT %d - count(*) FROM %s", len(units), table.Name),
			"heavy units that differ": fmt.Sprintf("SELECT (%s) - (SELECT count(*) FROM %s)", heavy, table.Heavy),
			"values that moved": fmt.Sprintf(`SELECT count(*) FROM (SELECT *, CAST(id %% 1000 AS INTEGER) AS m FROM (SELECT amount, free, kind, CASE WHEN id < 0 THEN id::HUGEINT + 18446744073709551616 ELSE id END AS id FROM %s))
				WHERE amount <> m OR free <> 'a text that is long: ' || m OR CAST(kind AS VARCHAR) IS DISTINCT FROM CASE id %% 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b' END`, table.Name),
		} {
			var n int
			if err := e.db.QueryRow(query).Scan(&n); err != nil || n != 0 {
				t.Errorf("%s: %d %s: %v", name, n, what, err)
			}
		}
		taken, err := e.Memory(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if size, ok := e.Size("set"); !ok || size.Rows != int64(len(units)) || size.Bytes < taken/2 || size.Bytes > 2*taken+tableBytes {
			t.Errorf("%s: size %+v, the engine holds %d bytes", name, size, taken)
		}
		if err := e.Drop(context.Background(), "set"); err != nil {
			t.Error(err)
		}
	}
}

func TestWatch(t *testing.T) {
	for _, c := range []struct {
		units        []uint64
		ascend, near bool
		heavy        string
	}{
		{nil, true, true, "[] []"},
		{[]uint64{1, 1, 2, 1 << 63, 1<<63 + 1, 1<<63 + 1, 1<<63 + 1}, true, true, "[1 -9223372036854775807] [2 3]"},
		{[]uint64{2, 2, 1, 1}, false, true, "[] []"},
		{[]uint64{3, 2, 1}, false, false, "[] []"},
	} {
		w, err := watch(rowsOf(t, c.units), "id")
		if err != nil {
			t.Fatal(err)
		}
		for w.Next() {
			continue
		}
		if got := fmt.Sprint(w.units, " ", w.counts); w.ascends() != c.ascend || w.nearly() != c.near || got != c.heavy {
			t.Errorf("%v: ascends %v, nearly %v, heavy %s", c.units, w.ascends(), w.nearly(), got)
		}
	}
	if _, err := watch(rowsOf(t, nil), "kind"); err == nil {
		t.Error("texts were taken for units")
	}
}

// TestManyHeavyUnits has more units of several rows than one batch holds: each is told once, in order.
func TestManyHeavyUnits(t *testing.T) {
	const units = 2*heavyRows + 3
	w := &watched{}
	for u := range uint64(units) {
		for range 2 + u%2 {
			w.row(u)
		}
	}
	w.close()
	heavy, err := w.heavy()
	if err != nil {
		t.Fatal(err)
	}
	defer heavy.Release()
	next := int64(0)
	for heavy.Next() {
		batch := heavy.RecordBatch()
		counts := batch.Column(1).(*array.Int64).Int64Values()
		for i, u := range batch.Column(0).(*array.Int64).Int64Values() {
			if u != next || counts[i] != 2+u%2 {
				t.Fatalf("unit %d has %d rows, unit %d was to come", u, counts[i], next)
			}
			next++
		}
	}
	if next != units {
		t.Errorf("%d units, want %d", next, units)
	}
	w.row(0)
	if len(w.full) != 0 || w.ascends() {
		t.Error("units are kept though they descend")
	}
}
