package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/document"
	concordatv1 "concordat.dev/protocol/gen/concordat/v1"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
	"concordat.dev/ui/client"
	"concordat.dev/ui/present"
	"github.com/spf13/cobra"
)

func (a *app) manifestPropose() *cobra.Command {
	var pinned bool
	c := &cobra.Command{
		Use:   "propose DIR --key FILE",
		Short: "Hand a manifest to the mesh for all participants to sign",
		Long: `Checks the directory, writes its signed form (defaults and policy digests filled in) and proposes it. The first version may be
proposed by a founder's key, later ones by the key of a participant. Proposing is not signing: 'concordat manifest sign' follows.
Where the pins of the mesh are missing they are printed and nothing is sent; --pin writes them into the file first.`,
		Example: lines("concordat manifest propose room --key .concordat/keys/clinic.key", "concordat manifest propose room --pin --key clinic.key"),
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.propose(c.Context(), args[0], pinned)
		},
	}
	c.Flags().BoolVar(&pinned, "pin", false, "write the pins of the running mesh into the manifest first")
	return c
}

func (a *app) propose(ctx context.Context, dir string, pinned bool) error {
	draft, err := a.lint(dir, document.Draft, nil)
	if err != nil {
		return err
	}
	s, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	status, err := s.Status(ctx)
	if err != nil {
		return err
	}
	running := client.Running(status)
	if pinned {
		if err := pinFile(dir, running); err != nil {
			return err
		}
	} else if draft.Manifest.Mesh == nil {
		fmt.Fprint(a.Out, pinSection(running))
		return fmt.Errorf("%s pins no mesh: compare the section above with the other participants and add it, or say --pin", dir)
	}
	if _, err := a.lint(dir, document.Signed, nil); err != nil {
		return err
	}
	d, err := localDocuments(dir)
	if err != nil {
		return err
	}
	if err := a.pinsHereOrNext(d.Manifest.Mesh, running); err != nil {
		return fmt.Errorf("%w\n'concordat manifest pin %s' writes the running mesh's", err, dir)
	}
	proposal, err := signedStatement(d, statement.Propose, "", s.key)
	if err != nil {
		return err
	}
	state, err := client.Unary(ctx, s.Client, &concordatv1.ProposeManifestRequest{Manifest: d.Raw.Manifest, Policies: d.Raw.Policies, Proposal: proposal},
		client.Services.ProposeManifest)
	if err != nil {
		return err
	}
	a.banner(running.Mode)
	a.say("%s version %d is %s; signatures missing: %s", d.Manifest.Collaboration, d.Manifest.Version, state.GetState(), orNone(strings.Join(state.GetMissing(), ", ")))
	a.say("each participant: concordat manifest sign --key …; compare this digest:")
	fmt.Fprintln(a.Out, d.Digest)
	return nil
}

func (a *app) manifestSign() *cobra.Command {
	var yes bool
	var dir, digest, sshSignature string
	c := &cobra.Command{
		Use:   "sign --key FILE",
		Short: "Sign the proposed manifest in the name of an organisation",
		Long: `Fetches the newest version, checks its digests, its pins against the mesh and its policies, shows what it changes against the version
before, what protects less first, and what it says; then signs its digest. Remember: who signs answers for the other
participants' keys in it, so compare the digest with them on another channel (--digest), or with one's own directory (--dir).
With --ssh-signature the organisation's key signed by ssh-keygen: see 'concordat manifest approval-payload'.`,
		Example: lines("concordat manifest sign --key clinic.key", "concordat manifest sign --key clinic.key --dir room --yes", "concordat manifest sign --key clinic.key --digest sha256:… --yes"),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.sign(c.Context(), dir, digest, sshSignature, yes)
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().StringVar(&dir, "dir", "", "sign only what this directory gives, byte for byte")
	c.Flags().StringVar(&digest, "digest", "", "sign only the manifest of this digest")
	c.Flags().StringVar(&sshSignature, "ssh-signature", "", "file that ssh-keygen -Y sign made of the approval's bytes")
	return c
}

func (a *app) sign(ctx context.Context, dir, digest, sshSignature string, yes bool) error {
	s, err := a.session(ctx)
	if err != nil {
		return err
	}
	d, err := a.documents(ctx, s, 0)
	if errors.Is(err, client.ErrReplaced) && d.State == "proposed" { // whoever signed a proposal that was rejected may sign the next one
		a.say("another proposal of version %d was signed from here before: this one is not it", d.Manifest.Version)
		err = nil
	}
	if err != nil {
		return err
	}
	var before client.Documents
	if d.Manifest.Version > 1 {
		if before, err = s.Documents(ctx, s.collaboration, d.Manifest.Version-1); err != nil {
			return err
		}
	}
	if problems := d.Validate(document.Signed); len(problems) > 0 {
		return fmt.Errorf("the proposed manifest has %s, first: %s", present.Count(int64(len(problems)), "problem"), problems[0])
	}
	if err := expect(d, dir, digest); err != nil {
		return err
	}
	approval, signer, err := approval(s, d, sshSignature)
	if err != nil {
		return err
	}
	participant := participantOf(d.Manifest, signer)
	if participant == "" && before.Bundle != nil { // a key that is replaced signs too, and who is left out
		participant = participantOf(before.Manifest, signer)
	}
	if participant == "" {
		return fmt.Errorf("the key %s is not of a participant of %s", signer, s.collaboration)
	}
	status, err := s.Status(ctx)
	if err != nil {
		return err
	}
	if err := a.pinsHereOrNext(d.Manifest.Mesh, client.Running(status)); err != nil {
		return err
	}
	a.banner(d.Manifest.Mesh.Mode)
	if before.Bundle != nil {
		fmt.Fprintf(a.Err, "what version %d changes:\n", d.Manifest.Version)
		if err := a.printDiff(a.Err, before, d); err != nil {
			return err
		}
		fmt.Fprintln(a.Err)
	}
	if err := summary(a.Err, d); err != nil {
		return err
	}
	if err := a.confirm(yes, fmt.Sprintf("Sign %s version %d as %s?", s.collaboration, d.Manifest.Version, participant)); err != nil {
		return err
	}
	state, err := client.Unary(ctx, s.Client, &concordatv1.SignManifestRequest{Collaboration: s.collaboration, Approval: approval}, client.Services.SignManifest)
	if err != nil {
		return err
	}
	if err := d.Remember(a.home); err != nil {
		return err
	}
	a.say("signed as %s; %s is %s; missing: %s", participant, s.collaboration, state.GetState(), orNone(strings.Join(state.GetMissing(), ", ")))
	fmt.Fprintln(a.Out, d.Digest)
	return nil
}

// expect holds the proposed documents against what the caller knows.
func expect(d client.Documents, dir, digest string) error {
	if digest != "" {
		want, err := canon.ParseDigest(digest)
		if err != nil {
			return usagef("--digest: %w", err)
		}
		if d.Digest != want {
			return fmt.Errorf("the mesh shows a manifest of digest %s, not %s: nothing signed", d.Digest, want)
		}
	}
	if dir == "" {
		return nil
	}
	local, err := localDocuments(dir)
	if err != nil {
		return err
	}
	if local.Digest != d.Digest {
		return fmt.Errorf("%s gives %s, the mesh shows %s: nothing signed ('concordat manifest diff %s' shows what differs)", dir, local.Digest, d.Digest, dir)
	}
	return nil
}

func participantOf(m *document.Manifest, k key.Public) string {
	for _, p := range m.Participants {
		if slices.Contains(p.Keys, k.String()) {
			return p.ID
		}
	}
	return ""
}
