package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/log"
	"concordat.dev/coordinator/raft"
	"concordat.dev/coordinator/seal"
	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/backup"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
	"concordat.dev/protocol/membership"
)

type nodeService struct{ *API }

var _ concordatv1connect.NodeServiceHandler = nodeService{}

// The phases of a coordinator, as NodeService.Self tells them.
const (
	PhaseJoining    = "joining"    // it has no state, or not all of it yet, and waits to be called by a cluster
	PhaseServing    = "serving"    // it belongs to a ledger's cluster
	PhaseRemoved    = "removed"    // it was removed, and decides nothing
	PhaseRecovering = "recovering" // it waits for a signed recovery
)

// Self implements NodeService. It needs no person: it tells of the mesh.
func (s nodeService) Self(context.Context, *connect.Request[concordatv1.SelfRequest]) (*connect.Response[concordatv1.SelfResponse], error) {
	out, err := Describe(s.State)
	if err != nil {
		return nil, err
	}
	out.Node, out.Address, out.Phase, out.Demanded = s.Replica.ID(), s.Address, PhaseServing, nil
	if s.Replica.Removed() {
		out.Phase, out.Detail = PhaseRemoved, raft.ErrRemoved.Error()
	} else if _, err := s.ledger(); err != nil {
		out.Phase = PhaseJoining
	}
	return connect.NewResponse(out), nil
}

// Describe tells what a machine holds.
func Describe(m *state.Machine) (*concordatv1.SelfResponse, error) {
	tree, members := m.Tree(), m.Membership()
	root, err := tree.Root(tree.Size())
	if err != nil {
		return nil, err
	}
	out := &concordatv1.SelfResponse{
		Ledger: m.Basis().Ledger, Size: uint64(tree.Size()), Root: root.String(), Number: uint32(members.Number), //nolint:gosec // not negative
		Demanded: members.Demanded,
	}
	for _, c := range members.Changes {
		if said := c.Said(); said.Action == membership.Recover {
			out.Recoveries = append(out.Recoveries, &concordatv1.Recovery{
				Size: uint64(said.From.Size), Root: said.From.Root, Index: c.Index, At: instant(c.At), Number: uint32(said.Number), //nolint:gosec // not negative
			})
		}
	}
	return out, nil
}

// Membership implements NodeService.
func (s nodeService) Membership(ctx context.Context, _ *connect.Request[concordatv1.MembershipRequest]) (*connect.Response[concordatv1.MembershipResponse], error) {
	if _, err := s.gate.admitAny(ctx, opMembership); err != nil {
		return nil, err
	}
	return s.membership(ctx)
}

func (s nodeService) membership(ctx context.Context) (*connect.Response[concordatv1.MembershipResponse], error) {
	m := s.State.Membership()
	out := &concordatv1.MembershipResponse{
		Number: uint32(m.Number), Settled: m.Settled, Ledger: s.State.Basis().Ledger, Nodes: s.listNodes(ctx), //nolint:gosec // not negative
	}
	for _, c := range m.Changes {
		out.Changes = append(out.Changes, &concordatv1.NodeChange{Statement: c.Statement, Envelopes: c.Envelopes, Index: c.Index, At: instant(c.At)})
	}
	for _, c := range m.Proposed {
		out.Proposed = append(out.Proposed, &concordatv1.NodeChange{
			Statement: c.Statement, Envelopes: c.Envelopes, Missing: s.State.MissingFor(c), At: instant(c.At),
		})
	}
	return connect.NewResponse(out), nil
}

func (a *API) listNodes(ctx context.Context) []*concordatv1.Node {
	var out []*concordatv1.Node
	for _, n := range a.Replica.Nodes(ctx) {
		out = append(out, &concordatv1.Node{Id: n.ID, Address: n.Address, Voter: n.Voter, Reachable: n.Reachable})
	}
	return out
}

