package raft

import (
	"fmt"
	"testing"
	"time"

	hraft "github.com/hashicorp/raft"
)

// As long as fewer than half of the voters' clocks are wrong, the time agreed is never after the latest clock that is right.
func TestAgreedTime(t *testing.T) {
	now := time.Now()
	at := func(minutes ...int) (out []reading) {
		for _, m := range minutes {
			out = append(out, reading{told: now.Add(time.Duration(m) * time.Minute), at: now})
		}
		return out
	}
	for _, c := range []struct {
		name    string
		voters  int
		own     int
		others  []reading
		want    int
		unknown bool
	}{
		{name: "alone", voters: 1, own: 7, want: 7},
		{name: "three that agree", voters: 3, others: at(0, 0)},
		{name: "one leads", voters: 3, others: at(600, 0)},
		{name: "this one leads", voters: 3, own: 600, others: at(0, 0)},
		{name: "this one leads, one does not answer", voters: 3, own: 600, others: at(0)},
		{name: "one lags", voters: 3, others: at(-600, 0)},
		{name: "one lags, one does not answer: it waits", voters: 3, others: at(-600), want: -600},
		{name: "nobody answers", voters: 3, unknown: true},
		{name: "old answers", voters: 3, others: []reading{{told: now, at: now.Add(-time.Hour)}}, unknown: true},
		{name: "two of five lead, two do not answer", voters: 5, others: at(600, 600)},
		{name: "two of five lead", voters: 5, own: 600, others: at(600, 0, 1, 0), want: 1},
	} {
		all := clocks{voters: c.voters, self: true, told: map[hraft.ServerID]reading{}}
		for i, r := range c.others {
			all.told[hraft.ServerID(fmt.Sprint(i))] = r
		}
		got, ok := all.agreed(now.Add(time.Duration(c.own)*time.Minute), time.Minute)
		if ok == c.unknown || ok && got.Sub(now).Round(time.Minute) != time.Duration(c.want)*time.Minute {
			t.Errorf("%s: %v %t, want %d minutes", c.name, got.Sub(now), ok, c.want)
		}
	}
}
