package state_test

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"github.com/cockroachdb/datadriven"

	"concordat.dev/coordinator/state"
	"concordat.dev/policies/approval"
	"concordat.dev/protocol/canon"
)

// root is what the scripts take for a root certificate.
func root(name string) []byte { return []byte(name) }

// running is the mesh of the scripts.
func running() approval.Mesh {
	return approval.Mesh{
		Mode: "simulation", MarbleRunManifest: canon.Sum([]byte("m")).String(), RootCertificate: canon.Sum([]byte("r")).String(),
		Coordinator: canon.Sum([]byte("c")).String(), Ledger: ledger,
	}
}

// successor is a mesh that inherits from the running one, or forgets to say so.
func successor(name string, forgets bool) approval.Mesh {
	pins := running()
	pins.Inherits = []string{pins.RootCertificate}
	if forgets {
		pins.Inherits = []string{canon.Sum([]byte("another")).String()}
	}
	pins.RootCertificate = canon.Sum(root(name)).String()
	return pins
}

// handover runs the commands that concern one.
func (s *script) handover(d *datadriven.TestData) string {
	switch d.Cmd {
	case "prepare-handover":
		return strings.TrimSpace(s.apply("prepare_handover", state.PrepareHandover{Seconds: int64(number(d, "seconds", 60))})) + "\n"
	case "hand-over":
		out := s.apply("hand_over", state.HandOver{Successor: []byte("successor"), Worker: []byte("sealed")})
		h := s.m.Handover()
		return fmt.Sprintf("%sdone %v\n", strings.TrimLeft(out, " version0\n"), h != nil && h.Done)
	default:
		return s.takeOver(d)
	}
}

// takeOver has an empty machine wait, receive the state of this one in pieces, and adopt it; it is the script's machine then, where it does.
func (s *script) takeOver(d *datadriven.TestData) string {
	raw := s.snapshot(s.m)
	if d.HasArg("bent") {
		raw[len(raw)/2] ^= 1
	}
	old := s.m
	s.m = state.New()
	as := successor(cmp.Or(text(d, "as"), "next"), false)
	as.Ledger, as.Inherits = "", nil
	as.Voters = []string{"ed25519:x"}
	s.apply("await", state.Await{Awaiting: state.Awaiting{Mesh: as}})
	var out strings.Builder
	out.WriteString(strings.TrimSpace(s.apply("init", state.Init{Ledger: ledger, Mesh: as})) + "\n")
	digest, half := canon.Sum(raw), len(raw)/2
	if d.HasArg("half") {
		raw = raw[:half]
	}
	s.apply("receive", state.Receive{Digest: digest, Offset: 0, Piece: raw[:half]})
	s.apply("receive", state.Receive{Digest: digest, Offset: 7, Piece: raw[:half]}) // not where the last one ended
	s.apply("receive", state.Receive{Digest: digest, Offset: half, Piece: raw[half:]})
	estate := state.Estate{Roots: [][]byte{[]byte("r")}}
	if d.HasArg("from") {
		estate.Roots = [][]byte{root(text(d, "from"))}
	}
	adopted := s.apply("adopt", state.Adopt{Digest: digest, Estate: estate})
	if s.m.Basis().Ledger == "" {
		s.m = old
		return out.String() + adopted
	}
	before, now := old.Tree(), s.m.Tree()
	for i := range before.Size() { // the log goes on
		a, _ := old.Entry(i)
		if b, _ := s.m.Entry(i); !bytes.Equal(a.Leaf, b.Leaf) {
			s.t.Errorf("entry %d is another one", i)
		}
	}
	mesh := s.m.Basis().Mesh
	fmt.Fprintf(&out, "adopted: %d entries and %d more, root %v, voters %v, again %s", before.Size(), now.Size()-before.Size(),
		mesh.RootCertificate == successor("next", false).RootCertificate, mesh.Voters, strings.TrimSpace(s.apply("adopt", state.Adopt{Digest: digest, Estate: estate})))
	return out.String() + "\n"
}
