package document

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Mode says how much of a manifest must be there.
type Mode int

// Draft is a manifest in the making or in the sandbox: keys, people and the mesh may be missing. Signed, what is going to be signed, demands all.
const (
	Draft Mode = iota
	Signed
)

// Problem is one thing that is wrong with a document: what, where, and what to do.
type Problem struct {
	File string // as loaded
	Position
	Path    string // the field, for instance "columns.age.bounds"
	Message string
	Fix     string
}

// String is FILE:LINE:COL: path: message; fix.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Fix != "" {
		b.WriteString("; " + p.Fix)
	}
	return b.String()
}

// Limits on the size of a collaboration.
const (
	maxParticipants = 100
	maxWitnesses    = 16
	maxPeople       = 10_000
	maxKeys         = 16
	maxDatasets     = 200
	maxColumns      = 500
	maxText         = 2000
	maxSubject      = 255 // of OpenID Connect
)

var (
	idForm      = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*$`)
	datasetForm = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$`)
	personForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9._+@-]*$`)
	columnForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_. -]*$`)
	ledgerForm  = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// checker gathers the problems of one document.
type checker struct {
	source   Source
	problems *[]Problem
}

func (c checker) add(path, message, fix string) {
	*c.problems = append(*c.problems, Problem{File: c.source.File, Position: c.source.Find(path), Path: path, Message: message, Fix: fix})
}

// require adds the problem unless ok, and returns ok.
func (c checker) require(ok bool, path, message, fix string) bool {
	if !ok {
		c.add(path, message, fix)
	}
	return ok
}

func (c checker) id(path, id string, form *regexp.Regexp, hint string) bool {
	return c.require(len(id) <= 64 && form.MatchString(id), path, fmt.Sprintf("%.80q is not an id", id), "use at most 64 characters: "+hint)
}

func (c checker) oneOf(path, have string, allowed ...string) bool {
	return c.require(slices.Contains(allowed, have), path, fmt.Sprintf("%.60q is not known", have), "write one of: "+strings.Join(allowed, ", "))
}

// unique adds a problem for each value that stands in the list before.
func (c checker) unique(path string, values []string) {
	seen := map[string]bool{}
	for i, v := range values {
		if seen[v] {
			c.add(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("%.100q is there twice", v), "remove one")
		}
		seen[v] = true
	}
}

// Validate lists everything that is wrong with the bundle, manifest first, then the policies in the manifest's order. An empty list
// means that the bundle may be signed (Signed) or tried (Draft).
func (b *Bundle) Validate(mode Mode) []Problem {
	var problems []Problem
	b.checkManifest(checker{source: b.manifest, problems: &problems}, mode)
	for _, d := range b.Manifest.Datasets {
		p, ok := b.Policies[d.ID]
		if !ok {
			continue // reported with the manifest
		}
		c := checker{source: b.policies[d.ID], problems: &problems}
		c.require(p.Dataset == d.ID, "dataset", fmt.Sprintf("%.80q, but the manifest uses this policy for %q", p.Dataset, d.ID), "make them equal")
		c.require(p.Owner == d.Owner, "owner", fmt.Sprintf("%.80q, but the manifest says that %q owns %s", p.Owner, d.Owner, d.ID), "make them equal")
		if !p.Unit.None {
			namespace, known := b.Manifest.Namespaces[p.Unit.Namespace]
			c.require(known, "unit.namespace", fmt.Sprintf("namespace %.80q is not in the manifest", p.Unit.Namespace),
				"add it under namespaces, or use one of: "+strings.Join(slices.Sorted(maps.Keys(b.Manifest.Namespaces)), ", "))
			if known {
				checkUnitIdentifiers(c, p, namespace)
			}
		}
		checkPolicy(c, p)
	}
	return problems
}

// Warnings lists what is allowed and yet has to be known by whoever signs.
func (b *Bundle) Warnings() []Problem {
	var problems []Problem
	c := checker{source: b.manifest, problems: &problems}
	if w := b.Manifest.Witnesses; w == nil || w.Quorum == 0 {
		c.add("witnesses.quorum", "ledger not rollback-protected: no witness has to cosign", "name witnesses and a quorum")
	}
	if m := b.Manifest.Mesh; m != nil && m.Mode == "simulation" {
		c.add("mesh.mode", "simulation protects nothing from the operators of the machines", "use sgx for data that needs protection")
	}
	for _, id := range slices.Sorted(maps.Keys(b.Manifest.Namespaces)) {
		warnNamespace(c, join("namespaces", id), b.Manifest.Namespaces[id])
	}
	for _, d := range b.Manifest.Datasets {
		p := b.Policies[d.ID]
		if p == nil {
			continue
		}
		c := checker{source: b.policies[d.ID], problems: &problems}
		if p.Unit.None {
			c.add("unit", "public data: nobody in it is protected", "")
		}
		if p.Release != nil && p.Release.Mechanism == Threshold {
			c.add("release.mechanism", "threshold is not a formal guarantee: it relies on analysts who do not collude", "use differential_privacy where you do not trust them")
		}
	}
	return problems
}
