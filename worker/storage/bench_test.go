package storage

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// BenchmarkSealed seals impressions (a number, a token, two texts that repeat, an amount, a time), and reads them. It reports processor time, and the kernel's
// share of it, for a shared machine disturbs these less than the clock.
func BenchmarkSealed(b *testing.B) {
	const batches, rows = 160, 16 << 10
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "amount", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "campaign", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "device", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "id", Type: &arrow.FixedSizeBinaryType{ByteWidth: tokenBytes}},
		{Name: "row", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "shown_at", Type: &arrow.TimestampType{Unit: arrow.Microsecond}, Nullable: true},
	}, nil)
	r := rand.New(rand.NewPCG(1, 2))
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer builder.Release()
	var input []arrow.RecordBatch
	for range batches {
		for range rows {
			unit := r.Uint64N(batches * rows / 2)
			builder.Field(0).(*array.Float64Builder).Append(float64(r.IntN(50_000)) / 100)
			builder.Field(1).(*array.StringBuilder).Append(fmt.Sprint("c", r.IntN(50)))
			builder.Field(2).(*array.StringBuilder).Append([]string{"ios", "android", "web"}[r.IntN(3)])
			builder.Field(3).(*array.FixedSizeBinaryBuilder).Append(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, unit*0x9e3779b97f4a7c15), unit))
			builder.Field(4).(*array.Int64Builder).Append(r.Int64())
			builder.Field(5).(*array.TimestampBuilder).Append(arrow.Timestamp(r.Int64N(1 << 40)))
		}
		input = append(input, builder.NewRecordBatch())
	}
	defer release(input)
	f := room(b)
	var sealed Sealed
	b.Run("write", func(b *testing.B) {
		report := processor()
		for b.Loop() {
			w, err := NewWriter(b.Context(), f.store, f.wrapper, f.binding, schema)
			if err != nil {
				b.Fatal(err)
			}
			for _, batch := range input {
				batch.Retain()
				if err := w.Write(batch); err != nil {
					b.Fatal(err)
				}
			}
			if sealed, err = w.Seal(); err != nil {
				b.Fatal(err)
			}
		}
		report(b, batches*rows)
	})
	b.Run("read", func(b *testing.B) {
		report := processor()
		for b.Loop() {
			reader, err := NewReader(b.Context(), f.store, f.wrapper, f.binding, sealed, schema, 0)
			if err != nil {
				b.Fatal(err)
			}
			for reader.Next() {
			}
			if err := reader.Err(); err != nil {
				b.Fatal(err)
			}
			reader.Release()
		}
		report(b, batches*rows)
	})
}

// processor reports the processor time between its call and the call of what it returns.
func processor() func(b *testing.B, rows int) {
	used := func() (user, kernel int64) {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return u.Utime.Nano(), u.Stime.Nano()
	}
	user, kernel := used()
	return func(b *testing.B, rows int) {
		userAfter, kernelAfter := used()
		all := float64(rows) * float64(b.N)
		b.ReportMetric(float64(userAfter-user)/all, "user-ns/row")
		b.ReportMetric(float64(kernelAfter-kernel)/all, "kernel-ns/row")
	}
}
