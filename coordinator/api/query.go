package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"concordat.dev/coordinator/dispatch"
	"concordat.dev/coordinator/state"
	"concordat.dev/observe"
	"concordat.dev/policies/budget"
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/fault"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/gen/concordat/v1/concordatv1connect"
)

// The phases of a query, as they are told.
const (
	phaseAnalyse = "analyse"
	phaseReserve = "reserve"
	phaseExecute = "execute"
	phaseRecord  = "record"
)

// maxKey is the longest idempotency key, in bytes.
const maxKey = 64

// attempts is how often a query starts over when datasets or the manifest change between its analysis and its reservation.
const attempts = 5

type analystService struct{ *API }

var _ concordatv1connect.AnalystServiceHandler = analystService{}

// query is one request on its way.
type query struct {
	*API
	id       string
	who      actor
	request  *concordatv1.QueryRequest
	begun    time.Time
	manifest state.Manifest
	reads    []string // datasets of the plan, once it is known
	tell     func(phase string) error
}

// outcome is what leaves: the answer, a receipt with a release, and whether it waits for the time grid.
type outcome struct {
	answer  answer.Answer
	receipt []byte
	grid    bool
	denied  bool // by the gate, which wrote it down
}

// Query implements AnalystService.
func (s analystService) Query(ctx context.Context, req *connect.Request[concordatv1.QueryRequest], stream *connect.ServerStream[concordatv1.QueryEvent]) error {
	req.Msg.IdempotencyKey = idempotent(req.Msg.GetIdempotencyKey(), req.Header())
	out, receipt, err := s.Ask(ctx, req.Msg, func(phase string) error {
		return stream.Send(&concordatv1.QueryEvent{Event: &concordatv1.QueryEvent_Phase{Phase: phase}})
	})
	if err != nil {
		return err
	}
	b, err := out.MarshalJSON()
	if err != nil {
		return err
	}
	return stream.Send(&concordatv1.QueryEvent{Event: &concordatv1.QueryEvent_Answer{Answer: b}, Receipt: receipt})
}

// Ask takes a query through its whole life, for the person of the context, and tells each phase as it begins. It returns when the answer may
// leave; the receipt is there with a release.
func (a *API) Ask(ctx context.Context, r *concordatv1.QueryRequest, tell func(phase string) error) (answer.Answer, []byte, error) {
	if observe.Request(ctx) == "" {
		ctx = observe.WithRequest(ctx, observe.NewRequest())
	}
	w := watched{counts: a.counts, now: a.Now}
	q := &query{API: a, id: newID(), request: r, begun: time.Now(), tell: func(phase string) error {
		w.enter(phase)
		return tell(phase)
	}}
	ctx, done := a.Tracer.Span(ctx, "query")
	out, err := q.run(ctx)
	done(err)
	w.leave()
	a.counts.asked(r.GetExplain(), out.answer, err)
	if err != nil {
		return answer.Answer{}, nil, err
	}
	if !out.denied {
		q.refusal(ctx, out.answer)
	}
	if out.grid {
		if err := dispatch.NewGrid(q.begun, q.timeGrid()).Wait(ctx); err != nil {
			return answer.Answer{}, nil, err
		}
		if err := q.tell(phaseRecord); err != nil { // not before: the moment would tell how long execution took
			return answer.Answer{}, nil, err
		}
	}
	return out.answer, out.receipt, nil
}

