package api

import (
	"math"
	"slices"
	"time"

	"concordat.dev/coordinator/state"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
)

// maxBuckets is how many days or hours of an account are told, the newest.
const maxBuckets = 1000

// account is an owner's namespace.
type account struct{ owner, namespace string }

// spent is what one day or hour took from an account.
type spent struct {
	From    string  `json:"from"`
	Rho     float64 `json:"rho"`
	Queries int64   `json:"queries"` // of a quota
	Asked   int     `json:"asked"`   // queries that paid

	from time.Time
}

// spending adds up by day or hour what queries paid, for every account; nothing where the request asks for no history.
func (a *API) spending(r *concordatv1.BudgetRequest) (map[account][]spent, error) {
	const op = "budget"
	every, ok := map[string]time.Duration{"": 0, "day": 24 * time.Hour, "hour": time.Hour}[r.GetHistory()]
	if !ok {
		return nil, fault.Newf(op, fault.Invalid, "history %.40q is neither day nor hour", r.GetHistory())
	}
	if every == 0 {
		return nil, nil
	}
	var since time.Time
	if text := r.GetSince(); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, fault.Newf(op, fault.Invalid, "since %.40q: write a time as 2006-01-02T15:04:05Z", text)
		}
	}
	out := map[account][]spent{}
	a.State.Queries(r.GetCollaboration(), math.MaxInt, func(q *state.Query) bool { // newest first
		from := q.At.UTC().Truncate(every)
		for _, p := range q.Price {
			at := account{p.Owner, p.Namespace}
			buckets := out[at]
			if n := len(buckets); n == 0 || !buckets[n-1].from.Equal(from) {
				if n == maxBuckets || q.At.Before(since) {
					continue
				}
				buckets = append(buckets, spent{From: from.Format(time.RFC3339), from: from})
			}
			b := &buckets[len(buckets)-1]
			b.Rho += p.Amount.Rho.Float()
			b.Queries += p.Amount.Queries
			b.Asked++
			out[at] = buckets
		}
		return false // nothing is listed
	})
	for _, buckets := range out {
		slices.Reverse(buckets)
	}
	return out, nil
}
