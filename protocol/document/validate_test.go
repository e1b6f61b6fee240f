package document_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"concordat.dev/protocol/document"
)

const manifestText = `apiVersion: concordat.dev/v1
kind: Manifest
collaboration: nafld-outcomes
version: 1
purpose: Burden of fatty liver disease
expires: 2028-12-31
participants:
  - {id: clinic, name: Community clinic, keys: ["ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w="], threshold: 1, signers: [dana@clinic.example]}
  - {id: lab, name: Laboratory, keys: ["ed25519:gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q="], oidc: {issuer: "https://id.lab.example/x", client_id: c}}
people:
  - {id: dana@clinic.example, participant: clinic, roles: [steward, analyst], keys: ["ed25519:7UkoxijRwsbq6QM4kFmVYSlZJzqcYY/NsFgGKyJH9FI="]}
namespaces:
  patient: {normalize: trim}
  person: {prehashed: sha256_hex}
datasets:
  - {id: clinic.patients, owner: clinic, policy: policies/p.yaml}
  - {id: lab.tests, owner: lab, policy: policies/t.yaml}
  - {id: lab.codes, owner: lab, policy: policies/c.yaml}
release: {time_grid: 500ms}
witnesses: {keys: ["clinic.example/witness+74703649+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"], quorum: 1}
receivers: {default: "runner, lab"}
amendments: {tightening: owner}
review: plan
mesh: {mode: sgx, marblerun_manifest: "sha256:0000000000000000000000000000000000000000000000000000000000000000", root_certificate: "sha256:1111111111111111111111111111111111111111111111111111111111111111", coordinator: "sha256:2222222222222222222222222222222222222222222222222222222222222222", ledger: "00112233445566778899aabbccddeeff", voters: [n1, n2]}
`

const policyText = `apiVersion: concordat.dev/v1
kind: Policy
dataset: clinic.patients
owner: clinic
unit: {column: id, namespace: patient, unique: true}
columns:
  id:      {type: varchar, role: identifier}
  age:     {type: integer, role: measure, bounds: [18, 100], grain: 5}
  male:    {type: integer, role: dimension, domain: [0, 1, null]}
  bmi:     {type: double, role: measure, bounds: [10, 80], scale: 0.1}
  seen_on: {type: date, role: time, grain: month}
  zip:     {type: varchar, role: dimension, prefix: 3}
  born:    {type: date, role: dimension, domain: ['2000-01-01']}
  flag:    {type: boolean, role: dimension, domain: [true]}
  week:    {type: bigint, role: dimension, domain: {from: 1, to: 53}}
  case_id: {type: varchar, role: hidden}
joins: allowed
aggregates: [count, count_distinct, sum, avg, quantile, stddev]
release:
  mechanism: differential_privacy
  min_units: 10
  groups_per_unit: 3
  rows_per_group: 5
budget: {rho: 0.5, delta: 1e-6, period: 30d, lifetime_rho: 3, per_person_share: 0.25}
expires: 2028-06-30
`

const thresholdText = `apiVersion: concordat.dev/v1
kind: Policy
dataset: lab.tests
owner: lab
unit: {column: id, namespace: patient}
columns:
  id:    {type: varchar, role: identifier}
  value: {type: double, role: measure, bounds: [0, 500]}
aggregates: [count, quantile]
release: {mechanism: threshold, min_units: 50}
`

const publicText = `apiVersion: concordat.dev/v1
kind: Policy
dataset: lab.codes
owner: lab
unit: none
columns:
  code:   {type: varchar, role: dimension}
  weight: {type: double, role: dimension}
`

func files(manifest, policy, threshold, public string) fstest.MapFS {
	return fstest.MapFS{
		"manifest.yaml": {Data: []byte(manifest)}, "policies/p.yaml": {Data: []byte(policy)},
		"policies/t.yaml": {Data: []byte(threshold)}, "policies/c.yaml": {Data: []byte(public)},
	}
}