func (q *query) run(ctx context.Context) (outcome, error) {
	if len(q.request.GetIdempotencyKey()) > maxKey {
		return outcome{}, fault.Newf("query", fault.Invalid, "idempotency key of %d bytes, at most %d", len(q.request.GetIdempotencyKey()), maxKey)
	}
	if q.request.GetRho() < 0 || q.request.GetRho() > 1e6 {
		return outcome{}, fault.Newf("query", fault.Invalid, "rho %g is not a price", q.request.GetRho())
	}
	op := opQuery
	if q.request.GetExplain() {
		op = opExplain
	}
	var err error
	q.who, err = q.gate.admit(ctx, op, q.request.GetCollaboration())
	if fault.KindOf(err) == fault.Forbidden {
		out := q.refused(answer.Refusal{
			Code: answer.NotPermitted, Rule: "people", Message: err.Error(),
			Suggestion: "Ask a steward to name you as an analyst in the next version of the manifest.",
		})
		out.denied = true
		return out, nil
	}
	if err != nil {
		return outcome{}, err
	}
	if op == opExplain {
		if err := q.paced(ctx, q.who.person); err != nil {
			return outcome{}, err
		}
	}
	for range attempts {
		var out outcome
		out, err = q.attempt(ctx)
		if !errors.Is(err, errChanged) {
			return out, err
		}
		if err := q.Replica.Sync(ctx); err != nil {
			return outcome{}, fault.New("query", fault.Unavailable, err)
		}
	}
	return outcome{}, err
}

// errChanged says that the state moved on between analysis and reservation.
var errChanged = errors.New("datasets or manifest changed meanwhile")

func (q *query) attempt(ctx context.Context) (outcome, error) {
	var ok bool
	if q.manifest, ok = q.State.Newest(q.request.GetCollaboration()); !ok || q.manifest.Status != state.Active {
		return q.inactive(ok), nil
	}
	m := q.manifest.Bundle.Manifest
	if named, runner := m.Receiver(q.who.participant); !named && !runner {
		return q.refused(answer.Refusal{
			Code: answer.NotPermitted, Rule: "receivers", Message: fmt.Sprintf("Releases go to %s only, and you are of %s.", m.Receivers.Default, q.who.participant),
			Suggestion: "Ask somebody of these participants, or have the next version of the manifest name yours.",
		}), nil
	}
	if err := q.tell(phaseAnalyse); err != nil {
		return outcome{}, err
	}
	judged, analysis, err := q.analyse(ctx)
	if err != nil {
		return outcome{}, err
	}
	if judged.Verdict == answer.Refused {
		return outcome{answer: judged}, nil
	}
	q.reads = analysis.GetDatasets()
	datasets, missing := q.datasets(q.reads)
	if len(missing) > 0 {
		judged.Verdict, judged.Refusals = answer.Refused, missing
		return outcome{answer: judged}, nil
	}
	if q.request.GetExplain() {
		return outcome{answer: q.explained(judged, analysis.GetPlanDigest())}, nil
	}
	return q.execute(ctx, judged, analysis, datasets)
}

func (q *query) inactive(known bool) outcome {
	r := answer.Refusal{Code: answer.ManifestInactive, Rule: "manifest"}
	switch {
	case !known:
		r.Message = fmt.Sprintf("No manifest of collaboration %q is in force.", q.request.GetCollaboration())
		r.Suggestion = "All participants have to sign it first."
	case q.manifest.Status == state.Paused:
		r.Message = fmt.Sprintf("The collaboration is paused by %s.", strings.Join(q.manifest.PausedBy, ", "))
		r.Suggestion = "Whoever paused it can resume it."
	default:
		r.Message = fmt.Sprintf("The manifest of %s is %s.", q.request.GetCollaboration(), q.manifest.Status)
		r.Suggestion = "Its participants can sign a new version."
	}
	return q.refused(r)
}

func (q *query) refused(r answer.Refusal) outcome {
	return outcome{answer: answer.Answer{
		Verdict: answer.Refused, QueryID: q.id, Explained: q.request.GetExplain(), Refusals: []answer.Refusal{r},
	}}
}

