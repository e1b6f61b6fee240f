package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/receipt"
	"concordat.dev/ui/client"
	"concordat.dev/ui/present"
	"github.com/spf13/cobra"
)

func (a *app) logCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "log",
		Short:   "The transparency log of the ledger",
		Long:    "An append-only Merkle tree of all that was agreed, uploaded, reserved and released; its leaves hide what they commit to.",
		Example: lines("concordat log checkpoint", "concordat log verify"),
	}
	var start uint64
	var limit uint32
	entries := a.listCommand(&cobra.Command{
		Use:     "entries",
		Short:   "Entries of the collaboration in the log",
		Long:    "For stewards, auditors and organisations. json holds salt and body of each entry, so that its leaf can be computed.",
		Example: lines("concordat log entries --key otto.key", "concordat log entries --start 10 --limit 50 --format json"),
		Args:    cobra.NoArgs,
	}, "no entries", func(ctx context.Context, s session, _ []string) ([]byte, error) {
		r, err := client.Unary(ctx, s.Client, &concordatv1.EntriesRequest{Collaboration: s.collaboration, Start: start, Limit: limit}, client.Services.Entries)
		return r.GetEntries(), err
	}, func(raw []byte) (present.Grid, error) { return present.Records(raw, "salt", "body") })
	entries.Flags().Uint64Var(&start, "start", 0, "index of the first entry")
	entries.Flags().Uint32Var(&limit, "limit", 100, "how many")
	c.AddCommand(&cobra.Command{
		Use:     "checkpoint",
		Short:   "The newest signed checkpoint, after checking its signature",
		Long:    "Prints the signed note (C2SP tlog-checkpoint), which others can compare with theirs.",
		Example: lines("concordat log checkpoint"),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.signedIn(c.Context())
			if err != nil {
				return err
			}
			ledger, log, err := s.LogKey(c.Context())
			if err != nil {
				return err
			}
			now, err := s.Checkpoint(c.Context(), ledger, log, client.Checkpoint{})
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.Out, now.Note)
			return err
		},
	}, a.logKey(), entries, &cobra.Command{
		Use:   "verify",
		Short: "Check that the log only grew since it was last seen, and since each receipt in HOME/receipts",
		Long: `Fetches the newest checkpoint, checks the ledger's signature and, by consistency proofs, that the log begins with what was seen before:
the last checkpoint that was verified from here (HOME/checkpoints), and the checkpoint in every receipt of this ledger in HOME/receipts.
A log that was cut, or forked, does not pass.`,
		Example: lines("concordat log verify"),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.verifyLog(c.Context())
		},
	})
	return c
}

func (a *app) verifyLog(ctx context.Context) error {
	s, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	ledger, log, err := s.LogKey(ctx)
	if err != nil {
		return err
	}
	seen, err := client.SeenCheckpoint(a.home, ledger, log)
	if err != nil {
		return err
	}
	now, err := s.Checkpoint(ctx, ledger, log, seen)
	if err != nil {
		return fmt.Errorf("%w%s", err, a.givenUp(ctx, s, seen.Size, client.SeenAt(a.home, ledger)))
	}
	since := "nothing was seen before"
	if seen.Size > 0 {
		since = fmt.Sprintf("it begins with the %d that were seen before", seen.Size)
	}
	fmt.Fprintf(a.Out, "ok    log of ledger %s: %s, root %s; %s\n", ledger, present.Count(now.Size, "entry"), now.Root, since)
	failed, err := a.verifyReceipts(ctx, s, ledger, log)
	if err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d receipts are not in this log", failed)
	}
	return now.Keep(a.home, ledger)
}

// verifyReceipts checks that the log grew out of the checkpoint of each receipt of this ledger.
func (a *app) verifyReceipts(ctx context.Context, s session, ledger string, log key.Public) (failed int, err error) {
	files, err := filepath.Glob(filepath.Join(a.home, receiptFolder, "*.json"))
	if err != nil {
		return 0, err
	}
	verified := map[string]error{} // by checkpoint
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return failed, fmt.Errorf("read a receipt: %w", err)
		}
		r, err := receipt.Parse([]byte(strings.TrimSuffix(string(raw), "\n")))
		if err != nil {
			return failed, fmt.Errorf("%s: %w", file, err)
		}
		then, err := client.OpenCheckpoint(r.Checkpoint, ledger, log)
		if err != nil {
			a.say("skipped %s: not of this ledger (%v)", file, err)
			continue
		}
		result, done := verified[r.Checkpoint]
		if !done {
			_, result = s.Checkpoint(ctx, ledger, log, then)
			verified[r.Checkpoint] = result
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if result != nil {
			failed++
			fmt.Fprintf(a.Out, "FAIL  receipt %s: not in the log: %v%s\n", name, result, a.givenUp(ctx, s, then.Size, reserved(r)))
			continue
		}
		fmt.Fprintf(a.Out, "ok    receipt %s: its log of %s is the beginning of this one\n", name, present.Count(then.Size, "entry"))
	}
	return failed, nil
}