func TestValidBundle(t *testing.T) {
	b, err := document.LoadFS(files(manifestText, policyText, thresholdText, publicText))
	if err != nil {
		t.Fatal(err)
	}
	if p := b.Validate(document.Signed); len(p) > 0 {
		t.Fatal(p)
	}
	if r := b.Policies["lab.tests"]; r.Budget.Queries != 200 || r.Budget.Period != "1d" || r.Release.RhoPerAggregate != 0 || r.Release.GroupsPerUnit != 1 {
		t.Errorf("threshold defaults: %+v %+v", r.Release, r.Budget)
	}
	if r := b.Policies["clinic.patients"]; r.Release.RhoPerAggregate != 0.005 || r.Release.MaxGroups != 1000 || r.MaxRows != 1000 || r.Joins != "allowed" {
		t.Errorf("defaults: %+v", r)
	}
	var warned []string
	for _, w := range b.Warnings() {
		warned = append(warned, w.Path)
	}
	if got := strings.Join(warned, " "); got != "release.mechanism unit" {
		t.Errorf("warnings at %s", got)
	}
}

// Each change breaks one rule; want is the path and a part of what is said.
var manifestRules = []struct{ from, to, path, want string }{
	{"{tightening: owner}", "{tightening: anybody}", "amendments.tightening", "all, owner"},
	{"{tightening: owner}", "{recovery: some}", "amendments.recovery", "all, others"},
	{"{tightening: owner}", "{recovery: others}", "amendments.recovery", "a third participant"},
	{"review: plan", "review: always", "review", "none, plan"},
	{"concordat.dev/v1", "concordat.dev/v2", "apiVersion", "write concordat.dev/v1"},
	{"kind: Manifest", "kind: Policy", "kind", "write Manifest"},
	{"nafld-outcomes", "Nafld", "collaboration", "not an id"},
	{"nafld-outcomes", strings.Repeat("a", 65), "collaboration", "at most 64"},
	{"nafld-outcomes", "näfld", "collaboration", "not an id"},
	{"version: 1", "version: -1", "version", "count from 1"},
	{"Burden of fatty liver disease", `""`, "purpose", "missing"},
	{"Burden of fatty liver disease", `"a\x07"`, "purpose", "control"},
	{"Burden of fatty liver disease", `"pay \u202etnuoma"`, "purpose", "control"},
	{"Burden of fatty liver disease", `"one\u2028two"`, "purpose", "control"},
	{"2028-12-31", "2028-02-30", "expires", "not a date"},
	{"2028-12-31", "31.12.2028", "expires", "YYYY-MM-DD"},
	{"{id: lab, name: Laboratory", "{id: clinic, name: Laboratory", "participants[1]", "twice"},
	{"{id: lab, name: Laboratory", "{id: Lab, name: Laboratory", "participants[1].id", "not an id"},
	{"threshold: 1", "threshold: 2", "participants[0].threshold", "2 of 1"},
	{`keys: ["ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w="]`, "keys: []", "participants[0].keys", "no key to sign"},
	{"ed25519:gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=", "ed25519:xxx", "participants[1].keys[0]", "malformed key"},
	{"ed25519:gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=", "ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=", "participants[1].keys[0]", "already belongs to participant clinic"},
	{"ed25519:7UkoxijRwsbq6QM4kFmVYSlZJzqcYY/NsFgGKyJH9FI=", "ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=", "people[0].keys[0]", "already belongs to participant clinic"},
	{"ed25519:gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c", "participants[1].keys[0]", "already belongs to participant clinic"}, // in the form of SSH
	{"signers: [dana@clinic.example]", "signers: [eve]", "participants[0].signers[0]", "not a person of clinic"},
	{"https://id.lab.example/x", "http://id.lab.example", "participants[1].oidc.issuer", "URL of an issuer"},
	{"client_id: c", "client_id: ''", "participants[1].oidc.client_id", "missing"},
	{"id: dana@clinic.example, participant", "id: Dana, participant", "people[0].id", "in lower case"},
	{"participant: clinic", "participant: nobody", "people[0].participant", "not a participant"},
	{"roles: [steward, analyst]", "roles: []", "people[0].roles", "no role"},
	{"roles: [steward, analyst]", "roles: [boss]", "people[0].roles[0]", "steward, analyst, auditor"},
	{"roles: [steward, analyst]", "roles: [analyst, analyst]", "people[0].roles[1]", "twice"},
	{`, keys: ["ed25519:7UkoxijRwsbq6QM4kFmVYSlZJzqcYY/NsFgGKyJH9FI="]`, "", "people[0]", "neither sign requests"},
	{"{normalize: trim}", "{normalize: soundex}", "namespaces.patient.normalize", "phone_e164"},
	{"sha256_hex", "md5", "namespaces.person.prehashed", "sha256_hex"},
	{"  person: {", "  Person: {", "namespaces.Person", "not an id"},
	{"{id: clinic.patients, owner: clinic", "{id: clinic.patients, owner: nobody", "datasets[0].owner", "not a participant"},
	{"{id: clinic.patients, owner", "{id: clinic.pat-ients, owner", "datasets[0].id", "as SQL names it"},
	{"{id: clinic.patients, owner", "{id: a.b.c, owner", "datasets[0].id", "two with a dot"},
	{"500ms", "2h", "release.time_grid", "0s to 1m"},
	{"500ms", "-1s", "release.time_grid", "0s to 1m"},
	{"quorum: 1", "quorum: 2", "witnesses.quorum", "2 of 1"},
	{"clinic.example/witness+74703649+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs", "key", "witnesses.keys[0]", "verifier key"},
	{"+74703649+", "+74703640+", "witnesses.keys[0]", "another hash"},
	{"+BOpK", "+AepK", "witnesses.keys[0]", "cosignature/v1"},
	{"runner, lab", "all", "receivers.default", "not a participant"},
	{"mode: sgx", "mode: tee", "mesh.mode", "simulation, sgx"},
	{"sha256:1111", "sha256:z111", "mesh.root_certificate", "not a digest"},
	{"00112233445566778899aabbccddeeff", "0011", "mesh.ledger", "32 hex"},
	{"[n1, n2]", "[n1, n1]", "mesh.voters[1]", "twice"},
	{"[n1, n2]", "['n 1']", "mesh.voters[0]", "not a node key"},
}

