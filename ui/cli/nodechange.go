package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"concordat.dev/protocol/dsse"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/membership"
	"concordat.dev/ui/mesh"
)

// nodeFlags are those of commands that sign.
type nodeFlags struct {
	reason string
	all    bool
	yes    bool
	limit  time.Duration
}

func (f *nodeFlags) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.all, "all-keys", false, "sign with every key in HOME/keys, where one person holds them all")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	c.Flags().DurationVar(&f.limit, "timeout", 2*time.Minute, "how long to wait for the change to be carried out")
}

func (a *app) nodeJoin() *cobra.Command {
	var f nodeFlags
	var local bool
	c := &cobra.Command{
		Use:   "join HOST:PORT | join --local [NAME]",
		Short: "Let a coordinator that waits ('join: true') become one of the ledger's",
		Long: `Asks the waiting coordinator, at its API address, for its key and address, and signs that it joins this ledger. All participants of all
collaborations in force have to sign ('concordat node sign'); then the leader takes it in, first without a vote, and as a voter once it has
caught up.

With --local a new coordinator of the mesh on this machine is started, or NAME anew with an empty folder, when its old key was removed. Workers are
started again, one after another, to announce themselves to it; without --local add it to their configuration.`,
		Example: lines("concordat node join c4.example:7301 --key clinic.key", "concordat node join --local --all-keys", "concordat node join --local coordinator-3 --all-keys"),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if !local && len(args) == 0 {
				return usagef("node join: name the address of the coordinator that waits, or say --local")
			}
			keys, err := a.signers(f.all)
			if err != nil {
				return err
			}
			if local {
				return a.joinLocal(c.Context(), strings.Join(args, ""), keys, f)
			}
			_, err = a.join(c.Context(), args[0], keys, f)
			return err
		},
	}
	f.add(c)
	c.Flags().BoolVar(&local, "local", false, "start the coordinator on this machine, in the mesh of --home")
	c.Flags().StringVar(&f.reason, "reason", "", "why, for the other participants")
	return c
}

// join signs that the coordinator at an address joins, and waits where all have signed.
func (a *app) join(ctx context.Context, address string, keys []key.Private, f nodeFlags) (done bool, err error) {
	_, self, err := a.coordinator(ctx, address)
	if err != nil {
		return false, err
	}
	if self.GetPhase() != "joining" {
		return false, fmt.Errorf("the coordinator at %s is %s: one that joins starts with an empty folder and `join: true`", address, self.GetPhase())
	}
	k, err := key.ParsePublic(self.GetNode())
	if err != nil {
		return false, err
	}
	said := membership.Statement{Action: membership.Join, Node: &membership.Node{Key: k, Address: self.GetAddress()}, Reason: f.reason}
	return a.proposeNodes(ctx, said, keys, f, func(m *concordatv1.MembershipResponse) error {
		for _, n := range m.GetNodes() {
			if n.GetAddress() == self.GetAddress() {
				return fmt.Errorf("%s is the address of the coordinator %s: remove that one first ('concordat node remove %s')", n.GetAddress(), n.GetId(), n.GetId())
			}
		}
		return nil
	})
}

// proposeNodes gives a statement ledger and number, has it confirmed, signs it and hands it in.
func (a *app) proposeNodes(ctx context.Context, said membership.Statement, keys []key.Private, f nodeFlags, check func(*concordatv1.MembershipResponse) error) (bool, error) {
	var m *concordatv1.MembershipResponse
	err := a.asAny(ctx, keys, func(s session) (err error) {
		m, err = s.Membership(ctx)
		return err
	})
	if err != nil {
		return false, err
	}
	if err := check(m); err != nil {
		return false, err
	}
	said.Ledger, said.Number = m.GetLedger(), int(m.GetNumber())+1
	if err := a.confirm(f.yes || f.all, "Sign: "+describeChange(said)+"?"); err != nil {
		return false, err
	}
	if m, err = a.changeNodes(ctx, said, keys); err != nil {
		return false, err
	}
	return a.settle(ctx, m, said.Number, keys, f.limit)
}

func (a *app) joinLocal(ctx context.Context, name string, keys []key.Private, f nodeFlags) error {
	m, err := mesh.Attach(ctx, mesh.Options{Home: a.home, Progress: func(step string) { a.say("%s", step) }})
	if err != nil {
		return err
	}
	defer m.Release()
	c, err := m.Join(ctx, name)
	if err != nil {
		return err
	}
	a.say("%s waits at %s", c.Name, c.API)
	done, err := a.join(ctx, c.API, keys, f)
	if err != nil {
		return err
	}
	if !done {
		a.say("once all have signed: 'concordat node announce'")
		return nil
	}
	return m.Reannounce(ctx)
}

func (a *app) nodeAnnounce() *cobra.Command {
	return &cobra.Command{
		Use:     "announce",
		Short:   "Start the workers of this machine's mesh again, so that they know all of its coordinators",
		Long:    "Workers announce themselves to the coordinators of their configuration, which is written when they start. One is started after another.",
		Example: lines("concordat node announce"),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := mesh.Attach(c.Context(), mesh.Options{Home: a.home, Progress: func(step string) { a.say("%s", step) }})
			if err != nil {
				return err
			}
			defer m.Release()
			return m.Reannounce(c.Context())
		},
	}
}

