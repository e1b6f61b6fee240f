// Package tlog holds tests alone: unmodified tools of others read the ledger's log and cosign it. It is a module of its own, so that
// nothing which runs in production depends on them.
//
// Invariant: what these tests call is the tools' published code; only litewitness's list of logs is written for it.
//
// Sees: nothing real
package tlog