var policyRules = []struct{ from, to, path, want string }{
	{"expires: 2028-06-30", "expires: 2028-02-30", "expires", "YYYY-MM-DD"},
	{"per_person_share: 0.25", "per_person_share: 1.5", "budget.per_person_share", "leave it out"},
	{"per_person_share: 0.25", "per_person_share: -1", "budget.per_person_share", "leave it out"},
	{"concordat.dev/v1", "v1", "apiVersion", "write concordat.dev/v1"},
	{"kind: Policy", "kind: Manifest", "kind", "write Policy"},
	{"dataset: clinic.patients", "dataset: clinic.other", "dataset", "make them equal"},
	{"owner: clinic", "owner: lab", "owner", "make them equal"},
	{"{column: id, namespace: patient", "{column: nid, namespace: patient", "unit.column", "not among the columns"},
	{"{column: id, namespace: patient", "{column: id, namespace: people", "unit.namespace", "patient, person"},
	{"{column: id, namespace: patient", "{column: case_id, namespace: patient", "columns.case_id.role", "write identifier"},
	{"case_id: {type: varchar, role: hidden}", "case_id: {type: varchar, role: identifier}", "columns.case_id.role", "one identifier"},
	{"case_id: {type: varchar, role: hidden}", "case_id: {type: text, role: hidden}", "columns.case_id.type", "varchar"},
	{"case_id: {type: varchar, role: hidden}", "case_id: {type: varchar, role: secret}", "columns.case_id.role", "hidden"},
	{"case_id: {type: varchar, role: hidden}", "case_id: {type: varchar, role: hidden, grain: 5}", "columns.case_id.grain", "has no effect"},
	{"case_id: {type: varchar, role: hidden}", "case_id: {type: varchar, role: hidden, bounds: [0, 1]}", "columns.case_id.bounds", "has no effect"},
	{"case_id: {type: varchar, role: hidden}", "case_id: {type: varchar, role: hidden, domain: [a]}", "columns.case_id.domain", "has no effect"},
	{"case_id:", "AGE:", "columns.age", "names match without case"},
	{"case_id:", "'1a':", "columns.1a", "not a column name"},
	{"id:      {type: varchar", "id:      {type: double", "columns.id.type", "identifier column cannot"},
	{"age:     {type: integer", "age:     {type: varchar", "columns.age.type", "measure column cannot"},
	{"male:    {type: integer", "male:    {type: double", "columns.male.type", "dimension column cannot"},
	{"seen_on: {type: date", "seen_on: {type: integer", "columns.seen_on.type", "time column cannot"},
	{"[18, 100]", "[100, 18]", "columns.age.bounds", "not a range"},
	{"[18, 100]", "[18, 18]", "columns.age.bounds", "not a range"},
	{"[18, 100]", "[18, 100.5]", "columns.age.bounds", "not integers"},
	{"[10, 80], scale: 0.1", "[10, 80]", "columns.bmi.scale", "missing"},
	{"scale: 0.1", "scale: -0.1", "columns.bmi.scale", "not positive"},
	{"scale: 0.1", "scale: 1e-30", "columns.bmi.bounds", "2^80"},
	{"grain: 5", "grain: 5, scale: 0.5", "columns.age.scale", "splits integers"},
	{"grain: 5", "grain: -5", "columns.age.grain", "positive number"},
	{"grain: 5", "grain: 2.5", "columns.age.grain", "column's type"},
	{"grain: 5", "grain: month", "columns.age.grain", "role time"},
	{"grain: 5", "grain: '5.0'", "columns.age.grain", "positive number"},
	{"role: time, grain: month", "role: time", "columns.seen_on.grain", "hour, day, week"},
	{"role: time, grain: month", "role: time, grain: second", "columns.seen_on.grain", "hour, day, week"},
	{"role: time, grain: month", "role: time, grain: hour", "columns.seen_on.grain", "no hours"},
	{"[0, 1, null]", "['0']", "columns.male.domain[0]", "not a value of type integer"},
	{"[0, 1, null]", "[0, 0]", "columns.male.domain[1]", "twice"},
	{"[0, 1, null]", "[null, null]", "columns.male.domain[1]", "twice"},
	{"[0, 1, null]", "[]", "columns.male.domain", "0 values"},
	{"[0, 1, null]", "[3000000000]", "columns.male.domain[0]", "not a value of type integer"},
	{"['2000-01-01']", "['2000-1-1']", "columns.born.domain[0]", "not a value of type date"},
	{"[true]", "['true']", "columns.flag.domain[0]", "not a value of type boolean"},
	{"{from: 1, to: 53}", "{from: 53, to: 1}", "columns.week.domain", "not a range"},
	{"{from: 1, to: 53}", "{from: 1, to: 20000}", "columns.week.domain", "more than 10000"},
	{"prefix: 3", "prefix: 3, domain: {from: 0, to: 1}", "columns.zip.domain", "for integer columns"},
	{"prefix: 3", "prefix: -3", "columns.zip.prefix", "1 to 64"},
	{"male:    {type: integer, role: dimension", "male:    {type: integer, role: dimension, prefix: 1", "columns.male.prefix", "only text"},
	{"joins: allowed", "joins: never", "joins", "required, blocked"},
	{"[count, count_distinct, sum, avg, quantile, stddev]", "[]", "aggregates", "nothing may be asked"},
	{"[count, count_distinct, sum, avg, quantile, stddev]", "[median]", "aggregates[0]", "quantile"},
	{"[count, count_distinct, sum, avg, quantile, stddev]", "[count, count]", "aggregates[1]", "twice"},
	{"differential_privacy", "none", "release.mechanism", "threshold"},
	{"min_units: 10", "min_units: 0", "release.min_units", "for instance 10"},
	{"groups_per_unit: 3", "groups_per_unit: -1", "release.groups_per_unit", "leave it out"},
	{"rows_per_group: 5", "rows_per_group: -1", "release.rows_per_group", "leave it out"},
	{"rows_per_group: 5", "max_groups: 1000000", "release.max_groups", "leave it out"},
	{"rows_per_group: 5", "rho_per_aggregate: -1", "release.rho_per_aggregate", "1e-9"},
	{"rows_per_group: 5", "rho_per_aggregate: 0.6", "release.rho_per_aggregate", "no query could run"},
	{"joins: allowed", "max_rows_per_unit: -1", "max_rows_per_unit", "1 to"},
	{"rho: 0.5, ", "", "budget.rho", "1e-9"},
	{"rho: 0.5, ", "rho: 4, ", "budget.rho", "lifetime"},
	{"lifetime_rho: 3", "lifetime_rho: 0", "budget.lifetime_rho", "1e-9"},
	{"delta: 1e-6", "delta: 1e-3", "budget.delta", "between 0 and 1e-3"},
	{"delta: 1e-6", "delta: 0", "budget.delta", "between 0 and 1e-3"},
	{"period: 30d", "period: 1month", "budget.period", "days or hours"},
	{"period: 30d", "period: 99999d", "budget.period", "days or hours"},
	{"period: 30d, ", "", "budget.period", "days or hours"},
	{"period: 30d", "period: 30d, queries: 5", "budget.queries", "has no effect"},
	{"budget: {rho: 0.5, delta: 1e-6, period: 30d, lifetime_rho: 3, per_person_share: 0.25}", "", "budget", "missing"},
}

