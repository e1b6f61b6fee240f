package dispatch

import (
	"fmt"
	"testing"
	"time"
)

func pool(workers ...Worker) *Pool {
	p := &Pool{workers: map[string]*entry{}, announce: make(chan struct{})}
	for _, w := range workers {
		w.Seen = time.Now()
		p.workers[w.ID] = &entry{Worker: w, coming: map[string]int{}}
	}
	return p
}

// place takes a worker for some datasets.
func (p *Pool) place(t *testing.T, datasets ...string) *entry {
	t.Helper()
	e, _ := p.take(datasets, nil)
	if e == nil {
		t.Fatal("no worker")
	}
	return e
}

// TestHomes: all coordinators agree on a home, homes spread, and a worker that joins takes its own sets only.
func TestHomes(t *testing.T) {
	const sets = 300
	homes, before := map[string]int{}, map[string]string{}
	for i := range sets {
		a, b := fmt.Sprint("a", i), fmt.Sprint("b", i)
		first := pool(Worker{ID: "w1"}, Worker{ID: "w2"}, Worker{ID: "w3"}).place(t, a, b).ID
		if again := pool(Worker{ID: "w3"}, Worker{ID: "w2"}, Worker{ID: "w1"}).place(t, b, a).ID; again != first {
			t.Errorf("set %d goes to %s and to %s", i, first, again)
		}
		homes[first]++
		before[a] = first
		if now := pool(Worker{ID: "w1"}, Worker{ID: "w2"}, Worker{ID: "w3"}, Worker{ID: "w4"}).place(t, a, b).ID; now != first && now != "w4" {
			t.Errorf("set %d moved from %s to %s since w4 joined", i, first, now)
		}
	}
	for w, n := range homes {
		if n < sets/6 {
			t.Errorf("%s is the home of %d sets of %d", w, n, sets)
		}
	}
}

// TestMove: data that another worker has moves to its home by one piece of work; the others are not held up by it.
func TestMove(t *testing.T) {
	p := pool(Worker{ID: "w1", Slots: 4}, Worker{ID: "w2", Slots: 4})
	home := p.place(t, "d")
	p.give(home, []string{"d"}, meant)
	other := p.workers[map[string]string{"w1": "w2", "w2": "w1"}[home.ID]]
	home.Loaded, other.Loaded = nil, []string{"d"}
	mover := p.place(t, "d")
	if mover != home {
		t.Fatal("the home gets nothing")
	}
	for range 2 {
		if e := p.place(t, "d"); e != other {
			t.Error("work waits for a load while another worker has the data")
		}
	}
	p.give(mover, []string{"d"}, meant)
	if e := p.place(t, "d"); e != home {
		t.Error("the home has the data, and the work goes elsewhere")
	}
}

// TestFirstLoad: nobody has the data, and all wait for one load of it, as long as its worker takes work.
func TestFirstLoad(t *testing.T) {
	p := pool(Worker{ID: "w1", Slots: 2}, Worker{ID: "w2", Slots: 2})
	first := p.place(t, "d")
	if second := p.place(t, "d"); second != first {
		t.Error("the same data is loaded twice")
	}
	if third := p.place(t, "d"); third == first {
		t.Error("a full worker gets more while another has nothing to do")
	}
}

// TestFullWorkersArePassed also when they have the data, and get work only when all are full.
func TestFullWorkersArePassed(t *testing.T) {
	p := pool(Worker{ID: "w1", Slots: 2, Loaded: []string{"d"}, Running: 2, Queued: 5}, Worker{ID: "w2", Slots: 2, Running: 1})
	if e := p.place(t, "d"); e.ID != "w2" {
		t.Error("it waits behind seven")
	}
	p.workers["w2"].Queued = 9
	if e := p.place(t, "d"); e.ID != "w1" {
		t.Error("all are full, and it goes to one without the data")
	}
	if e, _ := p.take([]string{"d"}, map[string]bool{"w1": true}); e.ID != "w2" {
		t.Error("one that had no room is asked again")
	}
}
