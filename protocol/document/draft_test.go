package document_test

import (
	"strings"
	"testing"

	"concordat.dev/protocol/document"
)

const draftPolicy = `apiVersion: concordat.dev/v1
kind: Policy
dataset: shop.orders
owner: shop
unit: {column: id, namespace: customer}
columns:
  id: {type: varchar, role: identifier}
  price: {type: integer, role: measure, bounds: [0, 100]}
aggregates: [count, sum]
release: {mechanism: differential_privacy, min_units: 20}
budget: {rho: 0.5, delta: 1e-6, period: 30d, lifetime_rho: 3}
`

func TestDraftAlone(t *testing.T) {
	b, problems := document.Drafts{Policies: [][]byte{[]byte(draftPolicy)}}.Open(nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if problems := b.Validate(document.Draft); len(problems) > 0 {
		t.Fatal(problems)
	}
	if _, err := b.Signable(); err != nil {
		t.Fatal(err)
	}
}

func TestDraftOverWhatIsInForce(t *testing.T) {
	inForce, problems := document.Drafts{Policies: [][]byte{[]byte(draftPolicy)}}.Open(nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	stricter := strings.ReplaceAll(strings.ReplaceAll(draftPolicy, "min_units: 20", "min_units: 50"), "shop.orders", "shop.returns")
	b, problems := document.Drafts{Policies: [][]byte{[]byte(stricter)}}.Open(inForce)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := b.Policies["shop.returns"].Release.MinUnits; got != 50 {
		t.Errorf("min_units of the draft %d", got)
	}
	if b.Policies["shop.orders"] == nil || b.Manifest.Version != inForce.Manifest.Version+1 || len(inForce.Manifest.Datasets) != 1 {
		t.Errorf("the policy in force must stay, the version go up, and what is in force not change: %+v", b.Manifest)
	}
}

func TestDraftProblemsNamePlaces(t *testing.T) {
	bad := strings.Replace(draftPolicy, "role: measure", "rolle: measure", 1)
	b, problems := document.Drafts{Policies: [][]byte{[]byte(bad)}}.Open(nil)
	if b != nil || len(problems) != 1 || problems[0].Line != 8 {
		t.Fatalf("%v %v", b, problems)
	}
	_, problems = document.Drafts{Policies: [][]byte{[]byte(draftPolicy), []byte(draftPolicy)}}.Open(nil)
	if len(problems) != 1 || problems[0].File != "shop.orders" {
		t.Fatalf("a policy twice: %v", problems)
	}
	_, problems = document.Drafts{Manifest: []byte("kind: [")}.Open(nil)
	if len(problems) != 1 || problems[0].File != "manifest" {
		t.Fatalf("no YAML: %v", problems)
	}
}
