package harness

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"concordat.dev/protocol/answer"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/receipt"
	"concordat.dev/ui/client"
)

// Budget is an account of the ledger as the API lists it.
type Budget struct {
	Owner        string   `json:"owner"`
	Namespace    string   `json:"namespace"`
	SpentRho     float64  `json:"spent_rho"`
	RemainingRho *float64 `json:"remaining_rho"`
}

// Recorded is a query as the API lists it.
type Recorded struct {
	Query  string         `json:"query"`
	Status string         `json:"status"`
	SQL    string         `json:"sql"`
	Rho    float64        `json:"rho"`
	Price  []answer.Price `json:"price"`
}

// Entry is a leaf of the log as the API lists it. Salt and body are there for the kinds that have no receipt.
type Entry struct {
	Index int64  `json:"index"`
	Kind  string `json:"kind"`
	Leaf  []byte `json:"leaf"`
	Salt  []byte `json:"salt"`
	Body  []byte `json:"body"`
}

// Budgets are the accounts of the room's owners.
func (r *Room) Budgets() []Budget {
	r.tb.Helper()
	return decode[Budget](r.tb, r.rawBudgets())
}

func (r *Room) rawBudgets() []byte {
	r.tb.Helper()
	return fetched(r.tb, r.As(Auditor), &concordatv1.BudgetRequest{Collaboration: r.ID()}, client.Services.Budget).GetBudgets()
}

// History are the queries that a person may see, newest first.
func (r *Room) History(person string) []Recorded {
	r.tb.Helper()
	raw := fetched(r.tb, r.As(person), &concordatv1.HistoryRequest{Collaboration: r.ID(), Limit: 10_000}, client.Services.History).GetEntries()
	return decode[Recorded](r.tb, raw)
}

// Entries are the leaves of the room in the log, from an index on.
func (r *Room) Entries(start int64) []Entry {
	r.tb.Helper()
	request := &concordatv1.EntriesRequest{Collaboration: r.ID(), Start: uint64(start), Limit: 10_000} //nolint:gosec // G115: an index
	return decode[Entry](r.tb, fetched(r.tb, r.As(Auditor), request, client.Services.Entries).GetEntries())
}

// Checkpoint is the log as it is now, signed, after checking that it began as before.
func (r *Room) Checkpoint(before client.Checkpoint) client.Checkpoint {
	r.tb.Helper()
	c := r.As(Auditor)
	ledger, log, err := c.LogKey(r.tb.Context())
	if err != nil {
		r.tb.Fatal(err)
	}
	now, err := c.Checkpoint(r.tb.Context(), ledger, log, before)
	if err != nil {
		r.tb.Fatal(err)
	}
	return now
}

// Verified checks a receipt offline, and that the log of now holds its leaf: the leaf is in the log of the receipt's checkpoint, of which
// that of now is a continuation.
func (r *Room) Verified(raw []byte) receipt.Receipt {
	r.tb.Helper()
	got, err := receipt.Parse(raw)
	if err != nil {
		r.tb.Fatal(err)
	}
	report := receipt.Verify(got, receipt.Options{Manifest: r.Documents.Digest})
	for _, c := range report.Checks {
		if c.Status == receipt.Failed {
			r.tb.Fatalf("receipt %s: %s: %s", report.Release.Query, c.Name, c.Detail)
		}
	}
	c := r.As(Auditor)
	ledger, log, err := c.LogKey(r.tb.Context())
	if err != nil {
		r.tb.Fatal(err)
	}
	then, err := client.OpenCheckpoint(got.Checkpoint, ledger, log)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.Checkpoint(then)
	return got
}

// State is all that people of the room can see of it: documents, datasets, budgets, queries and the log. Two equal States say that
// nothing changed in between.
type State struct {
	Manifest, Datasets, Budgets, Queries, Log string
}

// uploadRejected is the kind of leaf that tells that an upload came to nothing and its key was destroyed.
const uploadRejected = "reject_upload"

// State reads the state as the auditor and, for what auditors do not see, as the participants. Where a call is refused, since no manifest
// is in force, the refusal is the state.
func (r *Room) State() State {
	r.tb.Helper()
	c, id := r.As(Auditor), r.ID()
	s := State{
		Manifest: told(r.tb, c, &concordatv1.GetManifestRequest{Collaboration: id}, client.Services.GetManifest),
		Datasets: told(r.tb, c, &concordatv1.ListDatasetsRequest{Collaboration: id}, client.Services.ListDatasets),
		Budgets:  told(r.tb, c, &concordatv1.BudgetRequest{Collaboration: id}, client.Services.Budget),
	}
	for _, p := range r.Documents.Manifest.Participants {
		s.Queries += told(r.tb, r.As(p.ID), &concordatv1.HistoryRequest{Collaboration: id, Limit: 10_000}, client.Services.History)
	}
	entries, err := client.Unary(r.tb.Context(), c, &concordatv1.EntriesRequest{Collaboration: id, Limit: 10_000}, client.Services.Entries)
	if err != nil {
		s.Log = err.Error()
	} else {
		s.Log = leaves(decode[Entry](r.tb, entries.GetEntries()))
	}
	return s
}

// leaves are the kinds and leaves of entries, without those that tell of what was refused.
func leaves(entries []Entry) string {
	var b strings.Builder
	for _, e := range entries {
		if e.Kind != uploadRejected {
			fmt.Fprintf(&b, "%s %x\n", e.Kind, e.Leaf)
		}
	}
	return b.String()
}

// Changed names what differs between two states.
func (s State) Changed(now State) []string {
	var out []string
	for name, pair := range map[string][2]string{
		"manifest": {s.Manifest, now.Manifest}, "datasets": {s.Datasets, now.Datasets}, "budgets": {s.Budgets, now.Budgets},
		"queries": {s.Queries, now.Queries}, "log": {s.Log, now.Log},
	} {
		if pair[0] != pair[1] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Accepted reads an ingest report.
func Accepted(tb testing.TB, report []byte) bool {
	tb.Helper()
	var said struct {
		Accepted bool `json:"accepted"`
	}
	if err := json.Unmarshal(report, &said); err != nil {
		tb.Fatalf("ingest report: %v: %s", err, report)
	}
	return said.Accepted
}

func decode[T any](tb testing.TB, raw []byte) []T {
	tb.Helper()
	var list []T
	if err := json.Unmarshal(raw, &list); err != nil {
		tb.Fatalf("%v: %.200s", err, raw)
	}
	return list
}
