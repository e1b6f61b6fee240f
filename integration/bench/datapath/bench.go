package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"time"

	"bufio"

	"filippo.io/age"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/duckdb/duckdb-go/v2"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/upload"
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
	store     *storage.Store
	wrapper   *storage.Wrapper
	tokenizer *token.Tokenizer
	policy    document.Policy
	sealed    storage.Sealed
	plain     float64 // seconds
}

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

// stage times work and prints its rate; peak is how much the process grew meanwhile.
func (b *bench) stage(name string, work func() error) (seconds float64, err error) {
	if b.only == name && b.profile != "" {
		f, err := os.Create(b.profile)
		if err != nil {
			return 0, err
		}
		defer f.Close() //nolint:errcheck // a profile
		if err := pprof.StartCPUProfile(f); err != nil {
			return 0, err
		}
		defer pprof.StopCPUProfile()
	}
	runtime.GC()
	before, start := processor(), time.Now()
	if err := work(); err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	seconds = time.Since(start).Seconds()
	used := processor() - before
	figure(name, float64(b.rows)/seconds/1e6, "Mrows/s")
	figure(name+"_cpu", used/float64(b.rows)*1e9, "ns/row")
	figure(name+"_bytes", float64(b.size)/seconds/1e6, "MB/s")
	return seconds, nil
}

func (b *bench) all(ctx context.Context) error {
	if err := b.setUp(ctx); err != nil {
		return err
	}
	plain, err := b.stage("plain_duckdb", func() error { return b.duckdb(ctx) })
	if err != nil {
		return err
	}
	if _, err := b.stage("client_encrypt", func() error { return b.encrypt(ctx, func(int, []byte) error { return nil }) }); err != nil {
		return err
	}
	client, err := b.stage("client_and_put", func() error {
		return b.encrypt(ctx, func(n int, body []byte) error { return b.store.Put(ctx, b.keys[n], body) })
	})
	if err != nil {
		return err
	}
	parts := ingest.Parts{Store: b.store, Keys: b.keys, Statement: b.statement, Identity: b.identity}
	options := ingest.Options{Policy: b.policy, Tokenizer: b.tokenizer, Parallel: b.threads}
	if _, err := b.stage("get_decrypt", func() error {
		r, err := parts.Sources()[0](ctx)
		if err != nil {
			return err
		}
		defer r.Close() //nolint:errcheck // only read
		_, err = io.Copy(io.Discard, r)
		return err
	}); err != nil {
		return err
	}
	if _, err := b.stage("parse_tokenise", func() error {
		_, err := ingest.File(ctx, options, ingest.Path(b.file), discard{})
		return err
	}); err != nil {
		return err
	}
	if _, err := b.stage("parse_seal", func() error {
		w, err := b.writer(ctx, 2)
		if err != nil {
			return err
		}
		if _, err := ingest.File(ctx, options, ingest.Path(b.file), w); err != nil {
			return err
		}
		_, err = w.Seal()
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
	figure("sealed", sizeOf(filepath.Join(b.dir, "store", "datasets", "bench", "publisher.impressions", "1"))/float64(b.rows), "B/row")
	if _, err := b.stage("sealed_read", func() error { return b.read(ctx) }); err != nil {
		return err
	}
	load, err := b.stage("reload", func() error { return b.load(ctx) })
	if err != nil {
		return err
	}
	figure("ratio_with_client", plain/(client+seal+load), "of plain DuckDB")
	figure("ratio_without_client", plain/(seal+load), "of plain DuckDB")
	return nil
}

func (b *bench) duckdb(ctx context.Context) error {
	c, err := duckdb.NewConnector("", nil)
	if err != nil {
		return err
	}
	db := sql.OpenDB(c)
	defer db.Close() //nolint:errcheck // in memory
	if _, err := db.ExecContext(ctx, fmt.Sprintf("SET threads = %d", b.threads)); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "CREATE TABLE t AS SELECT * FROM read_csv('"+b.file+"')")
	return err
}

// encrypt does what a client does to each part, on one core: digest of the rows, encryption, digest of the ciphertext.
func (b *bench) encrypt(_ context.Context, put func(n int, body []byte) error) error {
	f, err := os.Open(b.file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	b.keys, b.statement.Parts = nil, nil
	var out bytes.Buffer
	for n := 0; int64(n)*upload.MaxPart < b.size; n++ {
		section := io.NewSectionReader(f, int64(n)*upload.MaxPart, min(upload.MaxPart, b.size-int64(n)*upload.MaxPart))
		out.Reset()
		p, err := upload.EncryptPart(&out, b.identity.Recipient(), b.target().Header(uint32(n+1)), section)
		if err != nil {
			return err
		}
		b.keys = append(b.keys, fmt.Sprintf("uploads/u/%d", n+1))
		b.statement.Parts = append(b.statement.Parts, p)
		if err := put(n, out.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) writer(ctx context.Context, version uint32) (*storage.Writer, error) {
	schema, err := ingest.Schema(b.policy)
	if err != nil {
		return nil, err
	}
	return storage.NewWriter(ctx, b.store, b.wrapper, b.binding(version), schema)
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

func (b *bench) load(ctx context.Context) error {
	e, err := engine.Open(engine.Config{Threads: b.threads})
	if err != nil {
		return err
	}
	defer e.Close() //nolint:errcheck // in memory
	l := &loader.Loader{Store: b.store, Wrapper: b.wrapper, Engine: e}
	_, err = l.Load(ctx, loader.Request{Binding: b.binding(1), Sealed: b.sealed, Policy: &b.policy})
	return err
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
