package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"concordat.dev/protocol/dsse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/membership"
	"concordat.dev/ui/client"
	"concordat.dev/ui/mesh"
)

func (a *app) nodeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "node",
		Short: "The coordinators of the ledger: join, remove, back up, recover",
		Long: `Coordinators change only by statements that all participants of all collaborations in force sign (before the first manifest: a founder);
each statement names the ledger and is used once, and stays in the log. A coordinator that joins is started with 'join: true' in its
configuration and makes its own key.

Lost for good is a ledger only with a majority of its coordinators' disks: 'concordat node backup' keeps its state, sealed, and
'concordat node recover' goes on from a backup or from one disk that is left, with the signatures of all. docs/OPERATIONS.md has the drills.`,
		Example: lines("concordat node list", "concordat node join c4.example:7301 --key clinic.key", "concordat node sign --key registry.key", "concordat node backup --out state.backup"),
	}
	c.AddCommand(a.nodeList(), a.nodeShow(), a.nodeJoin(), a.nodeRemove(), a.nodeSign(), a.nodeAnnounce(), a.nodeBackup(), a.nodeRecover())
	return c
}

func (a *app) nodeShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show HOST:PORT",
		Short:   "What one coordinator is: its key, and whether it joins, serves, was removed or waits for a recovery",
		Long:    "Asks one coordinator over the verified channel. Its key and address are what a statement about it names.",
		Example: lines("concordat node show c4.example:7301"),
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			_, self, err := a.coordinator(c.Context(), args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(a.Out, "phase    %s\nkey      %s\naddress  %s\n", self.GetPhase(), self.GetNode(), self.GetAddress())
			if self.GetLedger() != "" {
				fmt.Fprintf(a.Out, "ledger   %s\nlog      %d entries, root %s\nchange   %d\n", self.GetLedger(), self.GetSize(), self.GetRoot(), self.GetNumber())
			}
			if self.GetDetail() != "" {
				a.say("%s", self.GetDetail())
			}
			return nil
		},
	}
}

// coordinator asks one coordinator what it is. A name of the home's mesh will do.
func (a *app) coordinator(ctx context.Context, address string) (*client.Client, *concordatv1.SelfResponse, error) {
	cfg, err := a.where()
	if err != nil {
		return nil, nil, err
	}
	if local, err := a.localMesh(); err == nil && local != nil {
		if i := slices.IndexFunc(local.Coordinators, func(c mesh.CoordinatorAddress) bool { return c.Name == address }); i >= 0 {
			address = local.Coordinators[i].API
		}
	}
	cfg.Addresses, cfg.Patience = []string{address}, 3*time.Second
	c, err := client.New(cfg.Anonymous())
	if err != nil {
		return nil, nil, err
	}
	self, err := c.Self(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("ask coordinator %s: %w", address, err)
	}
	return c, self, nil
}

func (a *app) nodeList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "The coordinators, the changes that were signed and those that lack signatures",
		Long:    "What the ledger's log says of its coordinators: who they are, which statements made them so, which recoveries there were.",
		Example: lines("concordat node list --key clinic.key"),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.signedIn(c.Context())
			if err != nil {
				return err
			}
			m, err := s.Membership(c.Context())
			if err != nil {
				return err
			}
			return a.listNodes(m)
		},
	}
}

func (a *app) listNodes(m *concordatv1.MembershipResponse) error {
	for _, n := range m.GetNodes() {
		role, there := "voter", "answers"
		if !n.GetVoter() {
			role = "learner"
		}
		if !n.GetReachable() {
			there = "does not answer"
		}
		fmt.Fprintf(a.Out, "%-8s %-22s %s  %s\n", role, n.GetAddress(), n.GetId(), there)
	}
	for _, change := range m.GetChanges() {
		said, err := membership.Parse(change.GetStatement())
		if err != nil {
			return err
		}
		fmt.Fprintf(a.Out, "change %d  %s  leaf %d  %s\n", said.Number, change.GetAt(), change.GetIndex(), describeChange(said))
	}
	for _, change := range m.GetProposed() {
		said, err := membership.Parse(change.GetStatement())
		if err != nil {
			return err
		}
		fmt.Fprintf(a.Out, "proposed  %s; signatures missing: %s\n", describeChange(said), strings.Join(change.GetMissing(), ", "))
	}
	if !m.GetSettled() {
		a.say("change %d is being carried out", m.GetNumber())
	}
	return nil
}

// upForRecovery brings the mesh of this machine up so that its ledger can be recovered.
func (a *app) upForRecovery(ctx context.Context, o mesh.Options) error {
	o.Progress = func(step string) { a.say("%s", step) }
	m, err := mesh.Up(ctx, o)
	if err != nil {
		return err
	}
	names := []string{o.Recover}
	for _, c := range m.State().Coordinators {
		if c.Name != o.Recover {
			names = append(names, c.Name)
		}
	}
	a.say("they wait. next: 'concordat node recover %s --out recovery.json [--backup FILE]'", strings.Join(names, " "))
	return nil
}

