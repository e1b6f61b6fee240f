package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"concordat.dev/protocol/backup"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/membership"
)

func (a *app) nodeBackup() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "backup --out FILE",
		Short: "Write the coordinators' state to a file, sealed under the mesh's secret",
		Long: `One consistent state of the ledger: manifests, signatures, budgets, wraps of keys, the log. Only coordinators of this mesh can open the file; its first
line says which log is in it. Not in it: the objects (sealed data and releases), which are copied as they are, and MarbleRun's state, without which
neither opens. A backup holds the keys of datasets that are deleted later: delete backups too.`,
		Example: lines("concordat node backup --out state.backup --key clinic.key"),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" {
				return usagef("node backup: name the file with --out")
			}
			return a.backup(c.Context(), out)
		},
	}
	c.Flags().StringVar(&out, "out", "", "file to write")
	return c
}

func (a *app) backup(ctx context.Context, out string) (err error) {
	s, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(out+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // G304: the person's choice
	if err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	err = errors.Join(s.Backup(ctx, f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(out+".new", out)
	}
	if err != nil {
		return errors.Join(err, os.Remove(out+".new"))
	}
	h, _, err := openBackup(out)
	if err == nil {
		a.say("ledger %s, log of %d entries with root %s, at %s; sealed", h.Ledger, h.Size, h.Root, h.Time)
	}
	return err
}

// openBackup reads the first line of a backup; the rest stays to be read.
func openBackup(file string) (backup.Header, io.ReadCloser, error) {
	f, err := os.Open(file) //nolint:gosec // G304: the person's choice
	if err != nil {
		return backup.Header{}, nil, fmt.Errorf("read the backup: %w", err)
	}
	h, rest, err := backup.Open(f)
	if err != nil {
		return h, nil, errors.Join(fmt.Errorf("%s: %w", file, err), f.Close())
	}
	return h, struct {
		io.Reader
		io.Closer
	}{rest, f}, nil
}

func (a *app) nodeRecover() *cobra.Command {
	var f nodeFlags
	var out, statement, backup, reason string
	c := &cobra.Command{
		Use:   "recover FIRST [OTHER…]",
		Short: "Go on with a ledger whose majority is lost, from one disk or a backup, signed by all participants",
		Long: `FIRST is a coordinator that was started with 'recover: true', with the disk that is left or an empty folder; the others were started with empty
folders and 'join: true'. ('concordat up --recover NAME' does so for the mesh of this machine, and keeps old folders.)

1. --out FILE drafts and signs the statement: the ledger goes on from the log that FIRST's disk, or --backup, holds, with these coordinators.
2. Each organisation compares size and root with what it saw of the log, and signs: 'concordat node sign FILE'.
3. --statement FILE hands it to FIRST, with --backup where there is no disk.

The recovery is a leaf of the log for ever. Everything after the named size is given up: receipts beyond it fail 'concordat log verify', witnesses
that saw more refuse to cosign, and all collaborations are paused until each participant resumes.`,
		Example: lines("concordat node recover c1:7301 c2:7301 c3:7301 --out recovery.json --key clinic.key", "concordat node recover c1:7301 --statement recovery.json",
			"concordat node recover c1:7301 c2:7301 c3:7301 --backup state.backup --out recovery.json --key clinic.key"),
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case (out == "") == (statement == ""):
				return usagef("node recover: say either --out FILE, to draft, or --statement FILE, to hand in what all signed")
			case statement != "":
				return a.handRecovery(c.Context(), args[0], statement, backup)
			}
			keys, err := a.signers(f.all)
			if err != nil {
				return err
			}
			return a.draftRecovery(c.Context(), args, backup, out, reason, keys)
		},
	}
	c.Flags().BoolVar(&f.all, "all-keys", false, "sign with every key in HOME/keys, where one person holds them all")
	c.Flags().StringVar(&out, "out", "", "file for the drafted statement")
	c.Flags().StringVar(&statement, "statement", "", "file with the statement that all signed")
	c.Flags().StringVar(&backup, "backup", "", "backup to restore ('concordat node backup'), where FIRST's folder is empty")
	c.Flags().StringVar(&reason, "reason", "", "what happened, for the log")
	return c
}

func (a *app) draftRecovery(ctx context.Context, nodes []string, backupFile, out, reason string, keys []key.Private) error {
	said := membership.Statement{Action: membership.Recover, Issued: time.Now().UTC().Format(time.RFC3339), Reason: reason}
	for i, address := range nodes {
		_, self, err := a.coordinator(ctx, address)
		if err != nil {
			return err
		}
		want := "joining"
		if i == 0 {
			want = "recovering"
			said.Ledger, said.Number = self.GetLedger(), int(self.GetNumber())+1
			said.From = &membership.Checkpoint{Size: int64(self.GetSize()), Root: self.GetRoot()} //nolint:gosec // a size
			if who := self.GetDemanded(); len(who) > 0 {
				a.say("who has to sign: %s", strings.Join(who, ", "))
			}
		}
		if self.GetPhase() != want {
			return fmt.Errorf("the coordinator at %s is %s, and should be %s", address, self.GetPhase(), want)
		}
		k, err := key.ParsePublic(self.GetNode())
		if err != nil {
			return err
		}
		said.Voters = append(said.Voters, membership.Node{Key: k, Address: self.GetAddress()})
	}
	if backupFile != "" {
		h, file, err := openBackup(backupFile)
		if err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
		said.Ledger, said.Number, said.From = h.Ledger, h.Number+1, &membership.Checkpoint{Size: h.Size, Root: h.Root}
	}
	envelope, err := membership.Sign(said, keys...)
	if err != nil {
		return err
	}
	if err := writeEnvelope(out, envelope); err != nil {
		return err
	}
	a.say("%s", describeChange(said))
	a.say("signed into %s; next: each organisation 'concordat node sign %s', then 'concordat node recover %s --statement %s'", out, out, nodes[0], out)
	return nil
}

func (a *app) handRecovery(ctx context.Context, address, statement, backupFile string) error {
	raw, err := os.ReadFile(statement) //nolint:gosec // G304: the person's choice
	if err != nil {
		return fmt.Errorf("read the statement: %w", err)
	}
	c, _, err := a.coordinator(ctx, address)
	if err != nil {
		return err
	}
	var sealed io.ReadCloser
	if backupFile != "" {
		if _, sealed, err = openBackup(backupFile); err != nil {
			return err
		}
		defer func() { _ = sealed.Close() }()
	}
	index, err := c.Recover(ctx, []byte(strings.TrimSuffix(string(raw), "\n")), reader(sealed))
	if err != nil {
		return err
	}
	a.say("the ledger goes on; the recovery is entry %d of its log. Everything is paused: each participant looks at 'concordat dataset list',", index)
	a.say("deletes again what it had deleted, and says 'concordat manifest resume'")
	return nil
}

// reader is nil for no reader.
func reader(r io.ReadCloser) io.Reader {
	if r == nil {
		return nil
	}
	return r
}
