package server_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"connectrpc.com/connect"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// What pages draw: spending over time, what an owner uploaded, and how coordinators are.
func TestFiguresForPages(t *testing.T) {
	m := ready(t, 1, nil)
	for _, sql := range []string{"SELECT 1", "SELECT 2", "SELECT 1"} { // the third costs nothing
		if _, err := m.as("ann", 0).query(sql, nil); err != nil {
			t.Fatal(err)
		}
	}
	budgets := func(r *concordatv1.BudgetRequest) (out []struct {
		Owner   string
		Spent   float64 `json:"spent_rho"`
		History []struct {
			From  string
			Rho   float64
			Asked int
		}
	}, err error) {
		r.Collaboration = room
		res, err := m.as("alex", 1).Budget(m.ctx(), connect.NewRequest(r))
		if err != nil {
			return nil, err
		}
		return out, json.Unmarshal(res.Msg.GetBudgets(), &out)
	}
	for _, unit := range []string{"day", "hour"} {
		all, err := budgets(&concordatv1.BudgetRequest{History: unit})
		must(t, err)
		for _, b := range all {
			rho, asked := 0.0, 0
			for _, h := range b.History { // two, if the hour changed meanwhile
				at, err := time.Parse(time.RFC3339, h.From)
				must(t, err)
				if at.Minute() != 0 || unit == "day" && at.Hour() != 0 {
					t.Errorf("a %s begins at %s", unit, h.From)
				}
				rho, asked = rho+h.Rho, asked+h.Asked
			}
			if len(all) != 2 || math.Abs(rho-b.Spent) > 1e-12 || rho == 0 || asked != 2 {
				t.Errorf("%s by %s: %+v", b.Owner, unit, b)
			}
		}
	}
	later, err := budgets(&concordatv1.BudgetRequest{History: "day", Since: "2999-01-01T00:00:00Z"})
	must(t, err)
	plain, err := budgets(&concordatv1.BudgetRequest{})
	must(t, err)
	if len(later[0].History) != 0 || len(plain[0].History) != 0 {
		t.Errorf("%+v, %+v", later[0], plain[0])
	}
	for _, r := range []*concordatv1.BudgetRequest{{History: "week"}, {History: "day", Since: "yesterday"}} {
		if _, err := budgets(r); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", r, err)
		}
	}

	for who, format := range map[string]string{"dana": "csv", "rita": "", "ann": "", "clinic": "csv"} {
		res, err := m.as(who, 0).ListDatasets(m.ctx(), connect.NewRequest(&concordatv1.ListDatasetsRequest{Collaboration: room, Dataset: "clinic.patients"}))
		must(t, err)
		var list []struct {
			Format, Client string
			Parts          int
			Report         json.RawMessage
		}
		must(t, json.Unmarshal(res.Msg.GetDatasets(), &list))
		if len(list) != 1 || list[0].Format != format || (list[0].Parts == 2) != (format != "") || (len(list[0].Report) > 0) != (format != "") {
			t.Errorf("%s: %+v", who, list)
		}
	}

	s := m.status(2)
	if !s.GetCaughtUp() || s.GetStorage() != "ok" || s.GetVersion() == "" || s.GetStarted() == "" || s.GetWaiting() != 0 {
		t.Errorf("%v", s)
	}
}
