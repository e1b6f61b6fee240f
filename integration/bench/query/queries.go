package main

import (
	"strings"

	"concordat.dev/protocol/document"
)

// query is one question: as an analyst asks it, with a letter for each dataset and id for the identifier.
type query struct {
	name string
	text string
}

// table is a dataset of the benchmark: its letter in queries, the end of its plain tables' names, and what the engine is given of it.
type table struct {
	letter, suffix, dataset, columns string
}

// tables in the order in which they are loaded; columns in that of their names.
var tables = []table{
	{"I", "_i", "publisher.impressions", "campaign, device, id, shown_at"},
	{"C", "_c", "advertiser.conversions", "amount, converted_at, id, product"},
	{"M", "_m", "insurer.members", "id, region"},
	{"A", "_a", "bank.accounts", "balance, id"},
}

// named gives the datasets of a text the names that another prefix or the engine has for them.
func (q query) named(name func(table) string) string {
	var pairs []string
	for _, t := range tables {
		for _, word := range []string{"FROM ", "JOIN "} {
			pairs = append(pairs, word+t.letter+" ", word+name(t)+" ")
		}
	}
	return strings.NewReplacer(pairs...).Replace(q.text)
}

var queries = []query{
	{"join_100_groups", `SELECT m.region, count(*) AS n, sum(a.balance) AS total, count(DISTINCT m.id) AS persons FROM M m JOIN A a ON m.id = a.id GROUP BY m.region`},
	{"overlap", `SELECT count(DISTINCT i.id) AS persons, count(*) AS pairs, sum(c.amount) AS revenue FROM I i JOIN C c ON i.id = c.id`},
	{"reach", `SELECT campaign, device, count(DISTINCT id) AS reach FROM I GROUP BY campaign, device`},
	{"reach_count", `SELECT campaign, device, count(DISTINCT id) AS reach, count(*) AS impressions FROM I GROUP BY campaign, device`},
	{"revenue", `SELECT c.product, date_trunc('week', c.converted_at) AS week, count(DISTINCT c.id) AS buyers, sum(c.amount) AS revenue
		FROM C c JOIN I i ON i.id = c.id GROUP BY c.product, date_trunc('week', c.converted_at)`},
	{"last_touch", `WITH t AS (SELECT c.id, c.amount, c.converted_at, i.campaign,
			row_number() OVER (PARTITION BY c.id, c.converted_at ORDER BY i.shown_at DESC) AS rn
			FROM C c JOIN I i ON c.id = i.id WHERE i.shown_at <= c.converted_at AND i.shown_at >= c.converted_at - INTERVAL 7 DAY)
		SELECT campaign, count(DISTINCT id) AS buyers, count(*) AS conversions, sum(amount) AS revenue FROM t WHERE rn = 1 GROUP BY campaign`},
	{"frequency", `WITH f AS (SELECT id, campaign, count(*) AS n FROM I GROUP BY id, campaign)
		SELECT campaign, CASE WHEN n = 1 THEN '1' WHEN n <= 3 THEN '2-3' WHEN n <= 7 THEN '4-7' ELSE '8+' END AS freq, count(DISTINCT id) AS persons
		FROM f GROUP BY campaign, CASE WHEN n = 1 THEN '1' WHEN n <= 3 THEN '2-3' WHEN n <= 7 THEN '4-7' ELSE '8+' END`},
}

// campaigns, devices and products are the declared values.
const (
	campaigns = 20
	products  = 8
	regions   = 100
)

var devices = []any{"android", "ios", "web"}

func last(n int64) *int64 { return &n }

func named(prefix string, n int) []any {
	var out []any
	for i := range n {
		out = append(out, prefix+string(rune('a'+i)))
	}
	return out
}

// Bounds that some of the persons exceed: 5 of 60 groups, 10 rows in one.
func release() *document.Release {
	return &document.Release{Mechanism: document.DifferentialPrivacy, MinUnits: 10, GroupsPerUnit: 5, RowsPerGroup: 10, MaxGroups: 1000, RhoPerAggregate: 0.005}
}

func policy(owner, name string, columns map[string]document.Column) *document.Policy {
	columns["id"] = document.Column{Type: "varchar", Role: "identifier"}
	p := &document.Policy{APIVersion: document.APIVersion, Kind: "Policy", Dataset: owner + "." + name, Owner: owner, AntiOverlap: true,
		Unit: document.Unit{Column: "id", Namespace: "person"}, Columns: columns, Aggregates: []string{"count", "count_distinct", "sum"},
		Release: release(), Budget: &document.Budget{Rho: 50, Delta: 1e-6, Period: "30d", LifetimeRho: 300}}
	return p.WithDefaults()
}

func policies() map[string]*document.Policy {
	i := policy("publisher", "impressions", map[string]document.Column{
		"campaign": {Type: "varchar", Role: "dimension", Domain: &document.Domain{Values: named("c", campaigns)}},
		"device":   {Type: "varchar", Role: "dimension", Domain: &document.Domain{Values: devices}},
		"shown_at": {Type: "timestamp", Role: "time", Grain: "day"},
	})
	c := policy("advertiser", "conversions", map[string]document.Column{
		"amount":       {Type: "double", Role: "measure", Bounds: &[2]float64{0, 500}, Scale: 0.01},
		"product":      {Type: "varchar", Role: "dimension", Domain: &document.Domain{Values: named("p", products)}},
		"converted_at": {Type: "timestamp", Role: "time", Grain: "day"},
	})
	m := policy("insurer", "members", map[string]document.Column{
		"region": {Type: "integer", Role: "dimension", Domain: &document.Domain{From: new(int64), To: last(regions - 1)}},
	})
	a := policy("bank", "accounts", map[string]document.Column{
		"balance": {Type: "double", Role: "measure", Bounds: &[2]float64{0, 500}, Scale: 0.01},
	})
	m.Unit.Unique, a.Unit.Unique = true, true
	return map[string]*document.Policy{i.Dataset: i, c.Dataset: c, m.Dataset: m, a.Dataset: a}
}
