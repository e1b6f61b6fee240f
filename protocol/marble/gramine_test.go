package marble

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
)

// A folder of plain files in place of Gramine's: what is written is what a quote has to be over, what is read comes wrapped.
func TestQuoteByGramine(t *testing.T) {
	dir := t.TempDir()
	if gramineQuote(dir) != nil {
		t.Fatal("quotes without Gramine")
	}
	data := filepath.Join(dir, "user_report_data")
	if err := os.WriteFile(data, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	quote := gramineQuote(dir)
	if _, err := quote([]byte("certificate")); err == nil {
		t.Error("no quote came, and nobody says so")
	}
	if err := os.WriteFile(filepath.Join(dir, "quote"), []byte("quote"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := quote([]byte("certificate"))
	if err != nil || !bytes.Equal(got, append([]byte{1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0}, "quote"...)) {
		t.Errorf("%x, %v", got, err)
	}
	sum := sha256.Sum256([]byte("certificate"))
	if written, err := os.ReadFile(data); err != nil || !bytes.Equal(written, append(sum[:], make([]byte, 32)...)) {
		t.Errorf("quoted %x, %v", written, err)
	}
}