var thresholdRules = []struct{ from, to, path, want string }{
	{"min_units: 50", "min_units: 50, rho_per_aggregate: 0.1", "release.rho_per_aggregate", "has no effect"},
	{"release: {", "budget: {queries: -1}\nrelease: {", "budget.queries", "leave it out"},
	{"release: {", "budget: {rho: 1}\nrelease: {", "budget.rho", "has no effect"},
	{"release: {", "budget: {delta: 1}\nrelease: {", "budget.delta", "has no effect"},
	{"release: {", "budget: {lifetime_rho: 1}\nrelease: {", "budget.lifetime_rho", "has no effect"},
	{"release: {", "budget: {period: 1w}\nrelease: {", "budget.period", "days or hours"},
	{"[count, quantile]", "[sum]", "columns.value.scale", "missing"},
	{"release: {mechanism: threshold, min_units: 50}", "", "release", "missing"},
	{"namespace: patient}\ncolumns:\n  id:    {type: varchar", "namespace: person}\ncolumns:\n  id:    {type: integer", "columns.id.type", "are text"},
}

var publicRules = []struct{ from, to, path, want string }{
	{"unit: none", "unit: none\nrelease: {mechanism: threshold, min_units: 5}", "release", "has no effect"},
	{"unit: none", "unit: none\nbudget: {queries: 5}", "budget", "has no effect"},
	{"unit: none", "unit: none\naggregates: [count]", "aggregates", "has no effect"},
	{"unit: none", "unit: none\nanti_overlap: true", "anti_overlap", "has no effect"},
	{"unit: none", "unit: none\nmax_rows_per_unit: 5", "max_rows_per_unit", "has no effect"},
	{"weight: {type: double, role: dimension", "weight: {type: double, role: measure", "columns.weight.role", "dimension and hidden"},
	{"columns:\n  code:   {type: varchar, role: dimension}\n  weight: {type: double, role: dimension}", "columns: {}", "columns", "0 columns"},
}

