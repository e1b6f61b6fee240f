package cli

import (
	"context"
	"errors"
	"fmt"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/key"
	"concordat.dev/ui/client"
	"concordat.dev/ui/mesh"
	"concordat.dev/ui/present"
	"github.com/spf13/cobra"
)

// session is a connection in the name of one key, to one collaboration.
type session struct {
	*client.Client
	key           key.Private
	collaboration string
}

// anonymous connects without a key: for what needs no person.
func (a *app) anonymous() (*client.Client, error) {
	cfg, err := a.where()
	if err != nil {
		return nil, err
	}
	return client.New(cfg)
}

// signedIn connects with the key of --key; which collaboration is meant is still open.
func (a *app) signedIn(ctx context.Context) (session, error) {
	cfg, err := a.where()
	if err != nil {
		return session{}, err
	}
	if cfg.Key, err = a.key(); err != nil {
		return session{}, err
	}
	if cfg.Ledger == "" { // a mesh from elsewhere: its channel is pinned, so its word for its ledger is the pinned mesh's
		anonymous, err := client.New(cfg.Anonymous())
		if err != nil {
			return session{}, err
		}
		status, err := anonymous.Status(ctx)
		if err != nil {
			return session{}, err
		}
		cfg.Ledger = status.GetLedger()
	}
	c, err := client.New(cfg)
	return session{Client: c, key: cfg.Key}, err
}

// where is the mesh that --coordinator and --root name, else that of the home.
func (a *app) where() (client.Config, error) {
	cfg := client.Config{Addresses: a.coordinators, Root: canon.Digest(a.rootDigest)}
	if len(cfg.Addresses) == 0 || cfg.Root == "" {
		m, err := mesh.Heir(a.home)
		if errors.Is(err, mesh.ErrNone) {
			return cfg, usagef("which mesh? %s has none: 'concordat up' starts one, or name one by --coordinator HOST:PORT and --root sha256:…\n"+
				"(the digest of its root certificate, which the other participants tell you or a manifest pins)", a.home)
		}
		if err != nil {
			return cfg, err
		}
		s := m.State()
		if cfg.Root == "" {
			cfg.Root, cfg.Ledger = s.RootCertificate, s.Ledger
		}
		if len(cfg.Addresses) == 0 {
			for _, c := range s.Coordinators {
				cfg.Addresses = append(cfg.Addresses, c.API)
			}
		}
	}
	if _, err := canon.ParseDigest(string(cfg.Root)); err != nil {
		return cfg, usagef("--root: %w", err)
	}
	return cfg, nil
}

// session connects with the key of --key and settles which collaboration is meant.
func (a *app) session(ctx context.Context) (session, error) {
	s, err := a.signedIn(ctx)
	if err != nil {
		return s, err
	}
	if s.collaboration = a.collaboration; s.collaboration == "" {
		s.collaboration, err = s.OnlyCollaboration(ctx)
		if errors.Is(err, client.ErrNoCollaboration) {
			return s, usagef("%w", err)
		}
	}
	return s, err
}

// documents fetches and checks a version of the collaboration's manifest, and holds it against what was signed from here.
func (a *app) documents(ctx context.Context, s session, version int) (client.Documents, error) {
	d, err := s.Documents(ctx, s.collaboration, version)
	if err != nil {
		return d, err
	}
	if version != 0 {
		return d, nil
	}
	anchor, err := client.LoadAnchor(a.home, s.collaboration)
	if err != nil {
		return d, err
	}
	if err := anchor.Check(d); err != nil {
		return d, err
	}
	return d, s.Descends(ctx, anchor, d)
}

// formatFlag adds --format to a command.
func formatFlag(c *cobra.Command, allowed ...present.Format) func() (present.Format, error) {
	name := string(present.Table)
	list := ""
	for i, f := range allowed {
		if i > 0 {
			list += ", "
		}
		list += string(f)
	}
	c.Flags().StringVar(&name, "format", name, "one of "+list)
	return func() (present.Format, error) {
		f, err := present.ParseFormat(name, allowed...)
		if err != nil {
			return "", usagef("%s: --format: %w", c.CommandPath(), err)
		}
		return f, nil
	}
}

// confirm asks on the terminal; scripts say --yes.
func (a *app) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !terminal(a.In) {
		return usagef("%s Say --yes where no terminal can be asked", question)
	}
	fmt.Fprintf(a.Err, "%s [y/N] ", question)
	var reply string
	if _, err := fmt.Fscanln(a.In, &reply); err != nil || (reply != "y" && reply != "yes") {
		return errors.New("not confirmed, nothing done")
	}
	return nil
}
