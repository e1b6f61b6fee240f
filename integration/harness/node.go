package harness

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"time"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/membership"
	"concordat.dev/protocol/statement"
	"concordat.dev/ui/client"
	"concordat.dev/ui/mesh"
)

// Grow starts one more coordinator and has all participants sign that it joins. It returns its name.
func (r *Room) Grow() string {
	r.tb.Helper()
	c, err := r.Mesh.Join(r.tb.Context(), "")
	if err != nil {
		r.tb.Fatal(err)
	}
	self, err := r.Mesh.Self(r.tb.Context(), c.API)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.Change(membership.Statement{Action: membership.Join, Node: &membership.Node{Key: r.nodeKey(self.GetNode()), Address: self.GetAddress()}})
	return c.Name
}

// Shrink has all participants sign that a coordinator is removed, and ends it.
func (r *Room) Shrink(name string) {
	r.tb.Helper()
	raft := ""
	for _, c := range r.Mesh.State().Coordinators {
		if c.Name == name {
			raft = c.Raft
		}
	}
	for _, n := range r.Mesh.Ask().GetNodes() {
		if n.GetAddress() == raft {
			r.Change(membership.Statement{Action: membership.Remove, Node: &membership.Node{Key: r.nodeKey(n.GetId())}})
		}
	}
	if err := r.Mesh.Leave(name); err != nil {
		r.tb.Fatal(err)
	}
}

func (r *Room) nodeKey(text string) key.Public {
	k, err := key.ParsePublic(text)
	if err != nil {
		r.tb.Fatal(err)
	}
	return k
}

// Change has all participants sign a change of coordinators, one after another, and waits until it is carried out.
func (r *Room) Change(said membership.Statement) {
	r.tb.Helper()
	m := r.membership()
	said.Ledger, said.Number = m.GetLedger(), int(m.GetNumber())+1
	for _, p := range r.Documents.Manifest.Participants {
		if _, err := r.As(p.ID).ChangeNodes(r.tb.Context(), r.signedNodes(said, p.ID)); err != nil {
			r.tb.Fatal(err)
		}
	}
	for end := time.Now().Add(time.Minute); !m.GetSettled() || int(m.GetNumber()) < said.Number; m = r.membership() {
		if time.Now().After(end) {
			r.tb.Fatalf("change %d was not carried out: %v", said.Number, m.GetNodes())
		}
	}
}

func (r *Room) membership() *concordatv1.MembershipResponse {
	r.tb.Helper()
	m, err := r.As(r.Documents.Manifest.Participants[0].ID).Membership(r.tb.Context())
	if err != nil {
		r.tb.Fatal(err)
	}
	return m
}

func (r *Room) signedNodes(said membership.Statement, participants ...string) []byte {
	r.tb.Helper()
	var keys []key.Private
	for _, p := range participants {
		keys = append(keys, r.Keys[p])
	}
	e, err := membership.Sign(said, keys...)
	if err != nil {
		r.tb.Fatal(err)
	}
	raw, err := e.Marshal()
	if err != nil {
		r.tb.Fatal(err)
	}
	return raw
}

// Backup is the sealed state of the mesh.
func (r *Room) Backup() []byte {
	r.tb.Helper()
	var out bytes.Buffer
	if err := r.As(r.Documents.Manifest.Participants[0].ID).Backup(r.tb.Context(), &out); err != nil {
		r.tb.Fatal(err)
	}
	return out.Bytes()
}

// Recover brings a mesh that is down up again by a recovery that all participants sign: from the disk of a coordinator, or, where from is given,
// from the sealed part of a backup of that log.
func (r *Room) Recover(name string, from *membership.Checkpoint, number int, sealed io.Reader) {
	r.tb.Helper()
	m := r.Mesh
	up, err := mesh.Up(r.tb.Context(), mesh.Options{Home: m.Home, Bin: m.bin, Attached: true, Recover: name})
	if err != nil {
		r.tb.Fatal(err)
	}
	m.Mesh = up
	said := membership.Statement{Action: membership.Recover, Ledger: m.State().Ledger, Number: number, From: from, Issued: time.Now().UTC().Format(time.RFC3339), Reason: "a drill"}
	first := ""
	for _, c := range m.State().Coordinators {
		self, err := m.Self(r.tb.Context(), c.API)
		if err != nil {
			r.tb.Fatal(err)
		}
		v := membership.Node{Key: r.nodeKey(self.GetNode()), Address: self.GetAddress()}
		if c.Name != name {
			said.Voters = append(said.Voters, v)
			continue
		}
		first, said.Voters = c.API, append([]membership.Node{v}, said.Voters...)
		if from == nil {
			said.Number, said.From = int(self.GetNumber())+1, &membership.Checkpoint{Size: int64(self.GetSize()), Root: self.GetRoot()} //nolint:gosec // G115: a size
		}
	}
	var all []string
	for _, p := range r.Documents.Manifest.Participants {
		all = append(all, p.ID)
	}
	c, err := client.New(client.Config{Addresses: []string{first}, Root: m.State().RootCertificate})
	if err != nil {
		r.tb.Fatal(err)
	}
	if _, err := c.Recover(r.tb.Context(), r.signedNodes(said, all[0]), nil); err == nil {
		r.tb.Fatal("one organisation alone recovered the ledger")
	}
	if _, err := c.Recover(r.tb.Context(), r.signedNodes(said, all...), sealed); err != nil {
		r.tb.Fatal(err)
	}
	m.serving()
}

// serving waits until all coordinators serve the ledger.
func (m *Mesh) serving() {
	m.tb.Helper()
	ctx, cancel := context.WithTimeout(m.tb.Context(), time.Minute)
	defer cancel()
	for _, c := range m.State().Coordinators {
		for {
			self, err := m.Self(ctx, c.API)
			if err == nil && self.GetPhase() == "serving" {
				break
			}
			if ctx.Err() != nil {
				m.tb.Fatalf("%s does not serve: %v %v", c.Name, self, err)
			}
		}
	}
}

// Resume has all participants say that the collaboration goes on.
func (r *Room) Resume() {
	r.tb.Helper()
	for _, p := range r.Documents.Manifest.Participants {
		s := r.Documents.Statement(statement.Resume)
		nonce := make([]byte, 16)
		_, _ = rand.Read(nonce)
		s.Nonce, s.Issued = hex.EncodeToString(nonce), time.Now().UTC().Format(time.RFC3339)
		e, err := statement.Sign(s, r.Keys[p.ID])
		if err != nil {
			r.tb.Fatal(err)
		}
		raw, err := e.Marshal()
		if err != nil {
			r.tb.Fatal(err)
		}
		if _, err := client.Unary(r.tb.Context(), r.As(p.ID), &concordatv1.SubmitStatementRequest{Collaboration: r.ID(), Statement: raw}, client.Services.SubmitStatement); err != nil {
			r.tb.Fatal(err)
		}
	}
}

// Empty takes the folder of a coordinator that does not run away.
func (m *Mesh) Empty(name string) {
	m.tb.Helper()
	if err := os.RemoveAll(filepath.Join(m.Home, name, "data")); err != nil {
		m.tb.Fatal(err)
	}
}
