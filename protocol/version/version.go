// Package version is the version of the protocol and of all programs of one build, as one constant: two builds of the same source are the same
// bytes, and so are their measurements.
//
// Invariant: it is a semantic version. A program reads what programs of the same major version wrote, and of the same minor version while the major one
// is 0 (docs/COMPATIBILITY.md); golden files in testdata hold that.
//
// Sees: metadata
package version

// Number is the semantic version of this source.
const Number = "0.1.0"
