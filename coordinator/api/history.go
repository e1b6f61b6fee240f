package api

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/seal"
	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// queryRecord is one query as it is listed, or with the trail a refused one or a denied call.
type queryRecord struct {
	Query       string   `json:"query"`
	At          string   `json:"at"`
	Person      string   `json:"person"`
	Participant string   `json:"participant"`
	Status      string   `json:"status"` // reserved | released | failed; refused | denied
	Operation   string   `json:"operation"`
	SQL         string   `json:"sql"`
	Datasets    []string `json:"datasets"`
	Rho         float64  `json:"rho"` // what it paid, over all owners
	Manifest    int      `json:"manifest_version"`
	Receipt     string   `json:"receipt,omitempty"` // id of the receipt
	LogIndex    *int64   `json:"log_index,omitempty"`
	Incident    string   `json:"incident,omitempty"`
	Reason      string   `json:"reason,omitempty"` // why it was refused or denied
	Key         string   `json:"key,omitempty"`    // that signed a denied call
	Prices      []price  `json:"price"`

	at time.Time
}

type price struct {
	Owner     string  `json:"owner"`
	Namespace string  `json:"namespace"`
	Rho       float64 `json:"rho"`
	Queries   int64   `json:"queries,omitempty"`
}

// History implements AnalystService. Analysts see their own queries; stewards and organisations also those that read data of their
// participant; auditors all.
func (s analystService) History(ctx context.Context, req *connect.Request[concordatv1.HistoryRequest]) (*connect.Response[concordatv1.HistoryResponse], error) {
	who, err := s.gate.admit(ctx, opHistory, req.Msg.GetCollaboration())
	if err != nil {
		return nil, err
	}
	wanted, err := s.search(req.Msg)
	if err != nil {
		return nil, err
	}
	limit := int(req.Msg.GetLimit())
	if limit == 0 {
		limit = defaultLimit
	}
	limit = min(limit, maxLimit)
	records := []queryRecord{}
	for _, q := range s.State.Queries(req.Msg.GetCollaboration(), limit, func(q *state.Query) bool {
		return who.mayRead(q.Person, q.Owners) && wanted.fits(q.Person, datasetsOf(q), q.At) && wanted.says(q.SQL, q.ID)
	}) {
		r, err := s.queryRecord(q)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	if req.Msg.GetAudit() {
		for _, n := range s.State.Notes(req.Msg.GetCollaboration(), limit, func(n *state.Note) bool {
			return who.mayRead(n.Person, n.Owners) && wanted.fits(n.Person, n.Datasets, n.At) && wanted.says(n.SQL, n.ID)
		}) {
			r, err := s.noteRecord(n)
			if err != nil {
				return nil, err
			}
			records = append(records, r)
		}
		slices.SortStableFunc(records, func(a, b queryRecord) int { return b.at.Compare(a.at) })
		records = records[:min(limit, len(records))]
	}
	b, err := json.Marshal(records)
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&concordatv1.HistoryResponse{Entries: b}), nil
}

// search is what a call of the history narrows down.
type search struct {
	texts                 seal.Ring
	person, dataset, text string
	since, until          time.Time
}

func (a *API) search(r *concordatv1.HistoryRequest) (search, error) {
	s := search{texts: a.history(r.GetCollaboration()), person: r.GetPerson(), dataset: r.GetDataset(), text: strings.ToLower(r.GetText())}
	for _, t := range []struct {
		name, text string
		into       *time.Time
	}{{"since", r.GetSince(), &s.since}, {"until", r.GetUntil(), &s.until}} {
		if t.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, t.text)
		if err != nil {
			return s, fault.Newf("history", fault.Invalid, "%s %.40q: write a time as 2006-01-02T15:04:05Z", t.name, t.text)
		}
		*t.into = at
	}
	return s, nil
}

func (s search) fits(person string, datasets []string, at time.Time) bool {
	return (s.person == "" || s.person == person) && (s.dataset == "" || slices.Contains(datasets, s.dataset)) &&
		!at.Before(s.since) && (s.until.IsZero() || at.Before(s.until))
}

// says looks for the text, if one is sought, in a sealed query.
func (s search) says(sealed []byte, id string) bool {
	if s.text == "" {
		return true
	}
	text, err := s.texts.Open(sealed, id)
	return err == nil && strings.Contains(strings.ToLower(string(text)), s.text)
}

// mayRead says whether an actor may see who asked what at which price: their own, what read data of a participant they act for, or as an
// auditor all.
func (a actor) mayRead(person string, owners []string) bool {
	return person != "" && person == a.person || a.is(auditor) || (a.is(steward) || a.is(organisation)) && slices.Contains(owners, a.participant)
}

func datasetsOf(q *state.Query) []string {
	out := []string{}
	for _, d := range q.Datasets {
		out = append(out, d.Dataset)
	}
	return out
}

func (a *API) queryRecord(q state.Query) (queryRecord, error) {
	text, err := a.history(q.Collaboration).Open(q.SQL, q.ID)
	if err != nil {
		return queryRecord{}, err
	}
	r := queryRecord{
		Query: q.ID, At: q.At.Format(time.RFC3339), Person: q.Person, Participant: q.Participant, Status: string(q.Status), Operation: string(opQuery),
		SQL: string(text), Datasets: datasetsOf(&q), Manifest: q.Version, Incident: q.Incident, Prices: []price{}, at: q.At,
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

func (a *API) noteRecord(n state.Note) (queryRecord, error) {
	r := queryRecord{
		Query: n.ID, At: n.At.Format(time.RFC3339), Person: n.Person, Participant: n.Participant, Status: n.Kind, Operation: n.Operation,
		Datasets: append([]string{}, n.Datasets...), Manifest: n.Version, Reason: n.Reason, Key: n.Key, Prices: []price{}, at: n.At,
	}
	if len(n.SQL) == 0 {
		return r, nil
	}
	text, err := a.history(n.Collaboration).Open(n.SQL, n.ID)
	r.SQL = string(text)
	return r, err
}
