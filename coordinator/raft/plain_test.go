//go:build !race

package raft_test

import "time"

// election is the silence after which nodes of tests stand for election.
const election = 300 * time.Millisecond
