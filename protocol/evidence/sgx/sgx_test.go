package sgx_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/sgx"
	"concordat.dev/protocol/evidence/sgx/sgxtest"
)

// The vectors are genuine: see testdata/README.md. The revocation lists are younger than the quote.
var vectorTime = time.Unix(1671497404, 0) // 2022-12-20

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func vectors(t testing.TB) (*sgx.Verifier, evidence.Evidence) {
	t.Helper()
	v, err := sgx.New()
	if err != nil {
		t.Fatal(err)
	}
	c := sgx.Collateral{TCBInfo: file(t, "tcbinfo.json"), QEIdentity: file(t, "qeidentity.json"), Chain: file(t, "tcbinfo.pem"), PCKCRL: file(t, "pckcrl.der"), RootCRL: file(t, "rootcrl.der")}
	raw, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return v, evidence.Evidence{Kind: evidence.SGX, Report: file(t, "quote.bin"), Collateral: raw}
}

func TestGenuineQuote(t *testing.T) {
	v, e := vectors(t)
	r, err := evidence.Verify([]evidence.Verifier{v}, e, vectorTime)
	if err != nil {
		t.Fatal(err)
	}
	data, err := hex.DecodeString("026a69ced96c3e0295d16d6b388e057a137a14319671662a5844c7472f3c62ae0e3d3f99b77dd89b0fc1436c4fe96828391a52588a0f883455a18b8f5872e3f0")
	if err != nil {
		t.Fatal(err)
	}
	if !r.Hardware || r.Debug || r.Firmware != "SWHardeningNeeded" || len(r.Advisories) != 2 || !bytes.Equal(r.Data, data) ||
		r.Measurement != "68823bc62f409ee33a32ea270cfe45d4b19a6fb3c8570d7bc186cbe062398e8f" || r.Signer != "9affcfae47b848ec2caf1c49b4b283531e1cc425f93582b36806e52a43d78d1a" {
		t.Errorf("%+v", r)
	}
	if err := r.Check(evidence.Want{Measurement: r.Measurement, Data: data}, false); err != nil {
		t.Error(err)
	}
	if err := r.Check(evidence.Want{Measurement: r.Measurement, Data: data[:32]}, false); !errors.Is(err, evidence.ErrData) {
		t.Errorf("half of the data: %v", err)
	}
	header := append([]byte{1, 0, 0, 0, 2, 0, 0, 0, byte(len(e.Report)), byte(len(e.Report) >> 8), 0, 0, 0, 0, 0, 0}, e.Report...)
	e.Report = header
	if again, err := v.Verify(e, vectorTime); err != nil || again.Measurement != r.Measurement {
		t.Errorf("as Open Enclave wraps it: %v", err)
	}
	e.Report = append(header, 0)
	if _, err := v.Verify(e, vectorTime); !errors.Is(err, evidence.ErrMalformed) {
		t.Errorf("with a tail: %v", err)
	}
}

