package document

import (
	"strings"
	"testing"
)

const namespaced = `apiVersion: concordat.dev/v1
kind: Manifest
collaboration: c
version: 1
purpose: p
expires: 2030-01-01
participants: [{id: shop, name: Shop}]
namespaces:
  person: %s
datasets: [{id: shop.orders, owner: shop, policy: p.yaml}]
`

const ordered = `apiVersion: concordat.dev/v1
kind: Policy
dataset: shop.orders
owner: shop
unit: %s
columns:
  mail: {type: varchar, role: identifier}
  mobile: {type: varchar, role: hidden}
  age: {type: integer, role: dimension}
aggregates: [count]
release: {mechanism: differential_privacy, min_units: 10}
budget: {rho: 1, delta: 1e-6, period: 1d, lifetime_rho: 2}
`

func problemsOf(t *testing.T, namespace, unit string) (problems, warnings string) {
	t.Helper()
	m, src, err := ParseManifest("manifest.yaml", []byte(strings.Replace(namespaced, "%s", namespace, 1)))
	if err != nil {
		t.Fatal(err)
	}
	p, psrc, err := ParsePolicy("p.yaml", []byte(strings.Replace(ordered, "%s", unit, 1)))
	if err != nil {
		t.Fatal(err)
	}
	b := &Bundle{Manifest: m, Policies: map[string]*Policy{"shop.orders": p.WithDefaults()}, manifest: src, policies: map[string]Source{"shop.orders": psrc}}
	text := func(all []Problem) string {
		var lines []string
		for _, p := range all {
			lines = append(lines, p.String())
		}
		return strings.Join(lines, "\n")
	}
	return text(b.Validate(Draft)), text(b.Warnings())
}

func TestNamespaceRules(t *testing.T) {
	const plain = "{column: mail, namespace: person}"
	for _, c := range []struct{ namespace, unit, problem string }{
		{"{normalize: email, version: 1, options: [plus_tags, gmail_dots]}", plain, ""},
		{"{normalize: email, then: {name: phone, normalize: phone_e164, region: DE}}", "{column: mail, namespace: person, then: mobile}", ""},
		{"{normalize: email, then: {name: phone, normalize: phone_e164}}", "{column: mail, namespace: person, identifier: phone}", ""},
		{"{normalize: email, prehashed: sha256_hex_or_plain, options: [googlemail]}", plain, ""},
		{"{normalize: email, version: 2}", plain, "version 2 of the rules is not known"},
		{"{normalize: email, options: [dots]}", plain, "write one of: gmail_dots, googlemail, plus_tags, plus_tags_everywhere"},
		{"{normalize: email, options: [plus_tags, plus_tags_everywhere]}", plain, "holds plus_tags"},
		{"{normalize: lower, options: [plus_tags]}", plain, "no effect without normalize: email"},
		{"{normalize: lower, region: DE}", plain, "no effect without normalize: phone_e164"},
		{"{normalize: phone_e164, region: Germany}", plain, "two capital letters"},
		{"{normalize: lower, prehashed: sha256_hex_or_plain}", plain, "can't be told from a plain identifier"},
		{"{normalize: email, prehashed: sha256_hex, options: [plus_tags]}", plain, "no effect on values that come hashed"},
		{"{normalize: email, then: {name: Phone}}", plain, "then.name"},
		{"{normalize: email}", "{column: mail, namespace: person, then: mobile}", "there is no identifier after that"},
		{"{normalize: email}", "{column: mail, namespace: person, identifier: phone}", `"phone" is not known`},
		{"{normalize: email, then: {name: phone}}", "{column: mail, namespace: person, then: age}", "make it hidden"},
		{"{normalize: email, then: {name: phone}}", "{column: mail, namespace: person, then: mail}", "not another column"},
		{"{normalize: email, then: {name: phone}}", "{column: mail, namespace: person, identifier: phone, then: mobile}", "there is no identifier after that"},
	} {
		got, _ := problemsOf(t, c.namespace, c.unit)
		if c.problem == "" && got != "" || !strings.Contains(got, c.problem) {
			t.Errorf("%s %s: %q, want %q", c.namespace, c.unit, got, c.problem)
		}
	}
	if _, got := problemsOf(t, "{normalize: email, options: [plus_tags_everywhere], then: {name: phone}}", plain); !strings.Contains(got, "makes one person of two") || !strings.Contains(got, "is two units") {
		t.Errorf("warnings: %s", got)
	}
}

func TestNamespaceDefaultsAreSigned(t *testing.T) {
	m := &Manifest{Namespaces: map[string]Namespace{"person": {Options: []string{PlusTags, GmailDots}, Then: &Further{Name: "phone"}}}}
	n := m.WithDefaults().Namespaces["person"]
	if n.Normalize != "none" || n.Options[0] != GmailDots || n.Then.Normalize != "none" {
		t.Errorf("%+v %+v", n, n.Then)
	}
	if e := m.Namespaces["person"].Explicit(); e.Version != 1 || e.Then.Version != 1 {
		t.Errorf("%+v %+v", e, e.Then)
	}
	if m.Namespaces["person"].Then.Normalize != "" || m.Namespaces["person"].Options[0] != PlusTags {
		t.Error("the draft was changed")
	}
}