func TestEachRule(t *testing.T) {
	texts := []string{manifestText, policyText, thresholdText, publicText}
	for i, rules := range [][]struct{ from, to, path, want string }{manifestRules, policyRules, thresholdRules, publicRules} {
		for _, r := range rules {
			changed := append([]string{}, texts...)
			changed[i] = strings.Replace(texts[i], r.from, r.to, 1)
			if changed[i] == texts[i] {
				t.Errorf("%q is not in text %d", r.from, i)
				continue
			}
			b, err := document.LoadFS(files(changed[0], changed[1], changed[2], changed[3]))
			if err != nil {
				t.Errorf("%q: %v", r.to, err)
				continue
			}
			expectProblem(t, b.Validate(document.Signed), r.to, r.path, r.want)
		}
	}
}

func expectProblem(t *testing.T, problems []document.Problem, what, path, want string) {
	t.Helper()
	for _, p := range problems {
		if p.Path == path && strings.Contains(p.String(), want) {
			if p.Line == 0 || p.Column == 0 || p.Fix == "" || !strings.Contains(p.String(), ".yaml:") {
				t.Errorf("%q: %q does not say where or what to do", what, p)
			}
			return
		}
	}
	t.Errorf("%q: want a problem at %s with %q, have %v", what, path, want, problems)
}

func TestParsePeriod(t *testing.T) {
	for text, hours := range map[string]float64{"30d": 720, "12h": 12, "1d": 24} {
		if d, err := document.ParsePeriod(text); err != nil || d.Hours() != hours {
			t.Errorf("%s: %v %v", text, d, err)
		}
	}
	for _, bad := range []string{"", "d", "0d", "-1d", "1.5d", "1w", "3661d", "100000h", "30d ", "30D"} {
		if _, err := document.ParsePeriod(bad); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}
