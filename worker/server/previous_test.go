package server_test

import (
	"fmt"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// TestChurn uploads versions of a dataset under the threshold mechanism: one that changes a few units is refused, one that changes none,
// or min_units of them, is taken. Under differential privacy any is.
func TestChurn(t *testing.T) {
	w := newWorld(t)
	private := w.bundle.Policies[dataset]
	few := *private
	release := *private.Release
	release.Mechanism, release.MinUnits, release.RhoPerAggregate = document.Threshold, 10, 0
	few.Release, few.Budget = &release, nil
	before := map[bool]*concordatv1.SealedDataset{}
	for _, threshold := range []bool{false, true} {
		w.bundle.Policies[dataset] = private
		if threshold {
			w.bundle.Policies[dataset] = &few
		}
		got, err := w.ingest(rows(), nil)
		if err != nil || !got.GetAccepted() {
			t.Fatalf("%v %+v", err, w.report(got))
		}
		before[threshold] = got.GetSealed()
	}
	lines := strings.SplitAfter(strings.TrimSuffix(rows(), "\n"), "\n")
	changed := func(n int) string { return strings.Join(lines[:len(lines)-n], "") }
	for _, c := range []struct {
		name      string
		gone      int
		threshold bool
		previous  func(*concordatv1.SealedDataset)
		says      string
	}{
		{name: "nothing", threshold: true},
		{name: "one", gone: 1, threshold: true, says: "changes too few units: 1"},
		{name: "nine", gone: 9, threshold: true, says: "changes too few units: 9"},
		{name: "ten", gone: 10, threshold: true},
		{name: "one, under differential privacy", gone: 1},
		{
			name: "another file than was registered", gone: 10, threshold: true, says: "can't be compared",
			previous: func(s *concordatv1.SealedDataset) { s.Digest = before[false].GetDigest() },
		},
	} {
		w.bundle.Policies[dataset] = private
		if c.threshold {
			w.bundle.Policies[dataset] = &few
		}
		got, err := w.ingest(changed(c.gone), func(r *concordatv1.IngestRequest) {
			s := before[c.threshold]
			r.Previous = &concordatv1.SealedDataset{
				Dataset: s.GetDataset(), Version: s.GetVersion(), Digest: s.GetDigest(), Objects: s.GetObjects(), Wrap: s.GetWrap(), Registration: s.GetRegistration(),
			}
			if c.previous != nil {
				c.previous(r.Previous)
			}
		})
		if c.says == "" && (err != nil || !got.GetAccepted()) {
			t.Errorf("%s: %v %+v", c.name, err, got)
		}
		if strings.HasPrefix(c.says, "changes") { // how many is for the owner alone
			if e := w.report(got).Errors; err != nil || got.GetAccepted() || got.GetSealed() != nil || len(e) != 1 || e[0].Kind != "change" || !strings.Contains(e[0].Cause, c.says) {
				t.Errorf("%s: %v %+v", c.name, err, e)
			}
			continue
		}
		if c.says != "" && (connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(fmt.Sprint(err), c.says)) {
			t.Errorf("%s: want %q: %v", c.name, c.says, err)
		}
	}
}
