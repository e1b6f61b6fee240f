package cli

import (
	"context"
	"errors"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"concordat.dev/ui/local"
	"github.com/spf13/cobra"
)

func (a *app) webCommand() *cobra.Command {
	var listen string
	var noOpen bool
	c := &cobra.Command{
		Use:   "web",
		Short: "The web pages, served from this machine over the verified channel",
		Long: `Serves the pages for analysts, participants and auditors on this machine's loopback, as the person of --key, until Ctrl-C. Their calls go over
the pinned channel to the mesh, each signed by the key; what the pages sign, they sign with it, after they asked. Whoever runs the mesh has no hand
in what the pages show, as with pages that a coordinator serves.

It prints a link that opens the pages once, and opens it where a terminal and a browser are at hand.`,
		Example: lines("concordat web --key dana.key", "concordat web --listen 127.0.0.1:8080 --no-open"),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.web(c.Context(), listen, !noOpen && terminal(a.Err))
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address of loopback to serve on; port 0: a free one")
	c.Flags().BoolVar(&noOpen, "no-open", false, "do not open a browser")
	return c
}

func (a *app) web(ctx context.Context, listen string, open bool) error {
	s, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	server, err := local.Listen(ctx, local.Config{Client: s.Client, Key: s.key, Listen: listen})
	if errors.Is(err, local.ErrListen) {
		return usagef("--listen: %w", err)
	}
	if err != nil {
		return err
	}
	a.say("pages for %s; the link opens them once; Ctrl-C ends them", s.key.Public())
	fmt.Fprintln(a.Out, server.URL())
	if open {
		remove, err := a.browse(ctx, server.URL())
		if err != nil {
			a.say("no browser was opened (%v): open the link", err)
		}
		defer remove()
	}
	return server.Serve(ctx)
}

// browse opens a link. The link is a secret until it is used, and the arguments of a process are none: the browser gets a file that only this
// user can read, which leads there.
func (a *app) browse(ctx context.Context, link string) (remove func(), err error) {
	remove = func() {}
	folder, err := filepath.Abs(a.home)
	if err != nil {
		return remove, err
	}
	f, err := os.CreateTemp(folder, "open-*.html")
	if err != nil {
		return remove, err
	}
	remove = func() { _ = os.Remove(f.Name()) }
	_, err = fmt.Fprintf(f, "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0;url=%s\"><title>Concordat</title>\n", html.EscapeString(link))
	if err = errors.Join(err, f.Close()); err != nil {
		return remove, err
	}
	var command *exec.Cmd
	switch runtime.GOOS {
	case "darwin":
		command = exec.CommandContext(ctx, "open", f.Name()) //nolint:gosec // G204: a file of ours
	case "windows":
		command = exec.CommandContext(ctx, "rundll32", "url.dll,FileProtocolHandler", f.Name()) //nolint:gosec // G204: a file of ours
	default:
		command = exec.CommandContext(ctx, "xdg-open", f.Name()) //nolint:gosec // G204: a file of ours
	}
	if err := command.Start(); err != nil {
		return remove, err
	}
	go func() { _ = command.Wait() }() // it may stay as long as the browser
	return remove, nil
}
