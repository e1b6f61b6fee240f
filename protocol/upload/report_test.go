package upload_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"filippo.io/age"

	"concordat.dev/protocol/upload"
)

func TestReportOpensForItsClientAlone(t *testing.T) {
	text := []byte(`{"errors":[{"row":7,"value":"\"secret\""}]}`)
	hybrid, other := identity(t), identity(t)
	classic, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for recipient, id := range map[string]age.Identity{hybrid.Recipient().String(): hybrid, classic.Recipient().String(): classic} {
		sealed, err := upload.SealReport(recipient, true, text)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(sealed, []byte("secret")) || !bytes.HasPrefix(sealed, []byte(`{"accepted":true,"sealed":"`)) {
			t.Errorf("%s", sealed)
		}
		if got, err := upload.OpenReport(id, sealed); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s %v", got, err)
		}
		if _, err := upload.OpenReport(other, sealed); !errors.Is(err, upload.ErrReport) {
			t.Errorf("opened by another: %v", err)
		}
	}
	if _, err := upload.SealReport("age1", true, text); !errors.Is(err, upload.ErrInvalid) {
		t.Errorf("no recipient: %v", err)
	}
}

func TestReportVector(t *testing.T) {
	raw, err := os.ReadFile("../testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Identity string
		Message  json.RawMessage
		Report   string
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	id, err := age.ParseHybridIdentity(v.Identity)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := upload.OpenReport(id, v.Message); err != nil || string(got) != v.Report {
		t.Errorf("%s %v", got, err)
	}
}

func FuzzOpenReport(f *testing.F) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := upload.SealReport(id.Recipient().String(), false, []byte(`{}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte(`{"sealed":"YQ=="}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if got, err := upload.OpenReport(id, raw); err == nil && string(got) != `{}` {
			t.Errorf("%q opens as %q", raw, got)
		}
	})
}
