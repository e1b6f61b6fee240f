package backup_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"concordat.dev/protocol/backup"
)

func TestHeader(t *testing.T) {
	line, err := backup.Header{Ledger: "l", Size: 3, Root: "r", Checkpoint: "c\n— s\n"}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	h, rest, err := backup.Open(strings.NewReader(string(line) + "sealed\nbytes"))
	if err != nil || h.Size != 3 || h.Checkpoint != "c\n— s\n" {
		t.Fatal(h, err)
	}
	if b, err := io.ReadAll(rest); err != nil || string(b) != "sealed\nbytes" {
		t.Errorf("%q %v", b, err)
	}
	for name, text := range map[string]string{
		"nothing": "", "no end": strings.TrimSuffix(string(line), "\n"), "another type": strings.Replace(string(line), "backup/v1", "backup/v2", 1),
		"unknown field": strings.Replace(string(line), "{", `{"x":1,`, 1), "empty log": strings.Replace(string(line), `"size":3`, `"size":0`, 1),
		"not JSON": "PK\n", "endless": strings.Repeat("x", 1<<20),
	} {
		if _, _, err := backup.Open(strings.NewReader(text)); !errors.Is(err, backup.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