// analyse has a worker judge and price the query; the answer is refused, or what execution would cost.
func (q *query) analyse(ctx context.Context) (answer.Answer, *concordatv1.AnalyzeResponse, error) {
	request := &concordatv1.AnalyzeRequest{Documents: q.documents(q.manifest), Sql: q.request.GetSql(), Rho: q.request.GetRho()}
	analysis, err := dispatch.Do(ctx, q.Workers, nil, func(ctx context.Context, c dispatch.Client) (*concordatv1.AnalyzeResponse, error) {
		r, err := c.Analyze(ctx, connect.NewRequest(request))
		if err != nil {
			return nil, err
		}
		return r.Msg, nil
	})
	if err != nil {
		return answer.Answer{}, nil, q.workerFault(ctx, "analyse", err)
	}
	judged, err := answer.Parse(analysis.GetAnswer())
	if err != nil {
		return answer.Answer{}, nil, err
	}
	judged.QueryID, judged.Explained, judged.Rowless = q.id, q.request.GetExplain(), analysis.GetRowless()
	if judged.Verdict != answer.Refused && (analysis.GetPlanDigest() == "" || analysis.GetQuestion() == "") {
		return answer.Answer{}, nil, errors.New("a worker admitted a query without naming its plan")
	}
	return judged, analysis, nil
}

// workerFault keeps what a worker said about its insides from leaving.
func (a *API) workerFault(ctx context.Context, op string, err error) error {
	for _, reason := range []error{dispatch.ErrBusy, dispatch.ErrTooLarge, dispatch.ErrNoWorker} {
		if errors.Is(err, reason) {
			return fault.New(op, fault.Unavailable, reason)
		}
	}
	switch kind := fault.KindOf(err); kind {
	case fault.Internal:
	case fault.Conflict: // what the worker needs is not there now: the object store
		return fault.New(op, fault.Unavailable, fault.From("", err))
	default:
		return fault.From(op, err)
	}
	f := fault.New(op, fault.Internal, err)
	f.Incident = newID()
	observe.Log(ctx, a.Logger).Error().Err(err).Str(fieldIncident, f.Incident).Str(fieldOperation, op).Msg("worker failed")
	return f
}

// datasets finds the versions that the plan reads.
func (q *query) datasets(ids []string) ([]state.DatasetVersion, []answer.Refusal) {
	var found []state.DatasetVersion
	var missing []answer.Refusal
	for _, id := range slices.Sorted(slices.Values(ids)) {
		v, ok := q.State.Dataset(q.request.GetCollaboration(), id).Current()
		if ok {
			found = append(found, v)
			continue
		}
		d, _ := q.manifest.Bundle.Manifest.Dataset(id)
		if p := q.manifest.Bundle.Policies[id]; !state.Kept(p, q.Now()) {
			missing = append(missing, answer.Refusal{
				Code: answer.DatasetMissing, Owner: d.Owner, Dataset: id, Rule: "expires",
				Message: fmt.Sprintf("Dataset %s was kept until %s.", id, p.Expires), Suggestion: "A new version of its policy can say a later day; its data is uploaded anew then.",
			})
			continue
		}
		missing = append(missing, answer.Refusal{
			Code: answer.DatasetMissing, Owner: d.Owner, Dataset: id, Rule: "datasets",
			Message:    fmt.Sprintf("Dataset %s has no data yet, or it was deleted.", id),
			Suggestion: fmt.Sprintf("A steward of %s can upload it: concordat dataset upload.", d.Owner),
		})
	}
	return found, missing
}

// explained fills in what every budget would have left, and refuses when one could not pay.
func (q *query) explained(judged answer.Answer, plan string) answer.Answer {
	if q.manifest.Bundle.Manifest.Review == document.ReviewPlan {
		judged.Notes = append(judged.Notes, "Owners approve the plan of each query; this one has the digest "+plan+".")
	}
	for i := range judged.Price {
		p := &judged.Price[i]
		b, ok := q.State.Balance(q.request.GetCollaboration(), p.Owner, p.Namespace, q.who.person)
		if !ok {
			continue
		}
		amount := amountOf(*p)
		switch {
		case !b.Left.Allows(amount):
			judged.Verdict = answer.Refused
			judged.Refusals = append(judged.Refusals, exhausted(p.Owner, "", amount, b.Left))
		case !b.Share.Allows(amount):
			judged.Verdict = answer.Refused
			judged.Refusals = append(judged.Refusals, exhausted(p.Owner, q.who.person, amount, b.Share))
		}
		b.Left.Rho, b.Left.Queries = max(0, b.Left.Rho-amount.Rho), max(0, b.Left.Queries-amount.Queries)
		fill(p, b, amount)
		if b.Epsilon != nil {
			e := b.EpsilonWith(amount.Rho)
			p.EpsilonSpent = &e
		}
	}
	return judged
}

