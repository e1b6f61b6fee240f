package engine_test

import (
	"context"
	"os"
	"strconv"
	"testing"

	"concordat.dev/policies/decide"
	"concordat.dev/policies/decide/decidetest"
	"concordat.dev/sql/bind"
	"concordat.dev/sql/parse"
	"concordat.dev/worker/engine/reference"
)

// soak multiplies the number of random rooms: CONCORDAT_SOAK=20 runs twenty times as many.
func soak(rooms uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv("CONCORDAT_SOAK"), 10, 32); err == nil && n > 0 {
		return rooms * n
	}
	return rooms
}

func parser(t testing.TB) *parse.Parser {
	t.Helper()
	p, err := parse.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// decided takes a text of a generated room to its release; nil where the generator asks for what is refused.
func decided(t testing.TB, p *parse.Parser, room *decidetest.Room, text string) *decide.Release {
	t.Helper()
	tree, refused, err := p.Parse(context.Background(), text)
	if err != nil {
		t.Fatal(err)
	}
	if tree == nil {
		return nil
	}
	d := decide.Decide(decide.Request{Plan: bind.Bind(tree, room.Catalog(), refused), Policies: room.Policies}, refused)
	return d.Release
}

func tablesOf(room *decidetest.Room, rows map[string][][]any) reference.Tables {
	out := reference.Tables{}
	for id, p := range room.Policies {
		out[id] = reference.Table{Policy: p, Rows: rows[id]}
	}
	return out
}

// TestGenerated compares the sums of the engine with those of the reference, for random queries over random rooms: they are equal.
func TestGenerated(t *testing.T) {
	e, p := open(t), parser(t)
	failures, plans := 0, 0
	for seed := range soak(150) {
		c := decidetest.Seed(1000 + seed)
		room := decidetest.NewRoom(c)
		tables := tablesOf(room, room.Rows(c, c.Below(14)))
		at := load(t, e, tables)
		for range 8 {
			text := room.Query(c)
			r := decided(t, p, room, text)
			if r == nil {
				continue
			}
			plans++
			r.Bounded.Threshold = false
			if d := compare(e, &r.Bounded, tables, at); d != "" {
				t.Errorf("seed %d\n%s\n%s\n%s", seed, room, text, d)
				if failures++; failures > 3 {
					t.FailNow()
				}
			}
		}
		drop(t, e, tables)
	}
	t.Logf("%d plans", plans)
}
