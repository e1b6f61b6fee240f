package api

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/state"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// Limits of lists.
const (
	defaultLimit = 100
	maxLimit     = 10_000
)

// queryRecord is one query as it is listed.
type queryRecord struct {
	Query    string  `json:"query"`
	At       string  `json:"at"`
	Person   string  `json:"person"`
	Status   string  `json:"status"` // reserved | released | failed
	SQL      string  `json:"sql"`
	Rho      float64 `json:"rho"` // what it paid, over all owners
	Manifest int     `json:"manifest_version"`
	Receipt  string  `json:"receipt,omitempty"` // id of the receipt
	LogIndex *int64  `json:"log_index,omitempty"`
	Incident string  `json:"incident,omitempty"`
	Prices   []price `json:"price"`
}

type price struct {
	Owner     string  `json:"owner"`
	Namespace string  `json:"namespace"`
	Rho       float64 `json:"rho"`
	Queries   int64   `json:"queries,omitempty"`
}

// History implements AnalystService. Analysts see their own queries; stewards, auditors and organisations also those that read
// data of their participant.
func (s analystService) History(ctx context.Context, req *connect.Request[concordatv1.HistoryRequest]) (*connect.Response[concordatv1.HistoryResponse], error) {
	who, err := s.gate.admit(ctx, opHistory, req.Msg.GetCollaboration())
	if err != nil {
		return nil, err
	}
	limit := int(req.Msg.GetLimit())
	if limit == 0 {
		limit = defaultLimit
	}
	records := []queryRecord{}
	for _, q := range s.State.Queries(req.Msg.GetCollaboration(), min(limit, maxLimit), who.mayRead) {
		r, err := s.queryRecord(q)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	b, err := json.Marshal(records)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&concordatv1.HistoryResponse{Entries: b}), nil
}

// mayRead says whether an actor may see a query: its text, price and receipt.
func (a actor) mayRead(q *state.Query) bool {
	if q.Person == a.person {
		return true
	}
	oversees := a.is(steward) || a.is(auditor) || a.is(organisation)
	return oversees && slices.Contains(q.Owners, a.participant)
}

func (a *API) queryRecord(q state.Query) (queryRecord, error) {
	text, err := a.history.Open(q.SQL, q.ID)
	if err != nil {
		return queryRecord{}, err
	}
	r := queryRecord{
		Query: q.ID, At: q.At.Format(time.RFC3339), Person: q.Person, Status: string(q.Status), SQL: string(text),
		Manifest: q.Version, Incident: q.Incident, Prices: []price{},
	}
	for _, p := range q.Price {
		r.Rho += p.Amount.Rho.Float()
		r.Prices = append(r.Prices, price{p.Owner, p.Namespace, p.Amount.Rho.Float(), p.Amount.Queries})
	}
	if q.Status == state.QueryReleased {
		r.Receipt, r.LogIndex = q.PaidBy, &q.Receipt
	}
	return r, nil
}

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
}

// Budget implements AnalystService.
func (s analystService) Budget(ctx context.Context, req *connect.Request[concordatv1.BudgetRequest]) (*connect.Response[concordatv1.BudgetResponse], error) {
	if _, err := s.gate.admit(ctx, opBudget, req.Msg.GetCollaboration()); err != nil {
		return nil, err
	}
	records := []budgetRecord{}
	for _, b := range s.State.Balances(req.Msg.GetCollaboration()) {
		records = append(records, budgetRecordOf(b))
	}
	b, err := json.Marshal(records)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&concordatv1.BudgetResponse{Budgets: b}), nil
}

func budgetRecordOf(b state.Balance) budgetRecord {
	r := budgetRecord{
		Owner: b.Owner, Namespace: b.Namespace, SpentRho: b.Spent.Rho.Float(), SpentQueries: b.Spent.Queries, EpsilonSpent: b.Epsilon,
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
