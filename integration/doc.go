// Package integration proves Concordat from outside: journeys, faults and bad input against a real mesh of the built binaries, the
// statistics of the study, and the architecture of the repository.
//
// Invariant: a test here uses what people use, the command and the API, and asserts on what they would see.
//
// Sees: plaintext rows of fixtures
package integration
