package server_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/event"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/grant"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/marble"
	"concordat.dev/protocol/upload"
	"concordat.dev/protocol/witness"
	"concordat.dev/worker/token"
)

// witnessedLog is the ledger's log as coordinators show it to the worker, and its witnesses a and b.
type witnessedLog struct {
	*world
	at     time.Time
	by     []string
	fork   byte
	hashes []tlog.Hash
}

func (l *witnessedLog) ReadHashes(at []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range at {
		out = append(out, l.hashes[i])
	}
	return out, nil
}

func (l *witnessedLog) witness(name string) witness.Signer {
	k := must[key.Private](l.t)(key.FromSeed(bytes.Repeat([]byte(name), 32)))
	return must[witness.Signer](l.t)(witness.NewSigner(name+".example", k, func() time.Time { return l.at }))
}

// demanding is a world whose manifest demands both witnesses.
func demanding(t *testing.T) (*witnessedLog, *concordatv1.SealedDataset) {
	w := newWorld(t)
	l := &witnessedLog{world: w, at: time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC), by: []string{"a", "b"}}
	w.bundle.Manifest.Witnesses = &document.Witnesses{Keys: []string{l.witness("a").String(), l.witness("b").String()}, Quorum: 2}
	got, err := w.ingest(rows(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return l, got.GetSealed()
}

type logSigner struct {
	note.Verifier
	key key.Private
}

func (s logSigner) Sign(msg []byte) ([]byte, error) { return s.key.Sign(msg), nil }

// show proves the request's reservation, which is leaf index of size, from the size that the worker saw. Change may spoil it.
func (l *witnessedLog) show(r *concordatv1.ExecuteRequest, index, size, seen int64, change func(*event.Reservation)) *concordatv1.ExecuteRequest {
	var g grant.Grant
	if err := json.Unmarshal(must[grant.Signed](l.t)(grant.Parse(r.GetGrant())).Grant.Payload, &g); err != nil {
		l.t.Fatal(err)
	}
	reservation := event.Reservation{
		Query: g.Query, Version: g.Version, Manifest: g.Manifest, Plan: g.Plan, Question: g.Question, Datasets: g.Datasets, Price: g.Price,
	}
	if change != nil {
		change(&reservation)
	}
	salt := bytes.Repeat([]byte{9}, checkpoint.SaltSize)
	body := must[[]byte](l.t)(event.Marshal(event.Reserve, g.Ledger, g.Collaboration, time.Unix(0, 0), reservation))
	l.hashes = nil
	for i := range size {
		leaf := checkpoint.Leaf([]byte{byte(i), l.fork}, nil)
		if i == index {
			leaf = checkpoint.Leaf(salt, body)
		}
		l.hashes = append(l.hashes, must[[]tlog.Hash](l.t)(tlog.StoredHashes(i, leaf, l))...)
	}
	signers := []note.Signer{logSigner{must[note.Verifier](l.t)(checkpoint.LogVerifier(ledger, l.grantKey.Public())), l.grantKey}}
	for _, name := range l.by {
		signers = append(signers, l.witness(name))
	}
	root := must[tlog.Hash](l.t)(tlog.TreeHash(size, l))
	signed := must[[]byte](l.t)(note.Sign(&note.Note{Text: checkpoint.Text(ledger, size, root)}, signers...))
	r.Logged = &concordatv1.Logged{Checkpoint: signed, Index: uint64(index), Salt: salt, Body: body, Seen: uint64(seen)}
	r.Logged.Inclusion = raw(must[tlog.RecordProof](l.t)(tlog.ProveRecord(size, index, l)))
	if seen > 0 && seen < size {
		r.Logged.Consistency = raw(must[tlog.TreeProof](l.t)(tlog.ProveTree(size, seen, l)))
	}
	return r
}

func raw(hashes []tlog.Hash) [][]byte {
	var out [][]byte
	for _, h := range hashes {
		out = append(out, h[:])
	}
	return out
}

// refused demands the constant refusal.
func (l *witnessedLog) refused(name string, r *concordatv1.ExecuteRequest) {
	l.t.Helper()
	out, err := l.execute(r)
	if connect.CodeOf(err) != connect.CodeUnavailable || !strings.HasSuffix(err.Error(), "this worker executes nothing that witnesses have not seen") {
		l.t.Errorf("%s: %v, released %s", name, err, out.GetAnswer())
	}
}

func TestNothingLeavesWithoutTheWitnesses(t *testing.T) {
	l, sealed := demanding(t)
	request := func() *concordatv1.ExecuteRequest { return l.request(sealed, nil) }
	show := func(change func(*event.Reservation)) *concordatv1.ExecuteRequest {
		return l.show(request(), 3, 5, 0, change)
	}
	l.refused("no proof", request())
	for name, by := range map[string][]string{"one of two": {"a"}, "none": nil, "a stranger": {"a", "s"}} {
		l.by = by
		l.refused(name, show(nil))
	}
	l.by = []string{"a", "b"}
	for name, change := range map[string]func(*event.Reservation){
		"another query":    func(r *event.Reservation) { r.Query = "q2" },
		"another plan":     func(r *event.Reservation) { r.Plan = canon.Sum([]byte("x")) },
		"another question": func(r *event.Reservation) { r.Question = canon.Sum([]byte("x")) },
		"another manifest": func(r *event.Reservation) { r.Manifest = canon.Sum([]byte("x")) },
		"other data":       func(r *event.Reservation) { r.Datasets = nil },
		"nobody paid":      func(r *event.Reservation) { r.Price = nil },
	} {
		l.refused(name, show(change))
	}
	for name, spoil := range map[string]func(*concordatv1.Logged){
		"salt":       func(x *concordatv1.Logged) { x.Salt[0] ^= 1 },
		"short salt": func(x *concordatv1.Logged) { x.Salt = x.Salt[1:] },
		"index":      func(x *concordatv1.Logged) { x.Index = 2 },
		"no index":   func(x *concordatv1.Logged) { x.Index = 1 << 63 },
		"inclusion":  func(x *concordatv1.Logged) { x.Inclusion[0][0] ^= 1 },
		"body":       func(x *concordatv1.Logged) { x.Body = append(x.Body, ' ') },
		"signature":  func(x *concordatv1.Logged) { x.Checkpoint[len(x.Checkpoint)-9] ^= 1 },
	} {
		r := show(nil)
		spoil(r.GetLogged())
		l.refused(name, r)
	}
	l.at = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	l.refused("expired by the witnesses' clocks", show(nil))
	l.at = time.Date(2099, 12, 31, 23, 0, 0, 0, time.UTC)
	out, err := l.execute(show(nil))
	if err != nil || len(out.GetAnswer()) == 0 || out.GetSeen() != 0 {
		t.Fatalf("%v %+v\n%s", err, out, l.log)
	}
	if strings.Contains(l.log.String(), "SELECT") {
		t.Error("the log holds the text of a query")
	}
}

func TestTheLogOnlyGrows(t *testing.T) {
	l, sealed := demanding(t)
	first := l.show(l.request(sealed, nil), 3, 9, 0, nil)
	if out, err := l.execute(first); err != nil || len(out.GetAnswer()) == 0 {
		t.Fatal(err)
	}
	for name, size := range map[string]int64{"larger": 12, "smaller": 5, "the same": 9} {
		out, err := l.execute(l.show(l.request(sealed, nil), 3, size, 0, nil))
		if err != nil || out.GetSeen() != 9 || len(out.GetAnswer()) > 0 {
			t.Errorf("%s, from a size that it did not see: %v %+v", name, err, out)
		}
	}
	l.refused("rolled back", l.show(l.request(sealed, nil), 3, 5, 9, nil))
	l.fork = 1
	l.refused("forked", l.show(l.request(sealed, nil), 3, 12, 9, nil))
	l.refused("forked at that size", l.show(l.request(sealed, nil), 3, 9, 9, nil))
	l.fork = 0
	for _, size := range []int64{9, 12} {
		if out, err := l.execute(l.show(l.request(sealed, nil), 3, size, 9, nil)); err != nil || len(out.GetAnswer()) == 0 {
			t.Errorf("size %d: %v %+v", size, err, out)
		}
	}
}

// TestASecondClusterGetsNothing plays genuine coordinators of the same mesh, with the same secrets, whose cluster has another ledger.
func TestASecondClusterGetsNothing(t *testing.T) {
	w := newWorld(t)
	got, err := w.ingest(rows(), nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed := got.GetSealed()
	other := strings.Repeat("f", 32)
	granted := func(g *grant.Grant) { g.Ledger = other }
	if out, err := w.execute(w.request(sealed, granted)); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("its grant, under the manifest of this ledger: %v %s", err, out.GetAnswer())
	}
	w.bundle.Manifest.Mesh.Ledger = other // even if the participants signed one for that ledger, wraps and registrations are of this one
	r := w.request(sealed, granted)
	if out, err := w.execute(r); connect.CodeOf(err) != connect.CodeInternal {
		t.Errorf("its manifest over data of this ledger: %v %s", err, out.GetAnswer())
	}
	target := upload.Target{
		Ledger: other, Collaboration: "test", Manifest: canon.Sum(r.GetDocuments().GetManifest()), Dataset: dataset, Version: 1, Upload: "u1",
	}
	registration, err := upload.SignRegistration(upload.Registration{
		Target: target, Statement: canon.Sum(nil), Sealed: canon.Digest(sealed.GetDigest()), Tokens: must[canon.Digest](t)(token.RulesDigest(w.bundle.Policies[dataset].Unit, w.bundle.Manifest.Namespaces["patient"])),
	}, w.mesh.Marble(t, marble.Worker))
	if err != nil {
		t.Fatal(err)
	}
	r.Datasets[0].Registration = must[[]byte](t)(registration.Marshal())
	if out, err := w.execute(r); connect.CodeOf(err) != connect.CodeInternal || !strings.Contains(w.log.String(), "doesn't open") {
		t.Errorf("its registration of a wrap of this ledger: %v %s\n%s", err, out.GetAnswer(), w.log)
	}
}
