package receipt_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/endorse"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/sgx/sgxtest"
	"concordat.dev/protocol/evidence/software"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/receipt"
	"concordat.dev/protocol/receipt/receipttest"
	"concordat.dev/protocol/statement"
)

func TestVerify(t *testing.T) {
	r, o := receipttest.New(t).Receipt(t)
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if r, err = receipt.Parse(b); err != nil {
		t.Fatal(err)
	}
	report := receipt.Verify(r, o)
	if !report.OK() || report.Mode != "simulation" || !strings.HasPrefix(report.String(), "mode: simulation\nproved   manifest") {
		t.Fatal(report)
	}
	claimed := map[string]bool{receipt.CheckProgram: true, receipt.CheckAttestation: true, receipt.CheckWitnesses: true}
	for _, c := range report.Checks {
		if (c.Status == receipt.Claimed) != claimed[c.Name] {
			t.Errorf("%s is %s", c.Name, c.Status)
		}
	}
	if report.Release.Query != "q1" || report.Grant.Index != 42 {
		t.Errorf("%+v", report)
	}
}

func statusOf(r receipt.Report, name string) receipt.Status {
	for _, c := range r.Checks {
		if c.Name == name {
			return c.Status
		}
	}
	return ""
}

func TestOptions(t *testing.T) {
	w := receipttest.New(t)
	w.Grant = grant.Grant{}
	r, o := w.Receipt(t)
	for name, c := range map[string]struct {
		options receipt.Options
		check   string
		want    receipt.Status
		ok      bool
	}{
		"other manifest":     {receipt.Options{Manifest: canon.Sum(nil)}, receipt.CheckManifest, receipt.Failed, false},
		"no manifest":        {receipt.Options{}, receipt.CheckManifest, receipt.Failed, false},
		"any manifest":       {receipt.Options{AnyManifest: true}, receipt.CheckManifest, receipt.Claimed, true},
		"other, though any":  {receipt.Options{Manifest: canon.Sum(nil), AnyManifest: true}, receipt.CheckManifest, receipt.Failed, false},
		"sgx demanded":       {receipt.Options{Manifest: o.Manifest, RequireMode: "sgx"}, "mode", receipt.Failed, false},
		"simulation demaned": {receipt.Options{Manifest: o.Manifest, RequireMode: "simulation"}, "mode", "", true},
	} {
		report := receipt.Verify(r, c.options)
		if statusOf(report, c.check) != c.want || report.OK() != c.ok {
			t.Errorf("%s:\n%s", name, report)
		}
	}
	r.SQL = ""
	if report := receipt.Verify(r, o); !report.OK() || statusOf(report, receipt.CheckSQL) != receipt.Claimed {
		t.Errorf("without text:\n%s", report)
	}
}