// describeChange says what a statement does.
func describeChange(s membership.Statement) string {
	text := ""
	switch s.Action {
	case membership.Join:
		text = fmt.Sprintf("%s joins at %s", s.Node.Key, s.Node.Address)
	case membership.Remove:
		text = fmt.Sprintf("%s is removed", s.Node.Key)
	case membership.Recover:
		text = fmt.Sprintf("RECOVERED: goes on from the log of %d entries with root %s, with %d coordinators; entries after that were given up",
			s.From.Size, s.From.Root, len(s.Voters))
	}
	if s.Reason != "" {
		text += " (" + s.Reason + ")"
	}
	return text
}

// signers are the keys that sign: --key, else, where all is wanted, all keys of the home.
func (a *app) signers(all bool) ([]key.Private, error) {
	if a.keyFile != "" || !all {
		k, err := a.key()
		return []key.Private{k}, err
	}
	files, err := filepath.Glob(filepath.Join(a.home, keyFolder, "*"+keyEnding))
	if err != nil {
		return nil, fmt.Errorf("look for keys: %w", err)
	}
	var out []key.Private
	for _, file := range files {
		k, err := key.Load(file)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no keys in %s", filepath.Join(a.home, keyFolder))
	}
	return out, nil
}

// asAny calls with each of some keys until the mesh lets one do it.
func (a *app) asAny(ctx context.Context, keys []key.Private, call func(session) error) error {
	var last error
	for _, k := range keys {
		cfg, err := a.where()
		if err != nil {
			return err
		}
		if cfg.Key = k; cfg.Ledger == "" {
			if cfg.Ledger, err = a.ledgerOf(ctx, cfg); err != nil {
				return err
			}
		}
		c, err := client.New(cfg)
		if err != nil {
			return err
		}
		if last = call(session{Client: c, key: k}); last == nil {
			return nil
		}
		if code := connect.CodeOf(last); code != connect.CodePermissionDenied && code != connect.CodeUnauthenticated {
			return last
		}
	}
	return last
}

func (a *app) ledgerOf(ctx context.Context, cfg client.Config) (string, error) {
	c, err := client.New(cfg.Anonymous())
	if err != nil {
		return "", err
	}
	status, err := c.Status(ctx)
	return status.GetLedger(), err
}

// changeNodes signs a statement, or adds signatures to one that waits, and hands it in.
func (a *app) changeNodes(ctx context.Context, said membership.Statement, keys []key.Private) (m *concordatv1.MembershipResponse, err error) {
	envelope, err := membership.Sign(said, keys...)
	if err != nil {
		return nil, err
	}
	raw, err := envelope.Marshal()
	if err != nil {
		return nil, err
	}
	err = a.asAny(ctx, keys, func(s session) (err error) {
		m, err = s.ChangeNodes(ctx, raw)
		return err
	})
	return m, err
}

// settle waits until a change is carried out, or tells who still has to sign it.
func (a *app) settle(ctx context.Context, m *concordatv1.MembershipResponse, number int, keys []key.Private, limit time.Duration) (done bool, err error) {
	if int(m.GetNumber()) < number {
		for _, p := range m.GetProposed() {
			if said, err := membership.Parse(p.GetStatement()); err == nil {
				a.say("%s; signatures missing: %s ('concordat node sign' with their keys)", describeChange(said), strings.Join(p.GetMissing(), ", "))
			}
		}
		return false, nil
	}
	a.say("change %d is signed by all; the coordinators carry it out", number)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for tick := time.NewTicker(200 * time.Millisecond); !m.GetSettled() || int(m.GetNumber()) < number; {
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("change %d is signed, but was not carried out in %s: 'concordat node list' tells whether all coordinators answer", number, limit)
		case <-tick.C:
		}
		if err := a.asAny(ctx, keys, func(s session) (err error) {
			m, err = s.Membership(ctx)
			return err
		}); err != nil && connect.CodeOf(err) != connect.CodeUnavailable {
			return false, err
		}
	}
	return true, a.listNodes(m)
}

// appendSignatures signs the payload of an envelope with more keys, in place of what they signed before.
func appendSignatures(e dsse.Envelope, keys []key.Private) (dsse.Envelope, error) {
	if e.PayloadType != membership.PayloadType {
		return e, errors.New("the file holds no statement about coordinators")
	}
	for _, s := range dsse.Sign(e.PayloadType, e.Payload, keys...).Signatures {
		e.Signatures = append(slices.DeleteFunc(e.Signatures, func(old dsse.Signature) bool { return old.KeyID == s.KeyID }), s)
	}
	return e, nil
}
