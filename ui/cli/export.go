package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"concordat.dev/protocol/evidence"
	"concordat.dev/protocol/evidence/sgx"
	"concordat.dev/protocol/receipt/bundle"
	"github.com/spf13/cobra"
)

// The modes of a mesh.
const (
	modeSGX        = "sgx"
	modeSimulation = "simulation"
)

// verifiers are the kinds of evidence that this program checks. A file of collateral takes the place of what evidence brings along.
func verifiers(collateral string) ([]evidence.Verifier, error) {
	v, err := sgx.New()
	if err != nil {
		return nil, err
	}
	if collateral != "" {
		raw, err := os.ReadFile(collateral) //nolint:gosec // G304: the file is the user's choice
		if err != nil {
			return nil, fmt.Errorf("read the collateral: %w", err)
		}
		if v.Collateral, err = sgx.ParseCollateral(raw); err != nil {
			return nil, fmt.Errorf("%s: %w", collateral, err)
		}
	}
	return []evidence.Verifier{v}, nil
}

func (a *app) receiptExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export FILE DIR",
		Short: "Write the parts of a receipt as files, with the commands that check them by openssl and ssh-keygen",
		Long: `Writes manifest, policies, approvals, certificates, signatures, result and log proof of a receipt into a new folder, and VERIFY.md: commands of
openssl, ssh-keygen and sha256sum that check its main signatures and digests without Concordat. Nothing is verified by exporting.`,
		Example: lines("concordat receipt export 7f3a.json 7f3a"),
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := a.readReceipt(args[0])
			if err != nil {
				return err
			}
			files, err := bundle.Files(r)
			if err != nil {
				return err
			}
			if err := writeFolder(args[1], files); err != nil {
				return err
			}
			a.say("not verified: %s says how to", filepath.Join(args[1], "VERIFY.md"))
			fmt.Fprintln(a.Out, filepath.Join(args[1], "VERIFY.md"))
			return nil
		},
	}
}

// writeFolder writes files into a folder that must be new, so that nothing of another receipt lies among them.
func writeFolder(dir string, files map[string][]byte) error {
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: name a new folder", dir)
	} else if err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return fmt.Errorf("write a part of the receipt: %w", err)
		}
	}
	return nil
}
