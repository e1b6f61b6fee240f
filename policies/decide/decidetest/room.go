package decidetest

import (
	"fmt"
	"sort"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/bind"
	"concordat.dev/sql/plan"
)

// Namespace is the namespace of all protected datasets of a room.
const Namespace = "person"

// Public is the public reference dataset of a room: place, its region and its weight.
const Public = "atlas.places"

// Room is a random collaboration: between two and four protected datasets of up to three owners, in one namespace, and one public one.
type Room struct {
	Policies map[string]*document.Policy
	Datasets []string // ids of the protected datasets
}

// NewRoom makes a room. Every owner allows joins, anti_overlap and all aggregates.
func NewRoom(c *Choice) *Room {
	room := &Room{Policies: map[string]*document.Policy{}}
	names := []string{"visits", "people", "orders", "results"}
	owners := []string{"north", "south", "east"}
	mechanism := pick(c, document.DifferentialPrivacy, document.DifferentialPrivacy, document.Threshold)
	for i := 0; i < 2+c.Below(3); i++ {
		p := policy(c, owners[c.Below(len(owners))], names[i], mechanism) //nolint:gosec // Below(3) is at most 2, so there are at most four
		room.Policies[p.Dataset] = p
		room.Datasets = append(room.Datasets, p.Dataset)
	}
	room.Policies[Public] = places()
	return room
}

func policy(c *Choice, owner, name, mechanism string) *document.Policy {
	p := &document.Policy{APIVersion: document.APIVersion, Kind: "Policy", Dataset: owner + "." + name, Owner: owner, AntiOverlap: true,
		Unit:       document.Unit{Column: "id", Namespace: Namespace, Unique: c.Percent(40)},
		Aggregates: []string{"count", "count_distinct", "sum", "avg", "quantile", "stddev"},
		Release: &document.Release{Mechanism: mechanism, MinUnits: int64(1 + c.Below(3)), GroupsPerUnit: int64(1 + c.Below(4)),
			RowsPerGroup: int64(1 + c.Below(4)), MaxGroups: 1000},
	}
	if mechanism == document.DifferentialPrivacy {
		p.Release.RhoPerAggregate = 0.005
		p.Budget = &document.Budget{Rho: 1, Delta: 1e-6, Period: "30d", LifetimeRho: 10}
	}
	p.Columns = map[string]document.Column{
		"id":     {Type: "varchar", Role: "identifier"},
		"secret": {Type: "varchar", Role: "hidden"},
		"kind":   {Type: "varchar", Role: "dimension", Domain: &document.Domain{Values: kinds(c)}},
		"place":  {Type: "varchar", Role: "dimension"},
		"level":  {Type: "integer", Role: "dimension", Domain: &document.Domain{From: ptr(0), To: ptr(int64(2 + c.Below(4)))}},
		"code":   {Type: "varchar", Role: "dimension", Prefix: 2},
		"amount": {Type: "double", Role: "measure", Bounds: &[2]float64{pick(c, 0, -50.0), 100}, Scale: pick(c, 0.01, 0.5, 1), Grain: "10"},
		"years":  {Type: "integer", Role: "measure", Bounds: &[2]float64{0, 90}, Grain: "5"},
		"score":  {Type: "bigint", Role: "measure", Bounds: &[2]float64{-10, 10}},
		"at":     {Type: pick(c, "timestamp", "date"), Role: "time", Grain: pick(c, "day", "week", "month")},
	}
	return p.WithDefaults()
}

func kinds(c *Choice) []any {
	out := []any{"a", "b", "c", "d"}[:2+c.Below(3)]
	if c.Percent(20) {
		out = append(out, nil)
	}
	return out
}

func places() *document.Policy {
	p := &document.Policy{APIVersion: document.APIVersion, Kind: "Policy", Dataset: Public, Owner: "atlas", Unit: document.Unit{None: true},
		Columns: map[string]document.Column{
			"place":  {Type: "varchar", Role: "dimension"},
			"region": {Type: "varchar", Role: "dimension", Domain: &document.Domain{Values: []any{"hill", "sea"}}},
			"level":  {Type: "integer", Role: "dimension"},
		}}
	return p.WithDefaults()
}

func ptr(n int64) *int64 { return &n }

// Schema is the columns of a dataset in the order of their names, as binding sees them.
func (r *Room) Schema(dataset string) []plan.Column { return schema(r.Policies[dataset]) }

func schema(p *document.Policy) []plan.Column {
	var out []plan.Column
	for name, c := range p.Columns {
		t := plan.Type(c.Type)
		switch c.Type {
		case "decimal":
			t = plan.Double
		case "uuid":
			t = plan.Varchar
		}
		if c.Role == "identifier" {
			t = plan.Varchar // a token, whatever it was made of
		}
		out = append(out, plan.Column{Name: name, Type: t})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Catalog is the schemas of all datasets of a room.
func (r *Room) Catalog() bind.Catalog { return Catalog(r.Policies) }

// Catalog is the schemas that policies declare, in a collaboration of the name room.
func Catalog(policies map[string]*document.Policy) bind.Catalog {
	out := bind.Catalog{Name: "room", Datasets: map[string][]plan.Column{}}
	for id, p := range policies {
		out.Datasets[id] = schema(p)
	}
	return out
}

func (r *Room) String() string {
	out := ""
	for _, id := range r.Datasets {
		p := r.Policies[id]
		out += fmt.Sprintf("%s unique=%v %+v at=%s/%s\n", id, p.Unit.Unique, *p.Release, p.Columns["at"].Type, p.Columns["at"].Grain)
	}
	return out
}
