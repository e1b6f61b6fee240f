package cli

import (
	"strings"
	"testing"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/document"
)

func TestMatchBand(t *testing.T) {
	for _, c := range []struct {
		matched, units answer.Interval
		want           string
	}{
		{answer.Interval{90, 110}, answer.Interval{1000, 1000}, "below 20 %"},
		{answer.Interval{290, 310}, answer.Interval{1000, 1000}, "20 % to 50 %"},
		{answer.Interval{490, 510}, answer.Interval{1000, 1000}, "20 % to 80 %"},
		{answer.Interval{600, 620}, answer.Interval{980, 1020}, "50 % to 80 %"},
		{answer.Interval{790, 810}, answer.Interval{1000, 1000}, "above 50 %"},
		{answer.Interval{950, 1050}, answer.Interval{980, 1020}, "above 80 %"},
		{answer.Interval{0, 0}, answer.Interval{1000, 1000}, "below 20 %"},
		{answer.Interval{-30, 40}, answer.Interval{0, 40}, "an unknown share (the noise leaves every band open)"},
	} {
		if got := matchBand(c.matched, c.units); got != c.want {
			t.Errorf("%v of %v: %q, want %q", c.matched, c.units, got, c.want)
		}
	}
}

func TestMatchQueries(t *testing.T) {
	unit := func(column, namespace string) *document.Policy {
		return &document.Policy{Unit: document.Unit{Column: column, Namespace: namespace}}
	}
	b := &document.Bundle{Policies: map[string]*document.Policy{
		"clinic.patients": unit("id", "patient"), "registry.events": unit("patient id", "patient"), "shop.orders": unit("mail", "person"),
		"geo.zips": {Unit: document.Unit{None: true}},
	}}
	own, both, err := matchQueries(b, "clinic.patients", "registry.events")
	if err != nil || own != `SELECT count(DISTINCT "id") AS units FROM clinic.patients` ||
		both != `SELECT count(DISTINCT a."id") AS units FROM clinic.patients AS a JOIN registry.events AS b ON a."id" = b."patient id"` {
		t.Errorf("%s\n%s\n%v", own, both, err)
	}
	for other, want := range map[string]string{"shop.orders": "cannot match", "geo.zips": "public data", "clinic.patients": "two datasets", "clinic.x": "no dataset"} {
		if _, _, err := matchQueries(b, "clinic.patients", other); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", other, err)
		}
	}
}
