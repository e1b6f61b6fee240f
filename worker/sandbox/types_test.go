package sandbox_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/rs/zerolog"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/document"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/sandbox"
)

// orders have every type that is rarer than integers and texts. So much rho leaves next to no noise.
const orders = `apiVersion: concordat.dev/v1
kind: Policy
dataset: shop.orders
owner: shop
unit: {column: id, namespace: person, unique: true}
columns:
  id: {type: uuid, role: identifier}
  paid: {type: boolean, role: dimension, domain: [true, false]}
  amount: {type: decimal, role: measure, bounds: [0, 100], scale: 0.01}
  ref: {type: uuid, role: dimension}
  moment: {type: timestamp, role: time, grain: day}
aggregates: [count, count_distinct, sum, avg]
release: {mechanism: differential_privacy, min_units: 10, rho_per_aggregate: 100000}
budget: {rho: 900000, delta: 1e-6, period: 30d, lifetime_rho: 900000}
`

const (
	refA = "aaaaaaaa-0000-4000-8000-000000000001"
	refB = "bbbbbbbb-0000-4000-8000-000000000002"
	rows = 400
)

func id(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", i) }

// csvOrders writes the same moments with zones, in other zones and without: half of the rows are of the second of January in UTC, though of the first where they were written.
func csvOrders() string {
	var b strings.Builder
	b.WriteString("id,paid,amount,ref,moment\n")
	for i := range rows {
		paid, ref, at := "true", refA, "2026-01-01T23:30:00-02:00"
		if i%2 == 1 {
			paid, ref, at = "f", strings.ToUpper(refB), "2026-01-01 23:30:00"
		}
		fmt.Fprintf(&b, "%s,%s,10.25,%s,%s\n", id(i), paid, ref, at)
	}
	return b.String()
}

func jsonOrders() string {
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(csvOrders()), "\n")[1:] {
		f := strings.Split(line, ",")
		fmt.Fprintf(&b, `{"id":%q,"paid":%t,"amount":%s,"ref":%q,"moment":%q}`+"\n", f[0], i%2 == 0, f[2], f[3], f[4])
	}
	return b.String()
}

// arrowOrders holds decimals as 128-bit integers, uuids as 16 bytes, and moments in nanoseconds of another zone, which are the same moments.
func arrowOrders(t *testing.T) string {
	t.Helper()
	uuid := &arrow.FixedSizeBinaryType{ByteWidth: 16}
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: uuid}, {Name: "paid", Type: arrow.FixedWidthTypes.Boolean}, {Name: "amount", Type: &arrow.Decimal128Type{Precision: 12, Scale: 3}},
		{Name: "ref", Type: uuid}, {Name: "moment", Type: &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "America/Noronha"}},
	}, nil)
	raw := func(text string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer builder.Release()
	for i := range rows {
		ref, at := refA, time.Date(2026, 1, 2, 1, 30, 0, 0, time.UTC)
		if i%2 == 1 {
			ref, at = refB, time.Date(2026, 1, 1, 23, 30, 0, 0, time.UTC)
		}
		builder.Field(0).(*array.FixedSizeBinaryBuilder).Append(raw(id(i)))
		builder.Field(1).(*array.BooleanBuilder).Append(i%2 == 0)
		builder.Field(2).(*array.Decimal128Builder).Append(decimal128.FromI64(10250))
		builder.Field(3).(*array.FixedSizeBinaryBuilder).Append(raw(ref))
		builder.Field(4).(*array.TimestampBuilder).Append(arrow.Timestamp(at.UnixNano()))
	}
	var b strings.Builder
	w := ipc.NewWriter(&b, ipc.WithSchema(schema))
	batch := builder.NewRecordBatch()
	defer batch.Release()
	if err := w.Write(batch); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Decimals, uuids, booleans and moments with zones come out of a query as what they went in as, whatever the file was.
func TestTypesFromFileToRelease(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("manifest.yaml", `apiVersion: concordat.dev/v1
kind: Manifest
collaboration: types
version: 1
purpose: Types
expires: 2099-12-31
participants: [{id: shop, name: Shop}]
namespaces: {person: {}}
datasets: [{id: shop.orders, owner: shop, policy: orders.yaml}]
release: {time_grid: 0s}
`)
	write("orders.yaml", orders)
	bundle, err := document.LoadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sandbox.Open(bundle, engine.Config{Threads: 1}, zerolog.Nop(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for format, text := range map[string]string{"csv": csvOrders(), "jsonl": jsonOrders(), "arrow": arrowOrders(t)} {
		t.Run(format, func(t *testing.T) {
			s.Renew()
			if err := s.Load(t.Context(), "shop.orders", write("rows", text)); err != nil {
				t.Fatal(err)
			}
			ask := func(sql string, want ...string) {
				t.Helper()
				a := s.Query(t.Context(), sql, 0, false)
				if a.Verdict != answer.Released {
					t.Fatalf("%s: %s %+v", sql, a.Verdict, a.Refusals)
				}
				var got []string
				for _, row := range a.Rows {
					got = append(got, shown(row))
				}
				if strings.Join(got, "; ") != strings.Join(want, "; ") {
					t.Errorf("%s: %q, want %q", sql, got, want)
				}
			}
			ask("SELECT paid, count(DISTINCT id) AS n, sum(amount) AS amount FROM shop.orders GROUP BY paid ORDER BY paid", "false 200 2050", "true 200 2050")
			ask("SELECT ref, count(*) AS n FROM shop.orders WHERE paid GROUP BY ref", refA+" 200")
			ask("SELECT date_trunc('day', moment) AS day, count(*) AS n FROM shop.orders GROUP BY 1 ORDER BY 1", "2026-01-01 200", "2026-01-02 200")
		})
	}
}

// shown is a row with its numbers in tens, which the little noise of this policy leaves as they are, and moments as days.
func shown(row []any) string {
	var cells []string
	for _, v := range row {
		switch v := v.(type) {
		case float64:
			cells = append(cells, fmt.Sprint(10*math.Round(v/10)))
		case int64:
			cells = append(cells, fmt.Sprint(10*math.Round(float64(v)/10)))
		case string:
			cells = append(cells, strings.TrimSuffix(v, "T00:00:00Z"))
		default:
			cells = append(cells, fmt.Sprint(v))
		}
	}
	return strings.Join(cells, " ")
}
