package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/zeebo/xxh3"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/upload"
	"concordat.dev/worker/admission"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/ingest"
	"concordat.dev/worker/loader"
	"concordat.dev/worker/storage"
	"concordat.dev/worker/token"
)

type bench struct {
	rows, threads int
	dir, file     string
	only, profile string
	size          int64

	identity  *age.HybridIdentity
	statement upload.Statement
	keys      []string
	format    string
	store     *storage.Store
	wrapper   *storage.Wrapper
	tokenizer *token.Tokenizer
	policy    document.Policy
	sealed    storage.Sealed
}

// clientParts is how many parts the client has in work at once (ui/client).
const clientParts = 2

var root = bytes.Repeat([]byte{7}, 32)

// generate writes impressions: a number, a hex identifier, a campaign, a device, an amount and a time.
func (b *bench) generate() error {
	f, err := os.Create(b.file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // Flush tells
	w := bufio.NewWriterSize(f, 1<<20)
	_, _ = w.WriteString("row,id,campaign,device,amount,shown_at\n")
	var line []byte
	devices := []string{"ios", "android", "web"}
	for i := range b.rows {
		h := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i)*7919%uint64(b.rows/2+1)))
		line = strconv.AppendInt(line[:0], int64(i), 10)
		line = append(line, ',')
		line = hex.AppendEncode(line, h[:])
		line = append(line, ",c"...)
		line = strconv.AppendInt(line, int64(h[0]%50), 10)
		line = append(append(append(line, ','), devices[h[1]%3]...), ',')
		line = strconv.AppendInt(line, int64(h[2])*2, 10)
		line = append(line, '.', '0'+h[3]%10, '0'+h[4]%10, ',')
		line = time.Unix(1767225600+int64(binary.LittleEndian.Uint32(h[5:]))%15_000_000, 0).UTC().AppendFormat(line, "2006-01-02 15:04:05")
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	info, err := f.Stat()
	b.size = info.Size()
	return err
}

func (b *bench) setUp(ctx context.Context) (err error) {
	b.policy = document.Policy{APIVersion: document.APIVersion, Kind: "Policy", Dataset: "publisher.impressions", Owner: "publisher",
		Unit: document.Unit{Column: "id", Namespace: "person"}, Columns: map[string]document.Column{
			"row": {Type: "bigint", Role: "measure"}, "id": {Type: "varchar", Role: "identifier"}, "campaign": {Type: "varchar", Role: "dimension"}, "device": {Type: "varchar", Role: "dimension"},
			"amount": {Type: "double", Role: "measure", Bounds: &[2]float64{0, 500}}, "shown_at": {Type: "timestamp", Role: "time", Grain: "day"},
		}}
	if b.identity, err = age.GenerateHybridIdentity(); err != nil {
		return err
	}
	if b.store, err = storage.Open(ctx, "file://"+filepath.Join(b.dir, "store")); err != nil {
		return err
	}
	if b.wrapper, err = storage.NewWrapper(root); err != nil {
		return err
	}
	b.tokenizer, err = token.New(root, "bench", "person", document.Namespace{Prehashed: "sha256_hex"})
	b.statement = upload.Statement{Target: b.target(), Format: upload.CSV}
	return err
}

func (b *bench) target() upload.Target {
	return upload.Target{Ledger: "l", Collaboration: "bench", Manifest: canon.Sum(nil), Dataset: "publisher.impressions", Version: 1, Upload: "u"}
}

func (b *bench) binding(version uint32) storage.Binding {
	return storage.Binding{Ledger: "l", Collaboration: "bench", Owner: "o", Dataset: "publisher.impressions", Version: version}
}

func figure(name string, value float64, unit string) {
	fmt.Printf("figure datapath_%s %.4g %s\n", name, value, unit)
}

// cost is what a stage took: time, processor time, and the most bytes of memory above what was held before.
type cost struct{ seconds, processor, memory float64 }

func (c cost) add(d cost) cost {
	return cost{c.seconds + d.seconds, c.processor + d.processor, max(c.memory, d.memory)}
}