// fill tells in a price what remains after it. Amount is what one more such query would cost.
func fill(p *answer.Price, b state.Balance, amount budget.Amount) {
	b.Left = b.Left.Least(b.Share)
	if b.Private() {
		left := b.Left.Rho.Float()
		p.RemainingRho, p.EpsilonSpent = &left, b.Epsilon
	}
	if b.Counted() {
		left := b.Left.Queries
		p.RemainingQueries = &left
	}
	if amount != (budget.Amount{}) {
		more := b.Left.More(amount)
		p.AboutMore = &more
	}
}

// exhausted names whose budget cannot pay or, with a person, whose share of it.
func exhausted(owner, person string, price, left budget.Amount) answer.Refusal {
	r := answer.Refusal{Code: answer.BudgetExhausted, Owner: owner, Rule: "budget"}
	if person != "" {
		r.Rule = "budget.per_person_share"
		r.Message = fmt.Sprintf("Your share of the budget of %s cannot pay: the query costs rho %g, %g of the share remain.", owner, price.Rho.Float(), left.Rho.Float())
		r.Suggestion = "Ask for fewer aggregates, lower rho, or wait for the next period. The same question as before costs nothing."
		if price.Rho <= left.Rho {
			r.Message = fmt.Sprintf("Your share of the quota of %s is used up: %d queries of it remain.", owner, left.Queries)
			r.Suggestion = "Wait for the next period."
		}
		return r
	}
	if price.Rho > left.Rho {
		r.Message = fmt.Sprintf("The budget of %s cannot pay: the query costs rho %g, %g remain.", owner, price.Rho.Float(), left.Rho.Float())
		r.Suggestion = "Ask for fewer aggregates, lower rho, or wait for the next period. The same question as before costs nothing."
		return r
	}
	r.Message = fmt.Sprintf("The quota of %s is used up: %d queries remain.", owner, left.Queries)
	r.Suggestion = "Wait for the next period."
	return r
}

// unapproved says whose approval of a plan is missing where the manifest asks for reviews.
func unapproved(plan string, owners []string) answer.Refusal {
	return answer.Refusal{
		Code: answer.NotPermitted, Owner: owners[0], Rule: "review",
		Message:    fmt.Sprintf("Owners approve every query here. Plan %s still needs %s.", plan, strings.Join(owners, ", ")),
		Suggestion: "It is on the list of their stewards now (concordat query pending); each approves it with: concordat query approve " + plan,
	}
}

func amountOf(p answer.Price) budget.Amount {
	return budget.Amount{Rho: mechanism.FromFloat(p.Rho), Queries: p.Queries}
}

// execute reserves the price, has the query executed unless its release is there already, and commits the receipt.
func (q *query) execute(ctx context.Context, judged answer.Answer, analysis *concordatv1.AnalyzeResponse, datasets []state.DatasetVersion) (outcome, error) {
	if err := q.tell(phaseReserve); err != nil {
		return outcome{}, err
	}
	reserved, err := q.reserve(ctx, judged, analysis, datasets)
	if err != nil {
		return outcome{}, err
	}
	if short := reserved.Short; short != nil {
		judged.Verdict, judged.Refusals = answer.Refused, []answer.Refusal{exhausted(short.Owner, short.Person, short.Price, short.Left)}
		return outcome{answer: judged}, nil
	}
	if len(reserved.Review) > 0 {
		judged.Verdict, judged.Refusals = answer.Refused, []answer.Refusal{unapproved(analysis.GetPlanDigest(), reserved.Review)}
		return outcome{answer: judged}, nil
	}
	again := reserved.Query.PaidBy != q.id // somebody may have begun to execute it
	q.id = reserved.Query.ID
	if err := q.tell(phaseExecute); err != nil {
		return outcome{}, err
	}
	// From here on the work goes on without the person: it is paid for, and asking again finds it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), executeLimit)
	defer cancel()
	r, err := q.release(ctx, reserved, again)
	if err != nil {
		return outcome{}, err
	}
	if r.failure != nil {
		return outcome{answer: q.priced(answer.Answer{
			Verdict: answer.Failed, QueryID: q.id, Price: judged.Price, Mechanism: judged.Mechanism, Failure: r.failure,
		}, reserved.Query, judged.Price), grid: true}, nil
	}
	r.answer.QueryID = q.id
	return outcome{answer: q.priced(r.answer, reserved.Query, judged.Price), receipt: r.receipt, grid: true}, nil
}

