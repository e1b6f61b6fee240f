package quotes_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/oasisprotocol/oasis-core/go/common/sgx/pcs"

	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/sgx"
	"concordat.dev/protocol/evidence/sgx/sgxtest"
)

// ours is our verdict: the measurement that is proved and acceptable, or none.
func ours(v *sgx.Verifier, c *sgx.Collateral, quote []byte, at time.Time) string {
	v.Collateral = c
	r, err := v.Verify(evidence.Evidence{Kind: evidence.SGX, Report: quote}, at)
	if err == nil {
		err = r.Check(evidence.Want{Measurement: r.Measurement, Data: r.Data}, false)
	}
	if err != nil {
		return ""
	}
	return r.Measurement
}

// theirs is oasis-core's. It looks at no revocation lists, and times out tables by their issue date, not by Intel's nextUpdate.
func theirs(c *sgx.Collateral, quote []byte, at time.Time) string {
	var q pcs.Quote
	if q.UnmarshalBinary(quote) != nil {
		return ""
	}
	bundle := pcs.TCBBundle{Certificates: c.Chain}
	if json.Unmarshal(c.TCBInfo, &bundle.TCBInfo) != nil || json.Unmarshal(c.QEIdentity, &bundle.QEIdentity) != nil {
		return ""
	}
	r, err := q.Verify(&pcs.QuotePolicy{TCBValidityPeriod: 30}, at, &bundle)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(r.Identity.MrEnclave[:])
}

func TestGenuineVectorAndChangesOfIt(t *testing.T) {
	file := func(name string) []byte {
		b, err := os.ReadFile("../../protocol/evidence/sgx/testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	at := time.Unix(1671497404, 0)
	quote := file("quote.bin")
	c := &sgx.Collateral{TCBInfo: file("tcbinfo.json"), QEIdentity: file("qeidentity.json"), Chain: file("tcbinfo.pem"), PCKCRL: file("pckcrl.der"), RootCRL: file("rootcrl.der")}
	v, err := sgx.New()
	if err != nil {
		t.Fatal(err)
	}
	if a, b := ours(v, c, quote, at), theirs(c, quote, at); a != b || a != "68823bc62f409ee33a32ea270cfe45d4b19a6fb3c8570d7bc186cbe062398e8f" {
		t.Fatalf("ours %q, theirs %q", a, b)
	}
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // G404: a test that repeats
	const pem = 1052                   // where the certificates begin: oasis-core skips what is not PEM between them, we take nothing else
	for i := range 4000 {
		changed := bytes.Clone(quote)
		at2, what, where := at, rng.IntN(10), rng.IntN(len(changed))
		switch what {
		case 0:
			changed = changed[:where]
		case 1:
			at2 = at.Add(time.Duration(rng.IntN(40*24)) * time.Hour) // both begin to refuse as the tables end
		default:
			changed[where] ^= 1 << rng.IntN(8)
		}
		a, b := ours(v, c, changed, at2), theirs(c, changed, at2)
		if a != b && (a != "" || what <= 1 || where < pem) {
			t.Errorf("change %d (%d) at %s: ours %q, theirs %q", i, what, at2, a, b)
		}
	}
}

// Platforms of our own, whose root takes the place of Intel's in both.
func TestStatesOfPlatforms(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	intel := pcs.IntelTrustRoots
	t.Cleanup(func() { pcs.IntelTrustRoots = intel })
	for name, c := range map[string]struct {
		change func(*sgxtest.Platform)
		// differ says that oasis-core v0.2403.0 comes to the other verdict.
		differ bool
	}{
		"up to date":           {func(*sgxtest.Platform) {}, false},
		"hardening needed":     {func(p *sgxtest.Platform) { p.Status = "SWHardeningNeeded" }, false},
		"configuration needed": {func(p *sgxtest.Platform) { p.Status = "ConfigurationNeeded" }, false},
		"revoked level":        {func(p *sgxtest.Platform) { p.Status = "Revoked" }, false},
		"outdated QE":          {func(p *sgxtest.Platform) { p.QEStatus = "OutOfDate" }, false},
		"other processor":      {func(p *sgxtest.Platform) { p.FMSPC = "00606a000000" }, false},
		"old tables":           {func(p *sgxtest.Platform) { p.Issued = at.AddDate(0, -2, 0) }, false},
		// Intel: "PCESVN … greater or equal to the value in TCB Level". oasis-core compares the other way round.
		"older PCE than the level":    {func(p *sgxtest.Platform) { p.PCESVN = 12 }, true},
		"PCE older than all levels":   {func(p *sgxtest.Platform) { p.PCESVN = 4 }, true},
		"newer PCE than the level":    {func(p *sgxtest.Platform) { p.PCESVN = 14 }, true},
		"CA revoked":                  {func(p *sgxtest.Platform) { p.Revoked = append(p.Revoked, p.CA) }, true}, // it looks at no lists
		"tables newer than the query": {func(p *sgxtest.Platform) { p.Issued = at.AddDate(0, 0, 1) }, true},      // we take newer knowledge
	} {
		p := sgxtest.New(t, at.AddDate(0, 0, -3))
		c.change(p)
		pcs.IntelTrustRoots = x509.NewCertPool()
		pcs.IntelTrustRoots.AddCert(p.Root)
		quote := p.Quote(t, sgxtest.Enclave{Measurement: sha256.Sum256([]byte("program")), Data: []byte{1}})
		tables := p.Collateral(t)
		a, b := ours(p.Verifier(), tables, quote, at), theirs(tables, quote, at)
		t.Logf("%-28s ours %-5t theirs %t", name, a != "", b != "")
		if (a != b) != c.differ {
			t.Errorf("%s: ours %q, theirs %q", name, a, b)
		}
	}
}
