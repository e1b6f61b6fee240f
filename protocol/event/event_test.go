package event_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/event"
	"concordat.dev/protocol/grant"
)

func reservation() event.Reservation {
	d := canon.Sum([]byte("x"))
	return event.Reservation{
		Query: "q", Version: 1, Manifest: d, Plan: d, Question: d, Datasets: []grant.Dataset{{ID: "a.b", Version: 2, Sealed: d}},
		Price: []grant.Price{{Owner: "a", Namespace: "n", Rho: 5}},
	}
}

func TestReservation(t *testing.T) {
	at := time.Date(2026, 11, 23, 16, 0, 0, 500, time.FixedZone("", 3600))
	body, err := event.Marshal(event.Reserve, "l", "c", at, reservation())
	if err != nil {
		t.Fatal(err)
	}
	e, r, err := event.ReservationOf(body)
	if err != nil || e.Time != "2026-11-23T15:00:00.0000005Z" || e.Ledger != "l" || e.Collaboration != "c" {
		t.Errorf("%+v %v", e, err)
	}
	if want := reservation(); r.Query != want.Query || r.Plan != want.Plan || !slices.Equal(r.Price, want.Price) || !slices.Equal(r.Datasets, want.Datasets) {
		t.Errorf("%+v, want %+v", r, want)
	}
}

func TestOneForm(t *testing.T) {
	body, err := event.Marshal(event.Reserve, "l", "c", time.Unix(0, 0), reservation())
	if err != nil {
		t.Fatal(err)
	}
	pause, err := event.Marshal("pause", "l", "c", time.Unix(0, 0), struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := event.Parse(pause); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "another action": pause, "spaces": append(slices.Clone(body), ' '), "not JSON": []byte("reserve"),
		"unknown field":       bytes.Replace(body, []byte(`"query":"q"`), []byte(`"query":"q","quota":1`), 1),
		"another type":        bytes.Replace(body, []byte("event/v1"), []byte("event/v2"), 1),
		"no ledger":           bytes.Replace(body, []byte(`"ledger":"l"`), []byte(`"ledger":""`), 1),
		"number written long": bytes.Replace(body, []byte(`"rho":5`), []byte(`"rho":5.0`), 1),
	} {
		if e, _, err := event.ReservationOf(bad); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("%s: %+v %v", name, e, err)
		}
	}
}