// ChangeNodes implements NodeService. The statement carries its own signatures, which the state judges.
func (s nodeService) ChangeNodes(ctx context.Context, req *connect.Request[concordatv1.ChangeNodesRequest]) (*connect.Response[concordatv1.MembershipResponse], error) {
	who, err := s.gate.admitAny(ctx, opChangeNodes)
	if err != nil {
		return nil, err
	}
	_, _, err = state.Submit(ctx, s.Replica, s.Now(), state.ChangeNodes{Statement: req.Msg.GetStatement()})
	if fault.KindOf(err) == fault.Forbidden {
		s.denied(ctx, who, opChangeNodes, "", err)
	}
	if err != nil {
		return nil, err
	}
	if err := s.Replica.Sync(ctx); err != nil {
		return nil, fault.New("change_nodes", fault.Unavailable, err)
	}
	return s.membership(ctx)
}

// backupChunk is how much of a backup travels in one message, in bytes.
const backupChunk = 1 << 20

// Backup implements NodeService: the state as of now, sealed under the coordinators' secret.
func (s nodeService) Backup(ctx context.Context, _ *connect.Request[concordatv1.BackupRequest], out *connect.ServerStream[concordatv1.BackupChunk]) error {
	const op = "backup"
	if _, err := s.gate.admitAny(ctx, opBackup); err != nil {
		return err
	}
	write, header, err := s.backup()
	if err != nil {
		return fault.New(op, fault.Unavailable, err)
	}
	line, err := header.Marshal()
	if err != nil {
		return err
	}
	if err := out.Send(&concordatv1.BackupChunk{Header: line}); err != nil {
		return err
	}
	sealed, err := s.Root.Key(seal.Backup).Writer(chunks{out})
	if err != nil {
		return err
	}
	if err := write(sealed); err != nil {
		return err
	}
	return sealed.Close()
}

// chunks sends what is written.
type chunks struct {
	out *connect.ServerStream[concordatv1.BackupChunk]
}

// Write implements io.Writer.
func (c chunks) Write(b []byte) (n int, err error) {
	for n < len(b) {
		part := b[n:min(len(b), n+backupChunk)]
		if err := c.out.Send(&concordatv1.BackupChunk{Data: part}); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// backup captures the state, and says of which log.
func (a *API) backup() (func(io.Writer) error, backup.Header, error) {
	keys, err := a.ledger()
	if err != nil {
		return nil, backup.Header{}, err
	}
	for {
		tree := a.State.Tree()
		write, err := a.State.Snapshot()
		if err != nil {
			return nil, backup.Header{}, err
		}
		if a.State.Tree().Size() != tree.Size() {
			continue // something was added between
		}
		header, err := a.backupHeader(keys, tree)
		return write, header, err
	}
}

func (a *API) backupHeader(keys *ledgerKeys, tree *log.Tree) (backup.Header, error) {
	note, err := keys.log.Checkpoint(tree, tree.Size())
	if err != nil {
		return backup.Header{}, err
	}
	root, err := tree.Root(tree.Size())
	return backup.Header{
		Ledger: keys.ledger, Checkpoint: string(note), Size: tree.Size(), Root: root.String(), Number: a.State.Membership().Number,
		Time: a.State.Basis().Time.Format(time.RFC3339),
	}, err
}

// Recover implements NodeService: a coordinator that serves takes none.
func (nodeService) Recover(context.Context, *connect.ClientStream[concordatv1.RecoverChunk]) (*connect.Response[concordatv1.RecoverResponse], error) {
	return nil, fault.Newf("recover", fault.Conflict, "this coordinator does not wait for a recovery: start it with `recover: true` in its configuration")
}

// anonymous says that a call needs no person, also while there is no ledger: it tells of the mesh alone, or carries its own signatures.
func anonymous(r *http.Request) bool {
	switch r.URL.Path {
	case concordatv1connect.AdminServiceStatusProcedure, concordatv1connect.SessionServiceGetProcedure,
		concordatv1connect.HandoverServiceSuccessorProcedure,
		concordatv1connect.NodeServiceSelfProcedure, concordatv1connect.NodeServiceRecoverProcedure:
		return true
	default:
		return false
	}
}
