package api

import (
	"context"
	"encoding/json"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/state"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// Limits of lists.
const (
	defaultLimit = 100
	maxLimit     = 10_000
)

// budgetRecord is one account as it is listed. Fields that do not apply are left out.
type budgetRecord struct {
	Owner            string   `json:"owner"`
	Namespace        string   `json:"namespace"`
	Rho              *float64 `json:"rho,omitempty"`    // allowed in a period
	Period           string   `json:"period,omitempty"` // of the tightest limit
	LifetimeRho      *float64 `json:"lifetime_rho,omitempty"`
	SpentRho         float64  `json:"spent_rho"` // for good
	RemainingRho     *float64 `json:"remaining_rho,omitempty"`
	Delta            *float64 `json:"delta,omitempty"`
	EpsilonSpent     *float64 `json:"epsilon_spent,omitempty"`
	SpentQueries     int64    `json:"spent_queries,omitempty"`
	RemainingQueries *int64   `json:"remaining_queries,omitempty"`
	Used             float64  `json:"used"`                        // the fullest of period, lifetime and quota, from 0 to 1
	YourRho          *float64 `json:"your_rho_left,omitempty"`     // where the policy gives each person a share
	YourQueries      *int64   `json:"your_queries_left,omitempty"` // likewise

	History []spent `json:"history,omitempty"`
}

// Budget implements AnalystService.
func (s analystService) Budget(ctx context.Context, req *connect.Request[concordatv1.BudgetRequest]) (*connect.Response[concordatv1.BudgetResponse], error) {
	who, err := s.gate.admit(ctx, opBudget, req.Msg.GetCollaboration())
	if err != nil {
		return nil, err
	}
	past, err := s.spending(req.Msg)
	if err != nil {
		return nil, err
	}
	records := []budgetRecord{}
	for _, b := range s.State.Balances(req.Msg.GetCollaboration(), who.person) {
		r := budgetRecordOf(b)
		r.History = past[account{b.Owner, b.Namespace}]
		records = append(records, r)
	}
	b, err := json.Marshal(records)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&concordatv1.BudgetResponse{Budgets: b}), nil
}

func budgetRecordOf(b state.Balance) budgetRecord {
	r := budgetRecord{
		Owner: b.Owner, Namespace: b.Namespace, SpentRho: b.Spent.Rho.Float(), SpentQueries: b.Spent.Queries, EpsilonSpent: b.Epsilon, Used: b.Used,
	}
	if left := b.Share.Rho.Float(); b.Private() && b.Share.Rho < b.Left.Rho {
		r.YourRho = &left
	}
	if left := b.Share.Queries; b.Counted() && left < b.Left.Queries {
		r.YourQueries = &left
	}
	if b.Private() {
		left := b.Left.Rho.Float()
		r.RemainingRho = &left
		for _, l := range b.Limits {
			rho, lifetime, delta := l.Rho.Float(), l.Lifetime.Float(), l.Delta
			if r.Rho == nil || rho < *r.Rho {
				r.Rho, r.Period = &rho, l.Period.String()
			}
			if l.Bounded() && (r.LifetimeRho == nil || lifetime < *r.LifetimeRho) {
				r.LifetimeRho = &lifetime
			}
			if r.Delta == nil || delta < *r.Delta {
				r.Delta = &delta
			}
		}
	}
	if b.Counted() {
		left := b.Left.Queries
		r.RemainingQueries = &left
	}
	return r
}