func (a *app) nodeRemove() *cobra.Command {
	var f nodeFlags
	c := &cobra.Command{
		Use:   "remove KEY | HOST:PORT | NAME",
		Short: "Remove a coordinator: one that goes, or whose disk is lost",
		Long: `Signs that a coordinator is removed: named by its key, by the address of its raft side, or by its name in the mesh of this machine. All participants of
all collaborations in force have to sign. It is removed while a majority of those that remain answers; a leader hands over first. What was
acknowledged stays. On this machine its process ends then, and what its folder held is kept beside it.`,
		Example: lines("concordat node remove coordinator-3 --all-keys", "concordat node remove ed25519:… --key clinic.key --reason 'disk lost'"),
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			keys, err := a.signers(f.all)
			if err != nil {
				return err
			}
			return a.remove(c.Context(), args[0], keys, f)
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.reason, "reason", "", "why, for the other participants")
	return c
}

func (a *app) remove(ctx context.Context, which string, keys []key.Private, f nodeFlags) error {
	local, err := a.localMesh()
	if err != nil {
		return err
	}
	address, name := which, ""
	if local != nil {
		for _, c := range local.Coordinators {
			if c.Name == which || c.Raft == which {
				address, name = c.Raft, c.Name
			}
		}
	}
	said := membership.Statement{Action: membership.Remove, Reason: f.reason}
	done, err := a.findAndRemove(ctx, &said, address, keys, f)
	if err != nil || !done || name == "" {
		return err
	}
	m, err := mesh.Attach(ctx, mesh.Options{Home: a.home})
	if err != nil {
		return fmt.Errorf("it is removed, but its process could not be ended: %w", err)
	}
	defer m.Release()
	return m.Leave(name)
}

// findAndRemove names the coordinator by its key, as the ledger has it.
func (a *app) findAndRemove(ctx context.Context, said *membership.Statement, which string, keys []key.Private, f nodeFlags) (bool, error) {
	var m *concordatv1.MembershipResponse
	if err := a.asAny(ctx, keys, func(s session) (err error) {
		m, err = s.Membership(ctx)
		return err
	}); err != nil {
		return false, err
	}
	id := which
	if i := slices.IndexFunc(m.GetNodes(), func(n *concordatv1.Node) bool { return n.GetAddress() == which }); i >= 0 {
		id = m.GetNodes()[i].GetId()
	}
	k, err := key.ParsePublic(id)
	if err != nil {
		return false, usagef("node remove: %q is no key, and no address or name of a coordinator: 'concordat node list' shows them", which)
	}
	said.Node = &membership.Node{Key: k}
	return a.proposeNodes(ctx, *said, keys, f, func(*concordatv1.MembershipResponse) error { return nil })
}

func (a *app) nodeSign() *cobra.Command {
	var f nodeFlags
	c := &cobra.Command{
		Use:   "sign [FILE]",
		Short: "Sign a change of coordinators that another organisation proposed, or a recovery in a file",
		Long: `Without a file: shows each change that waits for signatures and signs it. With a file ('concordat node recover --out'): shows the recovery, signs
it, and writes the signature into the file, for the next organisation. Who signs a recovery agrees that everything in the log after the named size
is given up: compare size and root with your own newest checkpoint and receipts ('concordat log verify') first.`,
		Example: lines("concordat node sign --key registry.key", "concordat node sign recovery.json --key registry.key"),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			keys, err := a.signers(f.all)
			if err != nil {
				return err
			}
			if len(args) > 0 {
				return a.signFile(args[0], keys, f)
			}
			return a.signProposed(c.Context(), keys, f)
		},
	}
	f.add(c)
	return c
}

func (a *app) signProposed(ctx context.Context, keys []key.Private, f nodeFlags) error {
	var m *concordatv1.MembershipResponse
	if err := a.asAny(ctx, keys, func(s session) (err error) {
		m, err = s.Membership(ctx)
		return err
	}); err != nil {
		return err
	}
	if len(m.GetProposed()) == 0 {
		a.say("no change of coordinators waits for signatures")
		return nil
	}
	for _, p := range m.GetProposed() {
		said, err := membership.Parse(p.GetStatement())
		if err != nil {
			return err
		}
		if err := a.confirm(f.yes || f.all, "Sign: "+describeChange(said)+"?"); err != nil {
			return err
		}
		now, err := a.changeNodes(ctx, said, keys)
		if err != nil {
			return err
		}
		done, err := a.settle(ctx, now, said.Number, keys, f.limit)
		if err != nil || done {
			return err
		}
	}
	return nil
}

func (a *app) signFile(file string, keys []key.Private, f nodeFlags) error {
	raw, err := os.ReadFile(file) //nolint:gosec // G304: the person's choice
	if err != nil {
		return fmt.Errorf("read the statement: %w", err)
	}
	envelope, err := dsse.Parse([]byte(strings.TrimSuffix(string(raw), "\n")))
	if err != nil {
		return err
	}
	said, err := membership.Parse(envelope.Payload)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Err, "ledger %s, change %d of its coordinators\n%s\n", said.Ledger, said.Number, describeChange(said))
	for _, v := range said.Voters {
		fmt.Fprintf(a.Err, "  %s at %s\n", v.Key, v.Address)
	}
	if err := a.confirm(f.yes || f.all, "Sign it?"); err != nil {
		return err
	}
	if envelope, err = appendSignatures(envelope, keys); err != nil {
		return err
	}
	a.say("%d signatures", len(envelope.Signatures))
	return writeEnvelope(file, envelope)
}

func writeEnvelope(file string, e dsse.Envelope) error {
	raw, err := e.Marshal()
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o600) //nolint:gosec // G703: the person's choice
}
