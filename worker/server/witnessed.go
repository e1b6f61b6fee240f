package server

import (
	"errors"

	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/worker/admit"
	"concordat.dev/worker/follow"
)

// errWitnessed is all that a coordinator hears when the witnessed log does not show what it has to.
var errWitnessed = errors.New("this worker executes nothing that witnesses have not seen")

// elsewhere is the size of the ledger's log that this worker saw, when the request proves consistency from another one; 0 when the
// request is as it should be, or no witness is demanded.
func (s *Server) elsewhere(documents *admit.Documents, l *concordatv1.Logged) uint64 {
	if documents.Quorum() == 0 || l == nil {
		return 0
	}
	seen, err := s.ledgers.Seen(documents.Bundle.Manifest.Mesh.Ledger)
	if err != nil || uint64(seen) == l.GetSeen() { //nolint:gosec // never negative
		return 0
	}
	return uint64(seen) //nolint:gosec // never negative
}

// witnessed holds the request against what the manifest demands of witnesses. Seen is not 0 when another request moved this worker on
// meanwhile. The refusal is always the same; why, the log inside says.
func (s *Server) witnessed(documents *admit.Documents, g admit.Granted, r *concordatv1.ExecuteRequest) (seen uint64, err error) {
	if documents.Quorum() == 0 {
		return 0, nil
	}
	l := r.GetLogged()
	head, err := s.mesh.Logged(l, documents, g)
	if err == nil {
		err = s.ledgers.Extend(g.Ledger, head, int64(l.GetSeen()), l.GetConsistency()) //nolint:gosec // compared, never calculated with
	}
	if errors.Is(err, follow.ErrMoved) {
		if seen := s.elsewhere(documents, l); seen > 0 {
			return seen, nil
		}
	}
	if err != nil {
		s.log.Error().Str(fieldIncident, r.GetIncident()).Str(fieldQuery, g.Query).Err(err).Msg("the ledger does not show what it has to")
		return 0, connectError(fault.New("execute", fault.Unavailable, errWitnessed))
	}
	return 0, nil
}