// Each change is signed by the right keys again; what is wrong is what they signed.
func TestVerifyRefuses(t *testing.T) {
	other := canon.Sum([]byte("other"))
	for name, c := range map[string]struct {
		world  func(*receipttest.World)
		after  func(*receipttest.World, *receipt.Receipt)
		failed string
	}{
		"signature missing":        {after: func(_ *receipttest.World, r *receipt.Receipt) { r.Approvals = r.Approvals[:1] }, failed: receipt.CheckApprovals},
		"signed twice by one":      {after: func(_ *receipttest.World, r *receipt.Receipt) { r.Approvals[1] = r.Approvals[0] }, failed: receipt.CheckApprovals},
		"signed by a stranger":     {after: approveBy(func(w *receipttest.World) []key.Private { return []key.Private{w.Owners[1], w.Log} }, nil), failed: receipt.CheckApprovals},
		"rejected":                 {after: approveBy(owner, func(s *statement.Statement) { s.Action = statement.Propose }), failed: receipt.CheckApprovals},
		"signed for other ledger":  {after: approveBy(owner, func(s *statement.Statement) { s.Ledger = strings.Repeat("f", 32) }), failed: receipt.CheckApprovals},
		"signed for other version": {after: approveBy(owner, func(s *statement.Statement) { s.Version = 2 }), failed: receipt.CheckApprovals},
		"signed other manifest":    {after: approveBy(owner, func(s *statement.Statement) { s.Subject = other }), failed: receipt.CheckApprovals},
		"lint":                     {world: func(w *receipttest.World) { w.Bundle.Policies["lab.tests"].Release.MinUnits = 0 }, failed: receipt.CheckDocuments},
		"policy missing":           {after: func(_ *receipttest.World, r *receipt.Receipt) { r.Policies = r.Policies[:1] }, failed: receipt.CheckDocuments},
		"other root":               {after: func(_ *receipttest.World, r *receipt.Receipt) { r.Root = receipttest.New(t).Mesh.Root.Raw }, failed: receipt.CheckRoot},
		"body of other mesh": {after: func(_ *receipttest.World, r *receipt.Receipt) {
			x, _ := receipttest.New(t).Receipt(t)
			r.Body = x.Body
		}, failed: receipt.CheckWorker},
		"body by a coordinator": {after: func(w *receipttest.World, r *receipt.Receipt) {
			r.Body = mustEndorse(t, w, r, receipt.PayloadType, r.Body.Payload, endorse.Coordinator)
		}, failed: receipt.CheckWorker},
		"other predicate": {after: func(w *receipttest.World, r *receipt.Receipt) {
			payload := bytes.Replace(r.Body.Payload, []byte("release/v1"), []byte("release/v2"), 1)
			r.Body = mustEndorse(t, w, r, receipt.PayloadType, payload, endorse.Worker)
		}, failed: receipt.CheckWorker},
		"release other manifest": {world: release(func(r *receipt.Release) { r.Manifest = other }), failed: receipt.CheckRelease},
		"release other mode":     {world: release(func(r *receipt.Release) { r.Mode = "sgx" }), failed: receipt.CheckRelease},
		"release other ledger":   {world: release(func(r *receipt.Release) { r.Ledger = "x" }), failed: receipt.CheckRelease},
		"release other policy":   {world: release(func(r *receipt.Release) { r.Policies[0].Digest = other }), failed: receipt.CheckRelease},
		"release other query":    {world: release(func(r *receipt.Release) { r.Query = "q2" }), failed: receipt.CheckGrant},
		"release other sql":      {world: release(func(r *receipt.Release) { r.SQL = other }), failed: receipt.CheckGrant},
		"release other plan":     {world: release(func(r *receipt.Release) { r.Plan, r.PlanDigest = "", other }), failed: receipt.CheckGrant},
		"release other data": {world: release(func(r *receipt.Release) {
			r.Datasets = []grant.Dataset{{ID: "clinic.patients", Version: 2, Sealed: other}}
		}), failed: receipt.CheckGrant},
		"release cheaper":   {world: release(func(r *receipt.Release) { r.Price = nil }), failed: receipt.CheckGrant},
		"release mechanism": {world: release(func(r *receipt.Release) { r.Mechanism = document.Threshold }), failed: receipt.CheckResult},
		"result changed": {after: func(_ *receipttest.World, r *receipt.Receipt) {
			r.Result = bytes.Replace(r.Result, []byte("120"), []byte("121"), 1)
		}, failed: receipt.CheckResult},
		"grant for other ledger": {world: granted(func(g *grant.Grant) { g.Ledger = strings.Repeat("f", 32) }), failed: receipt.CheckGrant},
		"granted after expiry":   {world: granted(func(g *grant.Grant) { g.Reserved = "2029-01-01T00:00:00Z" }), failed: receipt.CheckGrant},
		"grant by other key": {after: func(w *receipttest.World, r *receipt.Receipt) {
			r.Grant.Grant = dsse.Sign(grant.PayloadType, r.Grant.Grant.Payload, w.Log)
		}, failed: receipt.CheckGrant},
		"runner unknown":     {world: granted(func(g *grant.Grant) { g.Person = "eve@clinic.example" }), failed: receipt.CheckRunner},
		"runner not analyst": {world: func(w *receipttest.World) { w.Bundle.Manifest.People[0].Roles = []string{"auditor"} }, failed: receipt.CheckRunner},
		"runner of other":    {world: granted(func(g *grant.Grant) { g.Participant = "lab" }), failed: receipt.CheckRunner},
		"sql changed":        {after: func(_ *receipttest.World, r *receipt.Receipt) { r.SQL += " " }, failed: receipt.CheckSQL},
		"checkpoint by other": {after: func(_ *receipttest.World, r *receipt.Receipt) {
			x, _ := receipttest.New(t).Receipt(t)
			r.Checkpoint = x.Checkpoint
		}, failed: receipt.CheckCheckpoint},
		"checkpoint and noise": {after: func(_ *receipttest.World, r *receipt.Receipt) { r.Checkpoint += "— x AAAAAAAA\n" }, failed: receipt.CheckCheckpoint},
		"checkpoint empty":     {after: func(_ *receipttest.World, r *receipt.Receipt) { r.Checkpoint = "" }, failed: receipt.CheckCheckpoint},
		"index":                {after: func(_ *receipttest.World, r *receipt.Receipt) { r.Index-- }, failed: receipt.CheckInclusion},
		"index beyond":         {after: func(_ *receipttest.World, r *receipt.Receipt) { r.Index = 1000 }, failed: receipt.CheckInclusion},
		"index negative":       {after: func(_ *receipttest.World, r *receipt.Receipt) { r.Index = -1 }, failed: receipt.CheckInclusion},
		"salt":                 {after: func(_ *receipttest.World, r *receipt.Receipt) { r.Salt[0] ^= 1 }, failed: receipt.CheckInclusion},
		"salt short":           {after: func(_ *receipttest.World, r *receipt.Receipt) { r.Salt = r.Salt[:31] }, failed: receipt.CheckInclusion},
		"proof short":          {after: func(_ *receipttest.World, r *receipt.Receipt) { r.Proof = r.Proof[1:] }, failed: receipt.CheckInclusion},
		"proof hash cut":       {after: func(_ *receipttest.World, r *receipt.Receipt) { r.Proof[0] = r.Proof[0][1:] }, failed: receipt.CheckInclusion},
		"not logged": {after: func(w *receipttest.World, r *receipt.Receipt) {
			r.Body = mustEndorse(t, w, r, receipt.PayloadType, r.Body.Payload, endorse.Worker)
		}, failed: receipt.CheckInclusion},
		"no witness": {world: func(w *receipttest.World) {
			w.Bundle.Manifest.Witnesses = &document.Witnesses{Keys: []string{receipttest.NewWitness(t, "w.example").VKey()}, Quorum: 1}
		}, failed: receipt.CheckWitnesses},
		"other MarbleRun": {world: func(w *receipttest.World) {
			w.Bundle.Manifest.Mesh.MarbleRunManifest = other.String()
		}, failed: receipt.CheckProgram},
		"other program":          {world: release(func(r *receipt.Release) { r.Worker.Measure = "00" }), failed: receipt.CheckProgram},
		"MarbleRun's manifest":   {world: release(func(r *receipt.Release) { r.Worker.MarbleRun = []byte("{}") }), failed: receipt.CheckProgram},
		"sgx without evidence":   {world: onHardware(t, nil, func(w *receipttest.World) { w.Evidence = nil }), failed: receipt.CheckAttestation},
		"sgx without verifier":   {world: onHardware(t, nil, func(w *receipttest.World) { w.Verifiers = nil }), failed: receipt.CheckAttestation},
		"sgx, no MarbleRun":      {world: onHardware(t, nil, func(w *receipttest.World) { w.MarbleRun = nil }), failed: receipt.CheckProgram},
		"sgx, other MarbleRun":   {world: onHardware(t, func(_ *sgxtest.Platform, e *sgxtest.Enclave) { e.Measurement[0] ^= 1 }, nil), failed: receipt.CheckAttestation},
		"sgx over another root":  {world: onHardware(t, func(_ *sgxtest.Platform, e *sgxtest.Enclave) { e.Data = make([]byte, 32) }, nil), failed: receipt.CheckAttestation},
		"sgx in debug mode":      {world: onHardware(t, func(_ *sgxtest.Platform, e *sgxtest.Enclave) { e.Debug = true }, nil), failed: receipt.CheckAttestation},
		"sgx outdated":           {world: onHardware(t, func(p *sgxtest.Platform, _ *sgxtest.Enclave) { p.Status = "OutOfDate" }, nil), failed: receipt.CheckAttestation},
		"sgx, collateral of May": {world: onHardware(t, func(p *sgxtest.Platform, _ *sgxtest.Enclave) { p.Issued = p.Issued.AddDate(0, -6, 0) }, nil), failed: receipt.CheckAttestation},
		"sgx by software":        {world: onHardware(t, nil, bySoftware(t)), failed: receipt.CheckAttestation},
	} {
		t.Run(name, func(t *testing.T) {
			w := receipttest.New(t)
			if c.world != nil {
				w.Receipt(t) // fills in grant and release
				c.world(w)
			}
			r, o := w.Receipt(t)
			if c.after != nil {
				c.after(w, &r)
			}
			report := receipt.Verify(r, o)
			if report.OK() || statusOf(report, c.failed) != receipt.Failed {
				t.Errorf("want %s to fail:\n%s", c.failed, report)
			}
		})
	}
}

