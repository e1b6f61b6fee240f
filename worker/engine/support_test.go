package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"testing"

	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/engine/reference"
	"concordat.dev/worker/release"
)

const salt = "73616c74"

// open starts an engine with few threads; it is closed with the test.
func open(t testing.TB) *engine.Engine {
	t.Helper()
	e, err := engine.Open(engine.Config{Memory: "1GB", Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// load puts tables into an engine and tells where they are.
func load(t testing.TB, e *engine.Engine, tables reference.Tables) render.Tables {
	t.Helper()
	names := map[string]string{}
	for id, table := range tables {
		names[id] = id
		reader, err := table.Reader()
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Load(context.Background(), id, table.Policy, reader); err != nil {
			t.Fatal(err, cause(err))
		}
		reader.Release()
	}
	at, err := e.Tables(names)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func drop(t testing.TB, e *engine.Engine, tables reference.Tables) {
	t.Helper()
	for id := range tables {
		if err := e.Drop(context.Background(), id); err != nil {
			t.Fatal(err)
		}
	}
}

func cause(err error) error {
	if f, ok := errors.AsType[*engine.Failure](err); ok {
		return f.Cause
	}
	return err
}

// compare runs a plan in the engine and in the reference; the differences are returned as text.
func compare(e *engine.Engine, b *plan.Bounded, tables reference.Tables, at render.Tables) string {
	want, err := reference.Groups(b, tables, salt)
	if err != nil {
		return err.Error()
	}
	params := render.Params{Tables: at, Salt: salt}
	have, err := e.Groups(context.Background(), b, nil, params, b.MinUnits)
	if err != nil {
		return fmt.Sprintf("engine: %v\n%s", cause(err), render.Bounded(b, params))
	}
	return difference(want, have, func() string { return render.Bounded(b, params) })
}

func difference(want, have []release.Group, query func() string) string {
	w, h := printed(want), printed(have)
	for i := 0; i < max(len(w), len(h)); i++ {
		if i >= len(w) || i >= len(h) || w[i] != h[i] {
			return fmt.Sprintf("reference:\n  %s\nengine:\n  %s\nof %d and %d groups\n%s", line(w, i), line(h, i), len(w), len(h), query())
		}
	}
	return ""
}

func line(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(none)"
}

func printed(groups []release.Group) []string {
	out := make([]string, len(groups))
	for i, g := range groups {
		out[i] = fmt.Sprintf("%#v: %v %v", g.Keys, g.Sums, g.Leaves)
	}
	sort.Strings(out)
	return out
}
