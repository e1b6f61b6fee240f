// Package helm holds what is deployed against the tools that read it: the chart is linted and rendered by Helm's own code and decoded strictly into
// Kubernetes' own types, and the enclaves' manifests are rendered and read as TOML. It is outside the workspace: nothing of it is linked into a program.
//
// Sees: nothing
package helm
