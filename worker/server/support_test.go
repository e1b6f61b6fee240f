package server_test

import (
	"os"
	"testing"

	"concordat.dev/protocol/endorse"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func parseEndorsement(t *testing.T, raw []byte) endorse.Endorsement {
	t.Helper()
	e, err := endorse.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
