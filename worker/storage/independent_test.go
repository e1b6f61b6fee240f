package storage

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
)

// Another implementation reads the house format with the key, and not without. It needs a python3 (or $PYTHON) that has pyarrow.
func TestIndependentReader(t *testing.T) {
	python := os.Getenv("PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "from pyarrow.parquet.encryption import create_decryption_properties").Run(); err != nil {
		t.Skip("no python with a pyarrow that takes keys: set PYTHON to one")
	}
	key := Key{1, 2, 3}
	var body bytes.Buffer
	if err := encode(&body, schema, []arrow.RecordBatch{batch(0, 3000), batch(3000, 2000)}, key); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "house.parquet")
	if err := os.WriteFile(path, body.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "testdata/read.py", path, hex.EncodeToString(key[:])).CombinedOutput()
	if want := "5000 -9996000 " + sentinel + "0\n"; err != nil || string(out) != want {
		t.Errorf("%v: %s, want %s", err, out, want)
	}
}
