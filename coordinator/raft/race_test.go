//go:build race

package raft_test

import "time"

// election is longer where the race detector makes everything slower: a leader that is only slow is not to be replaced all the time.
const election = 1500 * time.Millisecond
