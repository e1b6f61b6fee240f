package event_test

import (
	"encoding/json"
	"testing"
	"testing/quick"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/event"
	"concordat.dev/protocol/grant"
)

// Whatever a reservation holds, fields that come later included, its own code writes what the general one does.
func TestReservationWritesItselfAsCanonMarshalDoes(t *testing.T) {
	direct := 0
	same := func(r event.Reservation, action, collaboration string, seconds int32) bool {
		for i := range r.Price {
			r.Price[i].Rho %= canon.MaxSafeInteger // else nearly all would be left to canon.Marshal
			r.Price[i].SpentBefore %= canon.MaxSafeInteger
			r.Price[i].Queries %= 3
		}
		r.Version %= canon.MaxSafeInteger
		want, err := canon.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := r.AppendCanonical([]byte("x"))
		if ok {
			direct++
		}
		at := time.Unix(int64(seconds), 5).UTC()
		body, err := event.Marshal(action, "l", collaboration, at, r)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := canon.Marshal(event.Event{
			Type: event.Type, Action: action, Ledger: "l", Collaboration: collaboration, Time: at.Format(time.RFC3339Nano), Detail: json.RawMessage(want),
		})
		return err == nil && (!ok || string(got) == "x"+string(want)) && string(body) == string(whole)
	}
	if err := quick.Check(same, &quick.Config{MaxCount: 500}); err != nil {
		t.Error(err)
	}
	if direct < 250 {
		t.Errorf("%d of 500 reservations wrote themselves", direct)
	}
	for _, r := range []event.Reservation{{}, {Datasets: []grant.Dataset{}}, {Datasets: []grant.Dataset{}, Price: []grant.Price{{Rho: 1 << 60}}}} {
		if out, ok := r.AppendCanonical(nil); ok || out != nil {
			t.Errorf("%+v wrote itself: %s", r, out)
		}
	}
}
