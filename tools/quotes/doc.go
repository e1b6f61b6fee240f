// Package quotes compares our verifier of SGX quotes with that of oasis-core, which is maintained and pure Go, on genuine vectors, on
// thousands of changed ones and on platforms of our own. It has tests only.
//
// It is a module of its own, outside go.work: oasis-core brings badger, viper, prometheus and a part of cometbft, none of which belongs into a
// program that people trust to verify receipts. Where the two differ stands in docs/adr/0018-evidence.md and in the tests.
//
// Sees: nothing real
package quotes
