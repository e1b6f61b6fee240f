package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"concordat.dev/protocol/canon"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
	"concordat.dev/ui/client"
	"concordat.dev/ui/present"
	"github.com/spf13/cobra"
)

// signedStatement signs a statement about documents, with a fresh nonce and the time where its action needs them.
func signedStatement(d client.Documents, action statement.Action, reason string, keys ...key.Private) ([]byte, error) {
	s := d.Statement(action)
	s.Reason = reason
	return signSaid(s, keys...)
}

func signSaid(s statement.Statement, keys ...key.Private) ([]byte, error) {
	if s.Action != statement.Propose && s.Action != statement.Approve {
		var nonce [16]byte
		_, _ = rand.Read(nonce[:]) // never fails
		s.Nonce, s.Issued = hex.EncodeToString(nonce[:]), time.Now().UTC().Format(time.RFC3339)
	}
	envelope, err := statement.Sign(s, keys...)
	if err != nil {
		return nil, err
	}
	return envelope.Marshal()
}

// manifestStatement is a signed statement about the version in force; reject is about the proposed one, offboard names a person.
func (a *app) manifestStatement(action statement.Action, short string) *cobra.Command {
	var reason string
	var yes bool
	use, example, args := string(action), "", cobra.NoArgs
	if action == statement.Offboard {
		use, example, args = "offboard PERSON", " ann@clinic.example", cobra.ExactArgs(1)
	}
	c := &cobra.Command{
		Use:     use,
		Short:   short,
		Long:    short + ".\nThe statement is signed by the organisation's key, names this version by its digest, and stays in the log.",
		Example: lines(fmt.Sprintf("concordat manifest %s%s --reason 'data incident' --key clinic.key", action, example)),
		Args:    args,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.session(c.Context())
			if err != nil {
				return err
			}
			about := s.InForce
			if action == statement.Reject {
				about = func(ctx context.Context, _ string) (client.Documents, error) { return a.documents(ctx, s, 0) }
			}
			d, err := about(c.Context(), s.collaboration)
			if err != nil {
				return err
			}
			said := d.Statement(action)
			said.Reason = reason
			if len(args) > 0 {
				said.Person = args[0]
			}
			if err := a.confirm(yes, fmt.Sprintf("%s %s version %d?", strings.Join(append([]string{string(action)}, args...), " "), d.Manifest.Collaboration, d.Manifest.Version)); err != nil {
				return err
			}
			status, err := a.submit(c.Context(), s, said)
			if err != nil {
				return err
			}
			a.say("%s version %d is now %s", d.Manifest.Collaboration, d.Manifest.Version, status.GetState())
			if off := status.GetOff(); len(off) > 0 {
				a.say("without authority: %s", strings.Join(off, ", "))
			}
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the other participants")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// submit signs a statement with the session's key and hands it in.
func (a *app) submit(ctx context.Context, s session, said statement.Statement) (*concordatv1.ManifestStatus, error) {
	envelope, err := signSaid(said, s.key)
	if err != nil {
		return nil, err
	}
	return client.Unary(ctx, s.Client, &concordatv1.SubmitStatementRequest{Collaboration: s.collaboration, Statement: envelope}, client.Services.SubmitStatement)
}

func (a *app) queryPending() *cobra.Command {
	return a.listCommand(&cobra.Command{
		Use:     "pending",
		Short:   "Plans that owners approved or are asked to, where the manifest says review: plan",
		Long:    "A query runs there once every owner whose data it reads approved the digest of its plan, for the version in force.",
		Example: lines("concordat query pending", "concordat query pending --format json"),
		Args:    cobra.NoArgs,
	}, "no plans: nobody asked under this version", func(ctx context.Context, s session, _ []string) ([]byte, error) {
		r, err := client.Unary(ctx, s.Client, &concordatv1.ListPlansRequest{Collaboration: s.collaboration}, client.Services.ListPlans)
		return r.GetPlans(), err
	}, plansTable)
}

func plansTable(raw []byte) (present.Grid, error) {
	var plans []struct {
		Plan    string   `json:"plan"`
		State   string   `json:"state"`
		Person  string   `json:"person"`
		SQL     string   `json:"sql"`
		Missing []string `json:"missing"`
	}
	g := present.Grid{Columns: []present.Column{{Name: "state"}, {Name: "missing"}, {Name: "asked by"}, {Name: "plan"}, {Name: "query"}}}
	if err := json.Unmarshal(raw, &plans); err != nil {
		return g, fmt.Errorf("read the plans: %w", err)
	}
	for _, p := range plans {
		g.Rows = append(g.Rows, []string{p.State, strings.Join(p.Missing, ", "), p.Person, p.Plan, short(p.SQL, 80)})
	}
	return g, nil
}

func (a *app) queryApprove() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "approve PLAN",
		Short: "Let queries of a plan run, in the name of an owner: with the organisation's key or a steward's",
		Long: `Signs the digest of a plan, as 'concordat query pending' lists it, for the version in force. All queries that have this plan may then
run, whoever asks them; budgets hold as ever. A new version of the manifest needs new approvals.`,
		Example: lines("concordat query approve sha256:… --key dana.key"),
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			plan, err := canon.ParseDigest(args[0])
			if err != nil {
				return usagef("query approve: %w", err)
			}
			s, err := a.session(c.Context())
			if err != nil {
				return err
			}
			d, err := s.InForce(c.Context(), s.collaboration)
			if err != nil {
				return err
			}
			if err := a.confirm(yes, fmt.Sprintf("Approve plan %s under %s version %d?", plan, s.collaboration, d.Manifest.Version)); err != nil {
				return err
			}
			said := d.Statement(statement.ApprovePlan)
			said.Subject = plan
			if _, err := a.submit(c.Context(), s, said); err != nil {
				return err
			}
			a.say("approved %s", plan)
			return nil
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}
