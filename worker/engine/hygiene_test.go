package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
)

func locked(t *testing.T, cfg Config) *Engine {
	t.Helper()
	e, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// TestLockedDown tries what an engine must never do, as if SQL of a stranger had reached it.
func TestLockedDown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(file, []byte("a\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := locked(t, Config{Threads: 1})
	for _, statement := range []string{
		"SELECT * FROM '" + file + "'", "SELECT * FROM read_csv('" + file + "')", "SELECT * FROM read_text('" + file + "')", "SELECT * FROM read_blob('" + file + "')",
		"SELECT * FROM glob('/*')", "COPY (SELECT 1) TO '" + file + ".out'", "COPY (SELECT 1) TO '/dev/stdout'", "EXPORT DATABASE '" + file + ".d'",
		"ATTACH '" + file + ".db'", "ATTACH ':memory:' AS other (TYPE sqlite)", "INSTALL httpfs", "LOAD httpfs", "INSTALL httpfs FROM community", "LOAD '" + file + "'",
		"FORCE INSTALL json FROM 'http://127.0.0.1:1/'", "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')", "SELECT * FROM 's3://bucket/x.parquet'",
		"SET enable_external_access = true", "SET lock_configuration = false", "RESET enable_external_access", "SET memory_limit = '1TB'", "SET threads = 64",
		"SET temp_directory = '/tmp'", "SET allowed_directories = ['/']", "SET autoload_known_extensions = true", "SET custom_extension_repository = 'http://127.0.0.1:1'",
		"SET GLOBAL allow_unsigned_extensions = true", "PRAGMA enable_profiling = 'json'", "SET profiling_output = '" + file + ".json'", "SET log_query_path = '" + file + ".log'",
		"CREATE SECRET s (TYPE s3, KEY_ID 'x', SECRET 'y')", "IMPORT DATABASE '" + file + ".d'",
		"SELECT * FROM read_parquet('" + file + "')", "SELECT * FROM read_json('" + file + "')", "SELECT * FROM read_ndjson_objects('" + file + "')",
		"SELECT * FROM parquet_metadata('" + file + "')", "SELECT * FROM parquet_schema('" + file + "')", "SELECT * FROM sniff_csv('" + file + "')",
		"CREATE TABLE t AS FROM '" + file + "'", "COPY lost FROM '" + file + "'", "COPY (SELECT 1) TO '" + file + ".parquet' (FORMAT parquet)",
		"ATTACH 'http://127.0.0.1:1/x.db'", "ATTACH '" + file + "' AS other (TYPE duckdb, READ_ONLY)", "CREATE PERSISTENT SECRET p (TYPE http)",
		"SELECT getenv('HOME')", "UPDATE EXTENSIONS", "SET home_directory = '/'", "SET extension_directory = '/tmp'", "SET secret_directory = '/tmp'",
		"PRAGMA enable_object_cache = true", "SET temp_directory_encryption = false", "RESET temp_directory", "RESET memory_limit", "SET max_temp_directory_size = '1GB'",
		"SET disabled_filesystems = ''", "SET enable_logging = true",
		"FROM '" + file + "'", "SUMMARIZE '" + file + "'", "DESCRIBE FROM '" + file + "'", "FROM read_csv_auto('" + file + "')", "FROM read_json_auto('" + file + "')",
		"FROM read_duckdb('" + file + "')", "FROM read_text(['" + file + "'])", "FROM read_blob('/proc/self/environ')", "FROM 'file://" + file + "'", "FROM 'https://127.0.0.1:1/x.csv'",
		"FROM 'hf://datasets/x/y.csv'", "FROM 'gs://x/y.parquet'", "FROM query('FROM ''" + file + "''')", "FROM query_table('" + file + "')", "CREATE VIEW v AS FROM '" + file + "'",
		"PREPARE p AS FROM '" + file + "'", "CREATE MACRO m() AS TABLE FROM '" + file + "'", "CREATE TYPE x AS ENUM (FROM '" + file + "')", "CREATE TABLE z (a INT); COPY z FROM '" + file + "'",
		"FROM parquet_file_metadata('" + file + "')", "FROM parquet_kv_metadata('" + file + "')", "FROM parquet_bloom_probe('" + file + "', 'a', 1)",
		"ATTACH 'ducklake:" + file + ".d'", "ATTACH 'md:x'", "PRAGMA import_database('" + file + "')", "COPY (SELECT 1) TO STDOUT",
		"LOAD '/lib/x.so'", "INSTALL json", "FROM sqlite_scan('" + file + "', 't')", "FROM st_read('" + file + "')", "FROM read_xlsx('" + file + "')", "FROM iceberg_scan('/')", "CALL start_ui()",
		"SET profile_output = '" + file + ".p'", "SET SESSION file_search_path = '/'", "SET http_proxy = '127.0.0.1:1'", "SET ca_cert_file = '" + file + "'", "PRAGMA temp_directory = '/tmp'",
		"PRAGMA threads = 64", "PRAGMA memory_limit = '1TB'",
	} {
		if _, err := e.db.Exec(statement); err == nil {
			t.Errorf("the engine did: %s", statement)
		}
	}
	// completion of SQL knows no files
	for _, begun := range []string{"FROM '" + filepath.Dir(file) + "/", "FROM '/et"} {
		var n int
		if err := e.db.QueryRow("SELECT count(*) FROM sql_auto_complete(?) WHERE suggestion LIKE '%rows%' OR suggestion LIKE '%etc%'", begun).Scan(&n); err != nil || n > 0 {
			t.Errorf("%s: %d files are suggested, %v", begun, n, err)
		}
	}
	// profiles may be asked for, and a query with one fails where it would be written
	_, _ = e.db.Exec("CALL enable_profiling(format = 'json', save_location = '" + file + ".json')")
	_, _ = e.db.Exec("SELECT 'sentinel'")
	_, _ = e.db.Exec("PRAGMA disable_profiling")
	// this one is not refused; what is logged must not reach a file all the same
	_, _ = e.db.Exec("CALL enable_logging(level = 'trace', storage = 'file', storage_path = '" + filepath.Dir(file) + "')")
	for range 5000 { // more than a buffer of the log
		if _, err := e.db.Exec("SELECT 'sentinel'"); err != nil {
			break // refused to log
		}
	}
	_, _ = e.db.Exec("CALL disable_logging()") // which writes what it buffers
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files beside the one that was there before, error %v", len(entries)-1, err)
	}
}

func TestThreadsAndMemoryAreAsConfigured(t *testing.T) {
	e := locked(t, Config{Memory: "200MB", Threads: 2})
	var threads int
	var memory, directory string
	if err := e.db.QueryRow("SELECT current_setting('threads'), current_setting('memory_limit'), current_setting('temp_directory')").Scan(&threads, &memory, &directory); err != nil {
		t.Fatal(err)
	}
	if threads != 2 || !strings.HasPrefix(memory, "190.7") || directory != "" {
		t.Errorf("threads %d, memory %s, spills to %q", threads, memory, directory)
	}
}

// heavy is a plan over a table of so many rows that it runs for long or needs much memory: a join of a unit with itself.
func heavy(t *testing.T, e *Engine, rows string) (*plan.Bounded, render.Params) {
	t.Helper()
	if _, err := e.db.Exec("CREATE TABLE data_9 AS SELECT 1::BIGINT AS u, range::BIGINT AS x FROM range(" + rows + ")"); err != nil {
		t.Fatal(err)
	}
	scan := &plan.Scan{Dataset: "d", Columns: []plan.Column{{Name: "u", Type: plan.Bigint}, {Name: "x", Type: plan.Bigint}}}
	on := &plan.Call{Op: "=", T: plan.Boolean, Args: []plan.Expr{&plan.Col{T: plan.Bigint}, &plan.Col{Index: 2, T: plan.Bigint}}}
	sum := &plan.Call{Op: "+", T: plan.Bigint, Args: []plan.Expr{&plan.Col{Index: 1, T: plan.Bigint}, &plan.Col{Index: 3, T: plan.Bigint}}}
	b := &plan.Bounded{Input: &plan.Join{Kind: plan.Inner, Left: scan, Right: scan, On: []plan.Expr{on}}, Unit: 0,
		Keys: []plan.Expr{&plan.Col{Index: 1, T: plan.Bigint}, sum}, KeepNull: []bool{true, true},
		Sums: []plan.Sum{{Kind: plan.SumUnits, Scale: 1}}, RowsPerGroup: 3, GroupsPerUnit: 3}
	table := render.Table{Name: "data_9", Columns: map[string]string{"u": "u", "x": "x"}}
	return b, render.Params{Tables: render.Tables{"d": table}, Salt: "s"}
}

func TestCancelInterrupts(t *testing.T) {
	e := locked(t, Config{Memory: "1GB", Threads: 1})
	b, params := heavy(t, e, "20000")
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := e.Groups(ctx, b, nil, params, 1)
	if took := time.Since(begin); took > 1200*time.Millisecond {
		t.Errorf("interrupted after %v", took)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if _, err := e.db.Exec("SELECT 1"); err != nil {
		t.Errorf("the engine does not go on: %v", err)
	}
}

func TestOutOfMemoryTellsNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	e := locked(t, Config{Memory: "30MB", Threads: 1})
	b, params := heavy(t, e, "3000")
	_, err := e.Groups(context.Background(), b, nil, params, 1)
	if !errors.Is(err, ErrEngine) || !errors.Is(err, ErrMemory) {
		t.Fatalf("%v", err)
	}
	if err.Error() != "engine: execute failed" {
		t.Errorf("the error tells %q", err)
	}
	var f *Failure
	if !errors.As(err, &f) || !strings.Contains(f.Cause.Error(), "emory") {
		t.Errorf("the cause is lost: %v", f)
	}
	if _, err := e.db.Exec("SELECT 1"); err != nil {
		t.Errorf("the engine does not go on: %v", err)
	}
	if files, err := os.ReadDir("."); err != nil || len(files) > 0 {
		t.Errorf("rows were spilled: %v, %v", files, err)
	}
}

// TestDropLeavesNothing loads and drops a dataset: no table, view or type stays.
func TestDropLeavesNothing(t *testing.T) {
	e := locked(t, Config{Threads: 1})
	policy := &document.Policy{Dataset: "a.b", Unit: document.Unit{Column: "id", Namespace: "n"}, Columns: map[string]document.Column{
		"id": {Type: "varchar", Role: "identifier"}, "kind": {Type: "varchar", Role: "dimension", Domain: &document.Domain{Values: []any{"x", "it's", nil}}}}}
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "kind", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 1, 2}, nil)
	b.Field(1).(*array.StringBuilder).AppendValues([]string{"x", "it's", "strange"}, nil)
	for range 2 {
		reader, err := array.NewRecordReader(schema, []arrow.RecordBatch{b.NewRecordBatch()})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Load(context.Background(), "set", policy, reader); err != nil {
			t.Fatal(err)
		}
		reader.Release()
		if err := e.Drop(context.Background(), "set"); err != nil {
			t.Fatal(err)
		}
		b.Field(0).(*array.Int64Builder).AppendValues([]int64{3}, nil)
		b.Field(1).(*array.StringBuilder).AppendNull()
	}
	var left int
	query := "SELECT (SELECT count(*) FROM duckdb_tables()) + (SELECT count(*) FROM duckdb_views() WHERE NOT internal) + (SELECT count(*) FROM duckdb_types() WHERE NOT internal)"
	if err := e.db.QueryRow(query).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d things left, error %v", left, err)
	}
}
