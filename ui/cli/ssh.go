package cli

import (
	"errors"
	"fmt"
	"os"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
	"concordat.dev/ui/client"
	"github.com/spf13/cobra"
)

// manifestApprovalPayload writes what a participant signs, for keys that only ssh-keygen may use.
func (a *app) manifestApprovalPayload() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "approval-payload [DIR]",
		Short: "Write the bytes of an approval, for ssh-keygen to sign",
		Long: `Writes the bytes that every participant signs, of a directory that pins its mesh or of the mesh's newest version. A participant whose key in the
manifest is one of SSH (ssh-ed25519 …) signs them with ssh-keygen, also from an agent or a token, and hands the signature in:

  concordat manifest approval-payload room --out approval
  ssh-keygen -Y sign -n ` + dsse.SSHNamespace + ` -f ~/.ssh/id_ed25519 approval
  concordat manifest sign --ssh-signature approval.sig --key steward.key

The last command speaks to the mesh as the person whose key it names, a steward or auditor of that participant.`,
		Example: lines("concordat manifest approval-payload room --out approval", "concordat manifest approval-payload --key steward.key > approval"),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := a.localOrMesh(c.Context(), args, 0)
			if err != nil {
				return err
			}
			return a.writeApproval(d, out)
		},
	}
	c.Flags().StringVar(&out, "out", "", "file to write them to (default: standard output)")
	return c
}

func (a *app) writeApproval(d client.Documents, out string) error {
	if problems := d.Validate(document.Signed); len(problems) > 0 {
		return fmt.Errorf("this cannot be signed: %s", problems[0])
	}
	payload, err := approvalOf(d)
	if err != nil {
		return err
	}
	signed := dsse.PAE(statement.PayloadType, payload)
	a.say("approval of %s version %d, digest %s", d.Manifest.Collaboration, d.Manifest.Version, d.Digest)
	if out == "" {
		_, err = a.Out.Write(signed)
		return err
	}
	if err := os.WriteFile(out, signed, 0o600); err != nil {
		return fmt.Errorf("write the approval's bytes: %w", err)
	}
	a.say("next: ssh-keygen -Y sign -n %s -f KEY %s", dsse.SSHNamespace, out)
	return nil
}

// approvalOf is the payload of the statement by which these documents are approved; the same for all participants.
func approvalOf(d client.Documents) ([]byte, error) {
	s := d.Statement(statement.Approve)
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return canon.Marshal(s)
}

// sshApproval makes an approval of d from a signature file of ssh-keygen, and names the key that signed.
func sshApproval(d client.Documents, file string) ([]byte, key.Public, error) {
	armored, err := os.ReadFile(file) //nolint:gosec // G304: the file is the user's choice
	if err != nil {
		return nil, key.Public{}, fmt.Errorf("read the signature: %w", err)
	}
	signer, blob, err := key.ParseSSHSignature(armored)
	if err != nil {
		return nil, key.Public{}, fmt.Errorf("%s: %w", file, err)
	}
	payload, err := approvalOf(d)
	if err != nil {
		return nil, key.Public{}, err
	}
	e := dsse.Envelope{PayloadType: statement.PayloadType, Payload: payload, Signatures: []dsse.Signature{{KeyID: signer.String(), Sig: blob}}}
	if _, err := e.Verify(statement.PayloadType, []key.Public{signer}); errors.Is(err, dsse.ErrBadSignature) {
		return nil, key.Public{}, fmt.Errorf("%s does not sign this version (%s): sign what 'concordat manifest approval-payload' writes, with -n %s", file, d.Digest, dsse.SSHNamespace)
	} else if err != nil {
		return nil, key.Public{}, err
	}
	raw, err := e.Marshal()
	return raw, signer, err
}

// approval is the signed approval and who signed: by ssh-keygen where a signature file is named, else by the session's key.
func approval(s session, d client.Documents, sshFile string) (raw []byte, signer key.Public, err error) {
	if sshFile != "" {
		return sshApproval(d, sshFile)
	}
	raw, err = signedStatement(d, statement.Approve, "", s.key)
	return raw, s.key.Public(), err
}
