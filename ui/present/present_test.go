package present_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/protocol/answer"
	"concordat.dev/ui/present"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/rogpeppe/go-internal/txtar"
)

// Each script holds an answer (answer.json), perhaps its query (query.sql), and what the formats must print.
func TestAnswers(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(script)
			if err != nil {
				t.Fatal(err)
			}
			files := map[string]string{}
			for _, f := range archive.Files {
				files[f.Name] = string(f.Data)
			}
			raw := []byte(strings.TrimSpace(files["answer.json"]))
			a, err := answer.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			changed := false
			for i, f := range archive.Files {
				name, isOutput := strings.CutPrefix(f.Name, "out.")
				if !isOutput {
					continue
				}
				var out, beside bytes.Buffer
				if err := present.Answer(&out, &beside, present.Format(name), a, raw, strings.TrimSuffix(files["query.sql"], "\n")); err != nil {
					t.Fatal(err)
				}
				got := out.String() + beside.String()
				if os.Getenv("REWRITE") != "" && got != string(f.Data) {
					archive.Files[i].Data, changed = []byte(got), true
				} else if got != string(f.Data) {
					t.Errorf("%s:\n%s\nwant:\n%s", f.Name, got, f.Data)
				}
			}
			if changed {
				if err := os.WriteFile(script, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

const typed = `{"verdict":"released","query_id":"q","refusals":[],
 "columns":[{"name":"day","type":"date","kind":"key"},{"name":"ok","type":"boolean","kind":"key"},{"name":"n","type":"bigint","kind":"aggregate"},
  {"name":"big","type":"hugeint","kind":"aggregate"},{"name":"money","type":"decimal(18,2)","kind":"aggregate"},{"name":"x","type":"double","kind":"derived"}],
 "rows":[["2024-02-29",true,7,"170141183460469231731687303715","12.50",0.1],[null,null,null,null,null,null]],
 "intervals":[[null,null,[1,13],null,[10,15],[0,0.2]],[null,null,null,null,null,null]],
 "mechanism":"differential_privacy","withheld_possible":false,"price":[],"receipt":{"id":"r","log_index":1},"notes":[]}`

func parse(t *testing.T, raw string) answer.Answer {
	t.Helper()
	a, err := answer.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestArrow(t *testing.T) {
	var out, beside bytes.Buffer
	if err := present.Answer(&out, &beside, present.Arrow, parse(t, typed), nil, ""); err != nil {
		t.Fatal(err)
	}
	r, err := ipc.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	if !r.Next() {
		t.Fatal("no batch", r.Err())
	}
	batch := r.RecordBatch()
	var got []string
	for i, f := range batch.Schema().Fields() {
		got = append(got, f.Name+" "+f.Type.String()+" "+batch.Column(i).ValueStr(0))
		if !batch.Column(i).IsNull(1) {
			t.Errorf("%s: second row must be null", f.Name)
		}
	}
	want := []string{
		"day date32 2024-02-29", "ok bool true", "n int64 7", "n_low float64 1", "n_high float64 13",
		"big decimal(38, 0) 170141183460469231731687303715", "big_low float64 (null)", "big_high float64 (null)",
		"money decimal(18, 2) 12.5", "money_low float64 10", "money_high float64 15", "x float64 0.1", "x_low float64 0", "x_high float64 0.2",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if i := batch.Schema().Metadata().FindKey("concordat.receipt"); i < 0 || batch.Schema().Metadata().Values()[i] != "r" {
		t.Error("the stream does not name its receipt")
	}
	if _, ok := batch.Column(0).(*array.Date32); !ok {
		t.Errorf("day is %T", batch.Column(0))
	}
}

func TestParquet(t *testing.T) {
	var out, beside bytes.Buffer
	if err := present.Answer(&out, &beside, present.Parquet, parse(t, typed), nil, ""); err != nil {
		t.Fatal(err)
	}
	r, err := file.NewParquetReader(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if r.NumRows() != 2 || r.MetaData().Schema.NumColumns() != 14 {
		t.Errorf("%d rows, %d columns", r.NumRows(), r.MetaData().Schema.NumColumns())
	}
}

func TestBadValueIsAnError(t *testing.T) {
	bad := strings.Replace(typed, "2024-02-29", "29 Feb", 1)
	var out bytes.Buffer
	if err := present.Answer(&out, &out, present.Arrow, parse(t, bad), nil, ""); err == nil || !strings.Contains(err.Error(), "row 1, column day") {
		t.Error(err)
	}
}

func TestNumbers(t *testing.T) {
	for x, want := range map[float64]string{0.005: "0.005", 0.4949: "0.4949", 1234.6: "1,235", 12345: "12,345", 1e-9: "1e-09", 0: "0", 3: "3", 7.38912: "7.389"} {
		if got := present.Short(x); got != want {
			t.Errorf("%v: %s, want %s", x, got, want)
		}
	}
	for v, want := range map[string]string{
		`3452 [3386,3518]`: "3,452 ± 66", `57 [0,123]`: "57 [0, 123]", `56.031 [54.82,57.242]`: "56.0 ± 1.2", `-0.001 [-0.5,0.498]`: "0.00 ± 0.50",
		`5 [3.2,6.8]`: "5.0 ± 1.8", `1713 [1713,1713]`: "1,713 ± 0",
	} {
		number, in, _ := strings.Cut(v, " ")
		var ends answer.Interval
		if err := json.Unmarshal([]byte(in), &ends); err != nil {
			t.Fatal(err)
		}
		if got := present.Value(json.Number(number), &ends); got != want {
			t.Errorf("%s: %q, want %q", v, got, want)
		}
	}
}