// Certificates and tables as of other times.
func TestGenuineQuoteAtOtherTimes(t *testing.T) {
	v, e := vectors(t)
	for name, c := range map[string]struct {
		at   time.Time
		want error
	}{
		"before the certificate":   {time.Unix(1670238720, 0), evidence.ErrSignature},
		"as the certificate began": {time.Unix(1670238721, 0), nil},
		"tables to be renewed":     {time.Date(2023, 1, 15, 12, 45, 37, 0, time.UTC), evidence.ErrCollateral},
		"long after":               {time.Unix(1891163522, 0), evidence.ErrSignature},
	} {
		if _, err := v.Verify(e, c.at); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Every bit that signatures cover counts. What they do not cover is the quote's two last words on certificates (PEM) and version numbers
// in the header that Intel leaves to the platform.
func TestGenuineQuoteIsBound(t *testing.T) {
	v, e := vectors(t)
	want, err := v.Verify(e, vectorTime)
	if err != nil {
		t.Fatal(err)
	}
	for i := range e.Report {
		changed := e
		changed.Report = bytes.Clone(e.Report)
		changed.Report[i] ^= 1 << (i % 8)
		got, err := v.Verify(changed, vectorTime)
		if err == nil && (i < 1052 || got.String() != want.String()) { // before the PEM
			t.Fatalf("byte %d is not bound", i)
		}
	}
}

func TestTablesAreBound(t *testing.T) {
	v, e := vectors(t)
	c, err := sgx.ParseCollateral(e.Collateral)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*sgx.Collateral){
		"TCB info": func(c *sgx.Collateral) {
			c.TCBInfo = bytes.Replace(c.TCBInfo, []byte("OutOfDate"), []byte("UpToDate"), 1)
		},
		"QE identity": func(c *sgx.Collateral) {
			c.QEIdentity = bytes.Replace(c.QEIdentity, []byte(`"isvsvn":6`), []byte(`"isvsvn":1`), 1)
		},
		"no list of PCKs":   func(c *sgx.Collateral) { c.PCKCRL = c.RootCRL },
		"no list":           func(c *sgx.Collateral) { c.RootCRL = nil },
		"list changed":      func(c *sgx.Collateral) { c.PCKCRL[len(c.PCKCRL)-1] ^= 1 },
		"chain":             func(c *sgx.Collateral) { c.Chain = c.Chain[1:] },
		"tables exchanged":  func(c *sgx.Collateral) { c.TCBInfo, c.QEIdentity = c.QEIdentity, c.TCBInfo },
		"signed by the PCK": func(c *sgx.Collateral) { c.Chain = file(t, "quote.bin")[1052:] },
	} {
		changed, err := sgx.ParseCollateral(e.Collateral)
		if err != nil {
			t.Fatal(err)
		}
		change(changed)
		v.Collateral = changed
		if _, err := v.Verify(e, vectorTime); !errors.Is(err, evidence.ErrCollateral) {
			t.Errorf("%s: %v", name, err)
		}
	}
	v.Collateral = c
	if _, err := v.Verify(evidence.Evidence{Kind: evidence.SGX, Report: e.Report}, vectorTime); err != nil {
		t.Errorf("collateral of the verifier: %v", err)
	}
	v.Collateral = nil
	if _, err := v.Verify(evidence.Evidence{Kind: evidence.SGX, Report: e.Report}, vectorTime); !errors.Is(err, evidence.ErrCollateral) {
		t.Errorf("no collateral: %v", err)
	}
}

// What only a platform of our own can show.
func TestStatesOfAPlatform(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	enclave := sgxtest.Enclave{Measurement: sha256.Sum256([]byte("program")), Data: bytes.Repeat([]byte{7}, 32)}
	want := evidence.Want{Measurement: hex.EncodeToString(enclave.Measurement[:]), Data: enclave.Data}
	for name, c := range map[string]struct {
		platform func(*sgxtest.Platform)
		enclave  func(*sgxtest.Enclave)
		want     error
	}{
		"good":                     {},
		"hardening needed":         {platform: func(p *sgxtest.Platform) { p.Status = "SWHardeningNeeded" }},
		"newer than the level":     {platform: func(p *sgxtest.Platform) { p.PCESVN = 14 }},
		"older PCE":                {platform: func(p *sgxtest.Platform) { p.PCESVN = 12 }, want: evidence.ErrFirmware}, // the level of UpToDate wants 13
		"older than all":           {platform: func(p *sgxtest.Platform) { p.PCESVN = 4 }, want: evidence.ErrFirmware},
		"configuration needed":     {platform: func(p *sgxtest.Platform) { p.Status = "ConfigurationNeeded" }, want: evidence.ErrFirmware},
		"revoked level":            {platform: func(p *sgxtest.Platform) { p.Status = "Revoked" }, want: evidence.ErrFirmware},
		"quoting enclave outdated": {platform: func(p *sgxtest.Platform) { p.QEStatus = "OutOfDate" }, want: evidence.ErrFirmware},
		"other processor":          {platform: func(p *sgxtest.Platform) { p.FMSPC = "00606a000000" }, want: evidence.ErrCollateral},
		"old collateral":           {platform: func(p *sgxtest.Platform) { p.Issued = at.AddDate(0, -2, 0) }, want: evidence.ErrCollateral},
		"newer collateral":         {platform: func(p *sgxtest.Platform) { p.Issued = at.AddDate(0, 0, 3) }},
		"CA revoked":               {platform: func(p *sgxtest.Platform) { p.Revoked = append(p.Revoked, p.CA) }, want: evidence.ErrRevoked},
		"debug":                    {enclave: func(e *sgxtest.Enclave) { e.Debug = true }, want: evidence.ErrDebug},
		"other program":            {enclave: func(e *sgxtest.Enclave) { e.Measurement[0] ^= 1 }, want: evidence.ErrMeasurement},
		"other data":               {enclave: func(e *sgxtest.Enclave) { e.Data = make([]byte, 32) }, want: evidence.ErrData},
		"more data":                {enclave: func(e *sgxtest.Enclave) { e.Data = bytes.Repeat([]byte{7}, 33) }, want: evidence.ErrData},
	} {
		t.Run(name, func(t *testing.T) {
			p, e := sgxtest.New(t, at.AddDate(0, 0, -3)), enclave
			if c.platform != nil {
				c.platform(p)
			}
			if c.enclave != nil {
				c.enclave(&e)
			}
			r, err := p.Verifier().Verify(p.Evidence(t, e), at)
			if err == nil {
				err = r.Check(want, false)
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	p := sgxtest.New(t, at)
	quote := p.Quote(t, enclave)
	p.Revoked = append(p.Revoked, p.PCK)
	raw, err := p.Collateral(t).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	e := evidence.Evidence{Kind: evidence.SGX, Report: quote, Collateral: raw}
	if _, err := p.Verifier().Verify(e, at); !errors.Is(err, evidence.ErrRevoked) {
		t.Errorf("revoked processor: %v", err)
	}
	intel, _ := vectors(t)
	if _, err := intel.Verify(p.Evidence(t, enclave), at); !errors.Is(err, evidence.ErrSignature) || !strings.Contains(err.Error(), "another root") {
		t.Errorf("a root of somebody's own: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	v, e := vectors(f)
	f.Add(e.Report, []byte(e.Collateral))
	f.Fuzz(func(t *testing.T, report, collateral []byte) {
		r, err := v.Verify(evidence.Evidence{Kind: evidence.SGX, Report: report, Collateral: collateral}, vectorTime)
		if err == nil && r.Measurement != "68823bc62f409ee33a32ea270cfe45d4b19a6fb3c8570d7bc186cbe062398e8f" {
			t.Fatalf("proved %s", r)
		}
	})
}
