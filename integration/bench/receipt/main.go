// Command receipt measures how long the verification of a receipt takes, from its bytes to the verdict, and that of an SGX quote with its
// collateral. It prints lines "figure NAME VALUE UNIT".
//
// Invariant: a figure is printed only for receipts that verified and a quote that proved what it has to.
//
// Sees: nothing real
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/sgx"
	"concordat.dev/protocol/receipt"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "receipt:", err)
		os.Exit(1)
	}
}

func run() error {
	protocol := flag.String("protocol", "../protocol", "folder of the protocol, for its vectors")
	times := flag.Int("times", 200, "how often each is verified")
	flag.Parse()
	if err := receipts(filepath.Join(*protocol, "testdata", "receipt.json"), *times); err != nil {
		return err
	}
	return quote(filepath.Join(*protocol, "evidence", "sgx", "testdata"), *times)
}

// receipts verifies the vectors that are to verify: without and with witness, and with a signature of ssh-keygen.
func receipts(file string, times int) error {
	raw, err := os.ReadFile(file) //nolint:gosec // G304: the folder that was named
	if err != nil {
		return err
	}
	var vectors []struct {
		Receipt  string
		Manifest canon.Digest
		OK       bool
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		return err
	}
	var all []time.Duration
	size := 0
	for _, v := range vectors {
		if !v.OK {
			continue
		}
		size = max(size, len(v.Receipt))
		for range times {
			start := time.Now()
			r, err := receipt.Parse([]byte(v.Receipt))
			if err != nil {
				return err
			}
			if report := receipt.Verify(r, receipt.Options{Manifest: v.Manifest}); !report.OK() {
				return fmt.Errorf("a receipt does not verify:\n%s", report)
			}
			all = append(all, time.Since(start))
		}
	}
	if len(all) == 0 {
		return errors.New("no vector is to verify")
	}
	figures("receipt_verify", all)
	fmt.Printf("figure receipt_size %d bytes\n", size)
	return nil
}

func quote(folder string, times int) error {
	var c sgx.Collateral
	var report []byte
	for name, into := range map[string]*[]byte{
		"quote.bin": &report, "tcbinfo.json": &c.TCBInfo, "qeidentity.json": &c.QEIdentity, "tcbinfo.pem": &c.Chain, "pckcrl.der": &c.PCKCRL, "rootcrl.der": &c.RootCRL,
	} {
		var err error
		if *into, err = os.ReadFile(filepath.Join(folder, name)); err != nil { //nolint:gosec // G304: the folder that was named
			return err
		}
	}
	v, err := sgx.New()
	if err != nil {
		return err
	}
	v.Collateral = &c
	var all []time.Duration
	for range times {
		start := time.Now()
		if _, err := v.Verify(evidence.Evidence{Kind: evidence.SGX, Report: report}, time.Date(2022, 12, 20, 0, 50, 4, 0, time.UTC)); err != nil {
			return err
		}
		all = append(all, time.Since(start))
	}
	figures("quote_verify", all)
	return nil
}

func figures(name string, all []time.Duration) {
	slices.Sort(all)
	for _, q := range []int{50, 99} {
		fmt.Printf("figure %s_p%d %.2f ms\n", name, q, float64(all[len(all)*q/100].Microseconds())/1000)
	}
}
