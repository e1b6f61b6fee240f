package api

import (
	"fmt"
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	var p pace
	now := time.Unix(1000, 0)
	admitted := func(who string, calls int) int {
		n := 0
		for range calls {
			if p.admit(who, now) {
				n++
			}
		}
		return n
	}
	if n := admitted("ann", 100); n != paceBurst+1 {
		t.Errorf("%d at once", n)
	}
	if n := admitted("bob", 5); n != 5 {
		t.Errorf("another person: %d of 5", n)
	}
	now = now.Add(10 * paceEvery)
	if n := admitted("ann", 100); n != 10 {
		t.Errorf("%d after ten intervals", n)
	}
	for i := range 2 * maxPaced {
		p.admit(fmt.Sprint("x", i), now)
		now = now.Add(2 * paceEvery)
	}
	if len(p.free) > maxPaced {
		t.Errorf("%d people are remembered", len(p.free))
	}
}
