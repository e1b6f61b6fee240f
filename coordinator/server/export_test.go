package server

import (
	"context"
	"time"

	"concordat.dev/coordinator/state"
)

// StartAt is Start by another clock than the host's.
var StartAt = startAt

// Reached is where workers reach the node of a configuration.
var Reached = Config.workers

// State is the replicated state, for tests that look at what calls changed.
func (s *Server) State() *state.Machine { return s.state }

// Compacted tells up to which destruction of keys this node has let go of older states.
func (s *Server) Compacted() uint64 { return s.api.Compacted() }

// Failed tells what ended this coordinator.
func (s *Server) Failed() <-chan error { return s.failed }

// Sync returns when the state holds all that was acknowledged.
func (s *Server) Sync(ctx context.Context) error { return s.node.Sync(ctx) }

// Time is when this coordinator would propose a command now.
func (s *Server) Time() time.Time { return s.node.Time(s.now()) }