// onHardware moves the world into an enclave, then spoils it; grant and release are made anew.
func onHardware(t testing.TB, platform func(*sgxtest.Platform, *sgxtest.Enclave), spoil func(*receipttest.World)) func(*receipttest.World) {
	return func(w *receipttest.World) {
		w.SGX(t, platform)
		if spoil != nil {
			spoil(w)
		}
		w.Grant, w.Release = grant.Grant{}, receipt.Release{}
	}
}

// bySoftware replaces the quote by one that says the same and that no hardware signed.
func bySoftware(t *testing.T) func(*receipttest.World) {
	return func(w *receipttest.World) {
		h, err := software.NewHardware()
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(w.Mesh.Root.Raw)
		e, err := h.Quote(strings.TrimPrefix(w.Bundle.Manifest.Mesh.Coordinator, "sha256:"), false, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		w.Evidence, w.Verifiers = []evidence.Evidence{e}, append(w.Verifiers, h.Verifier())
	}
}

// On hardware nothing but the witnesses, which this manifest does not ask for, is only claimed.
func TestVerifyOnHardware(t *testing.T) {
	w := receipttest.New(t)
	w.SGX(t, nil)
	r, o := w.Receipt(t)
	o.RequireMode = "sgx"
	report := receipt.Verify(r, o)
	if !report.OK() || report.Mode != "sgx" || !strings.HasPrefix(report.String(), "mode: sgx\n") {
		t.Fatal(report)
	}
	for _, c := range report.Checks {
		if (c.Status == receipt.Claimed) != (c.Name == receipt.CheckWitnesses) {
			t.Errorf("%s is %s: %s", c.Name, c.Status, c.Detail)
		}
	}
}

func owner(w *receipttest.World) []key.Private { return w.Owners[1:] }

// approveBy replaces the second approval by one that these keys signed.
func approveBy(keys func(*receipttest.World) []key.Private, change func(*statement.Statement)) func(*receipttest.World, *receipt.Receipt) {
	return func(w *receipttest.World, r *receipt.Receipt) {
		s, err := statement.Parse(r.Approvals[1].Payload)
		if err != nil {
			panic(err)
		}
		if change != nil {
			change(&s)
		}
		if r.Approvals[1], err = statement.Sign(s, keys(w)...); err != nil {
			panic(err)
		}
	}
}

func release(change func(*receipt.Release)) func(*receipttest.World) {
	return func(w *receipttest.World) { change(&w.Release) }
}

func granted(change func(*grant.Grant)) func(*receipttest.World) {
	return func(w *receipttest.World) { change(&w.Grant) }
}

func mustEndorse(t *testing.T, w *receipttest.World, _ *receipt.Receipt, payloadType string, payload []byte, marble string) endorse.Endorsement {
	t.Helper()
	e, err := endorse.Sign(payloadType, payload, w.Mesh.Marble(t, marble))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestParseRefuses(t *testing.T) {
	r, _ := receipttest.New(t).Receipt(t)
	good, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "space": append([]byte(" "), good...), "tail": append(bytes.Clone(good), '\n'), "cut": good[:len(good)-1],
		"type":  bytes.Replace(good, []byte("receipt/v1"), []byte("receipt/v2"), 1),
		"field": bytes.Replace(good, []byte(`"index"`), []byte(`"i":1,"index"`), 1),
	} {
		if _, err := receipt.Parse(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Every byte of a receipt is bound: whichever is changed, it is no receipt any more or does not verify.
func TestNoByteIsLoose(t *testing.T) {
	w := receipttest.New(t)
	wit := receipttest.NewWitness(t, "w.example")
	w.Bundle.Manifest.Witnesses = &document.Witnesses{Keys: []string{wit.VKey()}, Quorum: 1}
	w.Cosign = append(w.Cosign, wit)
	r, o := w.Receipt(t)
	good, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if report := receipt.Verify(r, o); !report.OK() || statusOf(report, receipt.CheckWitnesses) != receipt.Proved {
		t.Fatal(report)
	}
	const shards = 4
	for shard := range shards {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			for i := shard; i < len(good); i += shards {
				b := bytes.Clone(good)
				b[i] ^= 1 << (i / shards % 8)
				r, err := receipt.Parse(b)
				if err != nil {
					continue
				}
				if report := receipt.Verify(r, o); report.OK() {
					t.Fatalf("byte %d is not bound: …%s…\n%s", i, good[max(0, i-40):i+20], report)
				}
			}
		})
	}
}

func FuzzVerify(f *testing.F) {
	r, o := receipttest.New(f).Receipt(f)
	good, err := r.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := receipt.Parse(in)
		if err != nil {
			return
		}
		if report := receipt.Verify(r, o); report.OK() && !bytes.Equal(in, good) && r.SQL != "" {
			t.Fatalf("accepted other bytes\n%s", report)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	r, o := receipttest.New(b).Receipt(b)
	raw, err := r.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := receipt.Parse(raw)
		if err != nil || !receipt.Verify(r, o).OK() {
			b.Fatal("not verified", err)
		}
	}
}