// errOnly ends a run after the stage that was asked for.
var errOnly = errors.New("the stage that was asked for is over")

// stage times work and prints its rate, in wall time and in processor time, which other programs on the machine disturb less.
func (b *bench) stage(name string, work func() error) (c cost, err error) {
	name = b.format + "_" + name
	if b.only == name && b.profile != "" {
		f, err := os.Create(b.profile)
		if err != nil {
			return c, err
		}
		defer f.Close() //nolint:errcheck // a profile
		if err := pprof.StartCPUProfile(f); err != nil {
			return c, err
		}
		defer pprof.StopCPUProfile()
	}
	held := settle()
	processor, kernel := used()
	start := time.Now()
	if err := work(); err != nil {
		return c, fmt.Errorf("%s: %w", name, err)
	}
	c.seconds = time.Since(start).Seconds()
	processorAfter, kernelAfter := used()
	c.processor, c.memory = processorAfter-processor, peak()-held
	figure(name, float64(b.rows)/c.seconds/1e6, "Mrows/s")
	figure(name+"_cpu", c.processor/float64(b.rows)*1e9, "ns/row")
	figure(name+"_cpu_kernel", (kernelAfter-kernel)/float64(b.rows)*1e9, "ns/row")
	figure(name+"_memory", c.memory/1e9, "GB")
	figure(name+"_bytes", float64(b.size)/c.seconds/1e6, "MB/s")
	if b.only == name {
		return c, errOnly
	}
	return c, nil
}

func (b *bench) all(ctx context.Context) error {
	if err := b.setUp(ctx); err != nil {
		return err
	}
	format, _, _ := strings.Cut(b.only, "_")
	for _, f := range []struct{ format, file, load string }{
		{upload.CSV, "rows.csv", "SELECT * FROM read_csv('%s')"},
		{upload.Parquet, "rows.parquet", "SELECT * FROM read_parquet('%s')"},
		{upload.Arrow, "rows.arrow", ""},
	} {
		if b.only != "" && f.format != format {
			continue
		}
		b.format, b.file = f.format, filepath.Join(b.dir, f.file)
		if err := b.write(ctx); err != nil {
			return err
		}
		info, err := os.Stat(b.file)
		if err != nil {
			return err
		}
		b.size = info.Size()
		if err := b.path(ctx, f.load); errors.Is(err, errOnly) {
			return nil
		} else if err != nil {
			return err
		}
		if err := b.store.Delete(ctx, append(b.keys, b.sealed.Objects...)...); err != nil {
			return err
		}
	}
	return nil
}

// path measures one format from the file to the loaded table.
func (b *bench) path(ctx context.Context, load string) error {
	plain, err := b.stage("plain_duckdb", func() error { return b.duckdb(ctx, load) })
	if err != nil {
		return err
	}
	if _, err := b.stage("client_encrypt", func() error { return b.encrypt(1, nil) }); err != nil {
		return err
	}
	client, err := b.stage("client_and_put", func() error {
		return b.encrypt(clientParts, func(n int, body []byte) error { return b.store.Put(ctx, b.keys[n], body) })
	})
	if err != nil {
		return err
	}
	b.statement.Format = b.format
	parts := ingest.Parts{Store: b.store, Keys: b.keys, Statement: b.statement, Identity: b.identity}
	options := ingest.Options{Policy: b.policy, Tokenizer: b.tokenizer, Parallel: b.threads}
	if _, err := b.stage("parse_tokenise", func() error {
		_, err := ingest.File(ctx, options, ingest.Path(b.file), discard{})
		return err
	}); err != nil {
		return err
	}
	seal, err := b.stage("ingest", func() error {
		var err error
		b.sealed, _, err = ingest.Seal(ctx, options, parts, b.store, b.wrapper, b.binding(1))
		return err
	})
	if err != nil {
		return err
	}
	figure(b.format+"_sealed", sizeOf(filepath.Join(b.dir, "store", "datasets", "bench", "publisher.impressions", "1"))/float64(b.rows), "B/row")
	if _, err := b.stage("sealed_read", func() error { return b.read(ctx) }); err != nil {
		return err
	}
	table := 0.0
	reload, err := b.stage("reload", func() error {
		table, err = b.load(ctx)
		return err
	})
	if err != nil {
		return err
	}
	reload.memory -= table
	without := seal.add(reload)
	figure(b.format+"_table", table/1e9, "GB")
	figure(b.format+"_worker_memory_above_table", without.memory/1e9, "GB")
	with := without.add(client)
	figure(b.format+"_ratio_with_client", plain.seconds/with.seconds, "of plain DuckDB")
	figure(b.format+"_ratio_with_client_cpu", plain.processor/with.processor, "of plain DuckDB")
	figure(b.format+"_ratio_without_client", plain.seconds/without.seconds, "of plain DuckDB")
	figure(b.format+"_ratio_without_client_cpu", plain.processor/without.processor, "of plain DuckDB")
	return nil
}

