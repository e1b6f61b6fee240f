package server

import (
	"context"

	"concordat.dev/coordinator/state"
)

// State is the replicated state, for tests that look at what calls changed.
func (s *Server) State() *state.Machine { return s.state }

// Sync returns when the state holds all that was acknowledged.
func (s *Server) Sync(ctx context.Context) error { return s.node.Sync(ctx) }
