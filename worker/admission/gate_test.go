package admission

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func always() bool { return true }

// enter begins work in the background and gives what it came to.
func enter(ctx context.Context, g *Gate, who string, take func() bool, began func(string)) <-chan error {
	done := make(chan error, 1)
	go func() {
		err := g.Enter(ctx, who, take)
		if err == nil {
			began(who)
		}
		done <- err
	}()
	synctest.Wait()
	return done
}

// TestTurns: ada asks five times before bob and cyd ask once each, and they need not wait for all of ada's.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Limits{Running: 1, Queued: 10}, time.Now)
		var order []string
		began := func(who string) { order = append(order, who) }
		for _, who := range []string{"ada", "ada", "ada", "ada", "bob", "cyd", "bob"} {
			enter(t.Context(), g, who, always, began)
		}
		for range 7 {
			time.Sleep(time.Second)
			g.Leave(func() {})
			synctest.Wait()
		}
		if got := strings.Join(order, " "); got != "ada ada bob cyd ada bob ada" {
			t.Error(got)
		}
		c := g.Counts()
		if c.Running != 0 || c.Queued != 0 || c.Admitted != 7 || c.Waited != 6 || c.Longest != 6*time.Second || c.Waiting != 21*time.Second {
			t.Errorf("%+v", c)
		}
	})
}

func TestTooMuchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Limits{Running: 1, Queued: 1}, time.Now)
		enter(t.Context(), g, "ada", always, func(string) {})
		enter(t.Context(), g, "ada", always, func(string) {})
		if err := g.Enter(t.Context(), "bob", always); !errors.Is(err, ErrBusy) {
			t.Errorf("%v", err)
		}
		if c := g.Counts(); c.TurnedAway != 1 || c.Queued != 1 || c.Running != 1 {
			t.Errorf("%+v", c)
		}
		g.Leave(func() {})
		synctest.Wait()
		g.Leave(func() {})
	})
}

// TestWhatDoesNotFitWaits: large work waits for room, small work behind it does not pass, and goes on once the large one's caller gave up.
func TestWhatDoesNotFitWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Limits{Running: 10, Queued: 10}, time.Now)
		room := 5
		need := func(n int) func() bool {
			return func() bool {
				if n > room {
					return false
				}
				room -= n
				return true
			}
		}
		nothing := func(string) {}
		enter(t.Context(), g, "ada", need(3), nothing)
		ctx, cancel := context.WithCancel(t.Context())
		large := enter(ctx, g, "bob", need(4), nothing)
		small := enter(t.Context(), g, "cyd", need(2), nothing)
		if g.Counts().Running != 1 {
			t.Error("small work passed")
		}
		cancel()
		if err := <-large; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if err := <-small; err != nil || room != 0 {
			t.Errorf("%v, room for %d", err, room)
		}
		again := enter(t.Context(), g, "bob", need(4), nothing)
		g.Leave(func() { room += 3 })
		synctest.Wait()
		if g.Counts().Queued != 1 {
			t.Error("begun without room")
		}
		g.Do(func() { room++ })
		if err := <-again; err != nil || g.Counts().Left != 1 {
			t.Errorf("%v, %+v", err, g.Counts())
		}
	})
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{"8GB": 8e9, "512 MiB": 512 << 20, "1.5kib": 1536, " 7b ": 7, "2TB": 2e12} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "8", "GB", "-1GB", "0B", "8 G", "80%", "1e30TB"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestMachine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want int64) {
		t.Helper()
		if got := machine(filepath.Join(dir, "proc"), filepath.Join(dir, "cgroup")); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
	expect(0)
	write("proc/meminfo", "MemTotal:       1000 kB\nMemFree:  1 kB\n")
	expect(1000 << 10)
	write("proc/self/cgroup", "0::/a/b\n")
	write("cgroup/a/b/memory.max", "max\n")
	expect(1000 << 10)
	write("cgroup/a/memory.max", "5000\n")
	expect(5000)
	write("proc/self/cgroup", "5:cpu:/x\n4:memory:/x\n")
	write("cgroup/memory/x/memory.limit_in_bytes", "4000\n")
	expect(4000)
}
