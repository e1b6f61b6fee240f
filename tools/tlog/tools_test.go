package tlog_test

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"filippo.io/torchwood"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"

	"concordat.dev/coordinator/log"
	collector "concordat.dev/coordinator/witness"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/ui/witness"
)

// ownWitness is `concordat witness` on loopback.
func ownWitness(t *testing.T) (vkey, address string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "witness")
	must(t, witness.Create(dir, "clinic.example/witness"))
	w, err := witness.Open(dir, []string{logKey(t)}, time.Now)
	must(t, err)
	server := httptest.NewServer(w.Handler())
	t.Cleanup(func() { server.Close(); must(t, w.Close()) })
	return w.Key(), server.URL
}

// TestToolsOfOthersReadAndCosignTheLog has torchwood's litewitness and our own witness cosign a log as it grows, torchwood verify the
// cosignatures, and Tessera's client and fsck read every tile and entry.
func TestToolsOfOthersReadAndCosignTheLog(t *testing.T) {
	lite := startLitewitness(t)
	own, ownURL := ownWitness(t)
	l := newLedger(t, lite.vkey, own)
	lite.add(t, l.signer.Name(), logKey(t))
	c := l.collect(map[string]string{lite.vkey: lite.url, own: ownURL})
	l.cosigned(c)

	server := httptest.NewServer(log.Handler(l))
	defer server.Close()
	address, err := url.Parse(server.URL + "/log/")
	must(t, err)
	source, err := client.NewHTTPFetcher(address, server.Client())
	must(t, err)
	v, err := note.NewVerifier(logKey(t))
	must(t, err)
	tracker, err := client.NewLogStateTracker(t.Context(), source.ReadTile, nil, v, v.Name(), client.UnilateralConsensus(source.ReadCheckpoint))
	must(t, err)
	for _, n := range []int{1, 254, 300} {
		l.grow(n)
		l.cosigned(c)
		size := uint64(l.Tree().Size())

		_, _, _, err = tracker.Update(t.Context()) // checks consistency with what it saw before
		must(t, err)
		if tracker.Latest().Size != size {
			t.Errorf("Tessera's client sees %d entries of %d", tracker.Latest().Size, size)
		}
		must(t, fsck.New(v.Name(), v, source, leafHashes, fsck.Opts{N: 2}).Check(t.Context()))
		checkProofs(t, l, source, size)
		checkCosignatures(t, l, lite.vkey, own, v)
	}
}

func leafHashes(bundle []byte) ([][]byte, error) {
	var b api.EntryBundle
	if err := b.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	var out [][]byte
	for _, e := range b.Entries {
		out = append(out, rfc6962.DefaultHasher.HashLeaf(e))
	}
	return out, nil
}

// checkProofs compares the proofs that Tessera's client computes from tiles with ours.
func checkProofs(t *testing.T, l *ledger, source *client.HTTPFetcher, size uint64) {
	t.Helper()
	builder, err := client.NewProofBuilder(t.Context(), size, source.ReadTile)
	must(t, err)
	for _, index := range []uint64{0, 3, size / 2, size - 1} {
		theirs, err := builder.InclusionProof(t.Context(), index)
		must(t, err)
		ours, err := l.Tree().Inclusion(int64(size), int64(index))
		must(t, err)
		if !slices.EqualFunc(theirs, ours, slices.Equal) {
			t.Errorf("entry %d of %d has another proof", index, size)
		}
	}
}

func checkCosignatures(t *testing.T, l *ledger, lite, own string, v note.Verifier) {
	t.Helper()
	signed, err := l.Published()
	must(t, err)
	one, err := torchwood.NewCosignatureVerifier(lite)
	must(t, err)
	two, err := torchwood.NewCosignatureVerifier(own)
	must(t, err)
	policy := torchwood.ThresholdPolicy(4, torchwood.OriginPolicy(v.Name()), torchwood.SingleVerifierPolicy(v),
		torchwood.SingleVerifierPolicy(one), torchwood.SingleVerifierPolicy(two))
	head, _, err := torchwood.VerifyCheckpoint(signed, policy)
	must(t, err)
	if head.N != l.Tree().Size() {
		t.Errorf("torchwood sees %d entries", head.N)
	}
}

// TestLitewitnessSeesARollback has a ledger whose log was larger go on from an older state, until it is longer than before.
func TestLitewitnessSeesARollback(t *testing.T) {
	lite := startLitewitness(t)
	l := newLedger(t, lite.vkey)
	lite.add(t, l.signer.Name(), logKey(t))
	address := map[string]string{lite.vkey: lite.url}
	c := l.collect(address)
	l.cosigned(c)
	l.grow(10)
	l.cosigned(c)

	old := newLedger(t, lite.vkey) // the same events with other salts: an older, and another, log
	c = old.collect(address)
	faults(t, c, checkpoint.ErrRolledBack)
	old.pauses(20) // it grows beyond what the witness saw
	faults(t, c, checkpoint.ErrForked)
	if d, _ := old.state.Demand("room", 1); d.Size != 0 {
		t.Errorf("it cosigned %d entries", d.Size)
	}
}

// faults waits until the only witness is known to refuse for this reason.
func faults(t *testing.T, c *collector.Collector, why error) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !errors.Is(c.Status()[0].Fault, why); {
		if time.Now().After(limit) {
			t.Fatalf("litewitness says %v, want %v", c.Status()[0].Fault, why)
		}
		<-time.After(10 * time.Millisecond)
	}
}