func (q *query) reserve(ctx context.Context, judged answer.Answer, analysis *concordatv1.AnalyzeResponse, datasets []state.DatasetVersion) (state.Reserved, error) {
	m := q.manifest.Bundle.Manifest
	request, err := canon.SumValue([]string{q.request.GetCollaboration(), q.request.GetSql(), strconv.FormatFloat(q.request.GetRho(), 'g', -1, 64)})
	if err != nil {
		return state.Reserved{}, err
	}
	wanted := state.Query{
		ID: q.id, Collaboration: m.Collaboration, Person: q.who.person, Participant: q.who.participant,
		Key: q.request.GetIdempotencyKey(), Request: request, SQL: q.history(m.Collaboration).Seal([]byte(q.request.GetSql()), q.id),
		Rho: q.request.GetRho(), Question: analysis.GetQuestion(), Plan: analysis.GetPlanDigest(), Manifest: q.manifest.Digest,
	}
	for _, d := range datasets {
		wanted.Datasets = append(wanted.Datasets, state.DatasetRef{Dataset: d.Dataset, Version: d.Version, Digest: d.Digest})
		if entry, ok := m.Dataset(d.Dataset); ok && !slices.Contains(wanted.Owners, entry.Owner) {
			wanted.Owners = append(wanted.Owners, entry.Owner)
		}
	}
	for _, p := range judged.Price {
		wanted.Price = append(wanted.Price, state.Price{Owner: p.Owner, Namespace: p.Namespace, Amount: amountOf(p)})
	}
	slices.SortFunc(wanted.Price, func(a, b state.Price) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Namespace, b.Namespace))
	})
	reserved, _, err := state.Submit(ctx, q.Replica, q.Now(), state.Reserve{Query: wanted})
	if errors.Is(err, state.ErrChanged) {
		return reserved, fmt.Errorf("%w: %w", errChanged, err)
	}
	return reserved, err
}

// priced tells in the answer's price what this asking cost, and what is left now.
func (q *query) priced(a answer.Answer, paid state.Query, judged []answer.Price) answer.Answer {
	a.Price = slices.Clone(judged)
	for i := range a.Price {
		p := &a.Price[i]
		again := amountOf(*p)
		p.Rho, p.Queries = 0, 0
		for _, x := range paid.Price {
			if x.Owner == p.Owner && x.Namespace == p.Namespace {
				p.Rho, p.Queries = x.Amount.Rho.Float(), x.Amount.Queries
			}
		}
		if b, ok := q.State.Balance(paid.Collaboration, p.Owner, p.Namespace, q.who.person); ok {
			fill(p, b, again)
		}
	}
	return a
}

func (q *query) timeGrid() time.Duration {
	if q.manifest.Bundle == nil {
		return defaultGrid
	}
	d, err := time.ParseDuration(q.manifest.Bundle.Manifest.Release.TimeGrid)
	if err != nil {
		return defaultGrid
	}
	return d
}

const defaultGrid = 500 * time.Millisecond

func documents(m state.Manifest) *concordatv1.Documents {
	out := &concordatv1.Documents{Manifest: m.Documents.Manifest, Policies: m.Documents.Policies, Approvals: m.Approvals}
	if m.Base != nil {
		out.Previous = documents(*m.Base)
	}
	return out
}

// newID is 128 random bits in hex.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
