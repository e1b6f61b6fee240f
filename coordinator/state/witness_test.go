package state_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"concordat.dev/coordinator/log"
	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/protocol/witness"
)

// begun is when every script begins.
var begun = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func (s *script) witness(name string, at time.Time) witness.Signer {
	w, err := witness.NewSigner(name+".example", private(name), func() time.Time { return at })
	must(s.t, err)
	return w
}

// witnesses is the section of a manifest that demands a quorum of those named.
func (s *script) witnesses(d *datadriven.TestData) string {
	named := text(d, "witnesses")
	if named == "" {
		return ""
	}
	var keys []string
	for _, n := range strings.Split(named, "+") {
		keys = append(keys, fmt.Sprintf("%q", s.witness(n, begun)))
	}
	return fmt.Sprintf("witnesses: {keys: [%s], quorum: %d},", strings.Join(keys, ", "), number(d, "quorum", 1))
}

// cosign brings a checkpoint of size (all that there is) that those named cosigned; at is how long after the begin, a word for each.
func (s *script) cosign(d *datadriven.TestData) string {
	tree := s.m.Tree()
	size := int64(number(d, "size", int(tree.Size())))
	root, err := tree.Root(min(size, tree.Size()))
	must(s.t, err)
	if d.HasArg("fork") {
		root = tlog.Hash{1}
	}
	signer, err := log.NewSigner(ledger, private("log"))
	must(s.t, err)
	by := []note.Signer{signer}
	times := strings.Split(text(d, "at"), "+")
	for i, n := range strings.Split(text(d, "by"), "+") {
		after, err := time.ParseDuration(times[min(i, len(times)-1)])
		must(s.t, err)
		by = append(by, s.witness(n, begun.Add(after)))
	}
	signed, err := note.Sign(&note.Note{Text: checkpoint.Text(ledger, size, root)}, by...)
	must(s.t, err)
	if d.HasArg("forge") {
		signed[len(signed)-20] ^= 1
	}
	return s.apply("cosign", state.Cosign{Size: size, Checkpoint: string(signed)})
}

func (s *script) demand(version int) string {
	d, ok := s.m.Demand("room", version)
	if !ok {
		return fmt.Sprintf("none; unprotected %v\n", s.m.Unprotected())
	}
	head, size, _ := s.m.Head()
	return fmt.Sprintf("%d of %d; %d cosigned the %d first entries, median %s; public: %d lines, size %d\n", d.Quorum, len(d.Keys),
		max(0, strings.Count(d.Checkpoint, "\n— ")-1), d.Size, d.At.Format(time.DateTime), strings.Count(head, "\n— "), size)
}