// encrypt does what a client does to each part: digest of the rows (by which it knows a part again that it sent before), encryption, digest of the ciphertext. Put may be nil. So many parts are in work at once.
func (b *bench) encrypt(parallel int, put func(n int, body []byte) error) error {
	f, err := os.Open(b.file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	count := int((b.size + upload.MaxPart - 1) / upload.MaxPart)
	b.keys, b.statement.Parts = make([]string, count), make([]upload.Part, count)
	errs := make([]error, parallel)
	var work sync.WaitGroup
	for first := range parallel {
		work.Go(func() {
			var out bytes.Buffer
			out.Grow(upload.MaxCiphertext)
			for n := first; n < count && errs[first] == nil; n += parallel {
				errs[first] = b.part(&out, f, n, put)
			}
		})
	}
	work.Wait()
	return errors.Join(errs...)
}

func (b *bench) part(out *bytes.Buffer, f io.ReaderAt, n int, put func(n int, body []byte) error) (err error) {
	from := int64(n) * upload.MaxPart
	section := io.NewSectionReader(f, from, min(upload.MaxPart, b.size-from))
	out.Reset()
	b.keys[n] = fmt.Sprintf("uploads/u/%d", n+1)
	b.statement.Parts[n], err = upload.EncryptPart(out, b.identity.Recipient(), b.target().Header(uint32(n+1)), io.TeeReader(section, xxh3.New128()))
	if err != nil || put == nil {
		return err
	}
	return put(n, out.Bytes())
}

func (b *bench) read(ctx context.Context) error {
	schema, err := ingest.Schema(b.policy)
	if err != nil {
		return err
	}
	r, err := storage.NewReader(ctx, b.store, b.wrapper, b.binding(1), b.sealed, schema, b.threads)
	if err != nil {
		return err
	}
	defer r.Release()
	for r.Next() {
	}
	return r.Err()
}

// load has the engine load what was sealed, and gives the bytes of the table.
func (b *bench) load(ctx context.Context) (table float64, err error) {
	e, err := engine.Open(engine.Config{Threads: b.threads})
	if err != nil {
		return 0, err
	}
	defer e.Close() //nolint:errcheck // in memory
	l := &loader.Loader{Store: b.store, Engine: e, Now: time.Now, Budget: math.MaxInt64, Gate: admission.New(admission.Limits{Running: 1}, time.Now)}
	held, err := l.Acquire(ctx, loader.Work{Datasets: []loader.Request{{Binding: b.binding(1), Sealed: b.sealed, Policy: &b.policy, Wrapper: b.wrapper}}})
	if err != nil {
		return 0, err
	}
	held.Release()
	return float64(l.Stats().TableBytes), nil
}

type discard struct{}

func (discard) Write(r arrow.RecordBatch) error { r.Release(); return nil }
func (discard) Reset() error                    { return nil }

func sizeOf(dir string) (n float64) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if i, err := e.Info(); err == nil {
			n += float64(i.Size())
		}
	}
	return n
}
