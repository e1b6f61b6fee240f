package upload_test

import (
	"errors"
	"strings"
	"testing"

	"filippo.io/age"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/endorse/endorsetest"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/upload"
)

func target() upload.Target {
	return upload.Target{
		Ledger: "00112233445566778899aabbccddeeff", Collaboration: "nafld-outcomes", Manifest: canon.Sum([]byte("m")),
		Dataset: "clinic.patients", Version: 1, Upload: "u1",
	}
}

func statement() upload.Statement {
	return upload.Statement{
		Target: target(), Format: upload.CSV, Columns: []string{"id", "age"}, Parts: []upload.Part{{Digest: canon.Sum([]byte("p")), Size: 10}},
		Client: "concordat 1", Issued: "2026-11-23T15:00:00Z", Report: "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
	}
}

func newKey(t *testing.T) key.Private {
	t.Helper()
	k, err := key.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestStatement(t *testing.T) {
	steward, other := newKey(t), newKey(t)
	e, err := upload.Sign(statement(), steward)
	if err != nil {
		t.Fatal(err)
	}
	s, err := upload.Verify(e, []key.Public{other.Public(), steward.Public()})
	if err != nil || s.Target != target() || len(s.Parts) != 1 {
		t.Fatal(s, err)
	}
	if _, err := upload.Verify(e, []key.Public{other.Public()}); !errors.Is(err, dsse.ErrNoSignature) {
		t.Errorf("signed by nobody: %v", err)
	}
	if _, err := upload.Verify(dsse.Sign(upload.StatementPayloadType, append(e.Payload, '\n'), steward), []key.Public{steward.Public()}); !errors.Is(err, upload.ErrInvalid) {
		t.Errorf("not canonical: %v", err)
	}
}

func TestStatementRefuses(t *testing.T) {
	for name, change := range map[string]func(*upload.Statement){
		"ledger":       func(s *upload.Statement) { s.Ledger = "" },
		"manifest":     func(s *upload.Statement) { s.Manifest = "" },
		"version":      func(s *upload.Statement) { s.Version = 0 },
		"long id":      func(s *upload.Statement) { s.Upload = strings.Repeat("u", 257) },
		"type":         func(s *upload.Statement) { s.Type = "x" },
		"format":       func(s *upload.Statement) { s.Format = "xls" },
		"no columns":   func(s *upload.Statement) { s.Columns = nil },
		"empty column": func(s *upload.Statement) { s.Columns[0] = "" },
		"no parts":     func(s *upload.Statement) { s.Parts = nil },
		"many parts":   func(s *upload.Statement) { s.Parts = make([]upload.Part, upload.MaxParts+1) },
		"part digest":  func(s *upload.Statement) { s.Parts[0].Digest = "" },
		"empty part":   func(s *upload.Statement) { s.Parts[0].Size = 0 },
		"large part":   func(s *upload.Statement) { s.Parts[0].Size = upload.MaxCiphertext + 1 },
		"no report":    func(s *upload.Statement) { s.Report = "" },
		"report":       func(s *upload.Statement) { s.Report = "age1pq1" },
		"tolerance":    func(s *upload.Statement) { s.Tolerate = &upload.Tolerance{Rows: -1} },
		"all and more": func(s *upload.Statement) { s.Tolerate = &upload.Tolerance{Share: 1.5} },
		"client":       func(s *upload.Statement) { s.Client = "" },
		"issued":       func(s *upload.Statement) { s.Issued = "yesterday" },
	} {
		s := statement()
		change(&s)
		if _, err := upload.Sign(s, newKey(t)); !errors.Is(err, upload.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOffer(t *testing.T) {
	m, id := endorsetest.New(t), identity(t)
	e, err := upload.SignOffer(target(), id.Recipient(), m.Marble(t, endorse.Worker))
	if err != nil {
		t.Fatal(err)
	}
	r, err := upload.VerifyOffer(e, m.Pin(), m.Root, target())
	if err != nil || r.String() != id.Recipient().String() {
		t.Fatal(r, err)
	}
	for name, change := range map[string]func(*upload.Target){
		"ledger": func(t *upload.Target) { t.Ledger = "x" }, "collaboration": func(t *upload.Target) { t.Collaboration = "x" },
		"manifest": func(t *upload.Target) { t.Manifest = canon.Sum(nil) }, "dataset": func(t *upload.Target) { t.Dataset = "x" },
		"version": func(t *upload.Target) { t.Version++ }, "upload": func(t *upload.Target) { t.Upload = "x" },
	} {
		want := target()
		change(&want)
		if _, err := upload.VerifyOffer(e, m.Pin(), m.Root, want); !errors.Is(err, upload.ErrInvalid) {
			t.Errorf("other %s: %v", name, err)
		}
	}
	e, err = upload.SignOffer(target(), id.Recipient(), m.Marble(t, endorse.Coordinator))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := upload.VerifyOffer(e, m.Pin(), m.Root, target()); !errors.Is(err, endorse.ErrType) {
		t.Errorf("offered by a coordinator: %v", err)
	}
}

func TestRegistration(t *testing.T) {
	m := endorsetest.New(t)
	in := upload.Registration{Target: target(), Statement: canon.Sum([]byte("s")), Sealed: canon.Sum([]byte("f"))}
	e, err := upload.SignRegistration(in, m.Marble(t, endorse.Worker))
	if err != nil {
		t.Fatal(err)
	}
	r, err := upload.VerifyRegistration(e, m.Pin(), m.Root)
	if err != nil || r.Sealed != in.Sealed || r.Target != target() {
		t.Fatal(r, err)
	}
	if e, err = upload.SignRegistration(in, m.Marble(t, endorse.Coordinator)); err != nil {
		t.Fatal(err)
	}
	if _, err := upload.VerifyRegistration(e, m.Pin(), m.Root); !errors.Is(err, endorse.ErrType) {
		t.Errorf("registered by a coordinator: %v", err)
	}
	in.Sealed = ""
	if _, err := upload.SignRegistration(in, m.Marble(t, endorse.Worker)); !errors.Is(err, upload.ErrInvalid) {
		t.Errorf("no digest: %v", err)
	}
}

func identity(t testing.TB) *age.HybridIdentity {
	t.Helper()
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}
