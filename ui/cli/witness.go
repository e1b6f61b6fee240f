package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"concordat.dev/observe"
	"concordat.dev/protocol/checkpoint"
	"concordat.dev/ui/client"
	"concordat.dev/ui/witness"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

const witnessTimeout = 10 * time.Second

func (a *app) witnessCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "witness",
		Short: "Run a witness, which cosigns logs that only grow",
		Long: `A witness remembers the newest checkpoint of each log that it follows and cosigns the next one only if that extends it
(C2SP tlog-witness). A manifest that names witnesses and a quorum makes workers release nothing without their cosignatures, so that no
operator can roll the ledger back. Run it where the operators of the coordinators have no hand, and never from an old copy of its folder.`,
		Example: lines("concordat witness new clinic.example/witness", "concordat witness run --log \"$(concordat log key)\" --listen :7380"),
	}
	var dir string
	c.PersistentFlags().StringVar(&dir, "dir", "", "folder of the witness (default: HOME/witness)")
	folder := func() string {
		if dir == "" {
			return filepath.Join(a.home, "witness")
		}
		return dir
	}
	c.AddCommand(&cobra.Command{
		Use:   "new NAME",
		Short: "Make the key of a witness and print its verifier key",
		Long: `NAME is a URL without scheme that nobody else uses, such as clinic.example/witness. The verifier key goes into the manifest
(witnesses.keys) and, with the witness's address, into the configuration of the coordinators (witnesses). A folder has one witness: asked
again under its name, this makes nothing and prints the key that is there.`,
		Example: lines("concordat witness new clinic.example/witness"),
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.witnessNew(folder(), args[0])
		},
	}, &cobra.Command{
		Use:     "key",
		Short:   "Print the verifier key of the witness",
		Example: lines("concordat witness key"),
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return a.witnessKey(folder()) },
	}, a.witnessRun(folder))
	return c
}

func (a *app) witnessNew(dir, name string) error {
	made := "new witness"
	if err := witness.Create(dir, name); errors.Is(err, witness.ErrExists) {
		if s, failed := witness.Signer(dir, time.Now); failed != nil || s.Name() != name {
			return errors.Join(err, failed)
		}
		made = "this witness is there already,"
	} else if err != nil {
		return err
	}
	a.say("%s in %s; its verifier key for the manifest:", made, dir)
	return a.witnessKey(dir)
}

func (a *app) witnessKey(dir string) error {
	s, err := witness.Signer(dir, time.Now)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.Out, s)
	return err
}

func (a *app) witnessRun(folder func() string) *cobra.Command {
	var logs []string
	var listen, cert, key, metrics string
	var check bool
	c := &cobra.Command{
		Use:   "run",
		Short: "Serve until interrupted",
		Long: `Answers add-checkpoint requests of the logs that --log names, each by its verifier key. What was seen is on disk before a
cosignature leaves. Requests and answers are public and signed, so plain HTTP is enough inside a network; --cert and --cert-key serve HTTPS.

--check serves nothing: it says every problem of the options and of the folder and ends with 2, or what it would serve. A witness that runs may be checked.`,
		Example: lines(`concordat witness run --log "concordat.dev/ledger/…+…+…"`, `concordat witness run --log "concordat.dev/ledger/…+…+…" --check`, "concordat witness run --log … --listen :443 --cert c.pem --cert-key k.pem"),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(logs) == 0 {
				return usagef("witness run: say with --log which log to follow; `concordat log key` prints its verifier key")
			}
			if (cert == "") != (key == "") {
				return usagef("witness run: give --cert and --cert-key, or neither")
			}
			if check {
				return a.witnessCheck(folder(), logs, listen, metrics, cert, key)
			}
			w, err := witness.Open(folder(), logs, time.Now)
			if err != nil {
				return err
			}
			return errors.Join(a.serveWitness(c.Context(), w, listen, metrics, cert, key), w.Close())
		},
	}
	c.Flags().StringArrayVar(&logs, "log", nil, "verifier key NAME+HASH+KEY of a log to follow, repeatable")
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:7380", "address HOST:PORT")
	c.Flags().StringVar(&metrics, "metrics", "", "address HOST:PORT of /metrics, /healthz and /readyz for whoever runs it (default: not served)")
	c.Flags().StringVar(&cert, "cert", "", "certificate chain (PEM)")
	c.Flags().StringVar(&key, "cert-key", "", "private key of the certificate (PEM)")
	c.Flags().BoolVar(&check, "check", false, "say every problem and end with 2, or print what it would serve")
	return c
}

// witnessCheck is what --check-config is to coordinator and worker.
func (a *app) witnessCheck(dir string, logs []string, listen, metrics, cert, key string) error {
	told, seen, err := witness.Check(dir, logs, time.Now)
	errs := []error{err}
	for _, option := range []struct{ name, address string }{{"--listen", listen}, {"--metrics", metrics}} {
		if option.address == "" && option.name == "--metrics" {
			continue
		}
		if _, err := net.ResolveTCPAddr("tcp", option.address); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", option.name, err))
		}
	}
	if cert != "" {
		if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
			errs = append(errs, fmt.Errorf("--cert: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return usagef("witness run: %w", err)
	}
	fmt.Fprintf(a.Out, "witness  %s\nfolder   %s\nlisten   %s\nhttps    %t\nmetrics  %s\n", told, dir, listen, cert != "", cmp.Or(metrics, "not served"))
	for _, s := range seen {
		fmt.Fprintf(a.Out, "log      %s, %d entries seen\n", s.Log, s.Size)
	}
	return nil
}

func (a *app) serveWitness(ctx context.Context, w *witness.Witness, listen, metrics, cert, key string) error {
	told, err := observe.Listen(&observe.Metrics{Listen: metrics}, w.Observed(), nil, zerolog.Nop())
	if err != nil {
		return err
	}
	defer func() { _ = told.Close() }()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: w.Handler(), ReadHeaderTimeout: witnessTimeout, ReadTimeout: witnessTimeout, WriteTimeout: witnessTimeout, IdleTimeout: time.Minute,
	}
	failed := make(chan error, 2)
	go func() {
		if err := told.Serve(); err != nil {
			failed <- err
		}
	}()
	go func() {
		if cert != "" {
			failed <- server.ServeTLS(l, cert, key)
			return
		}
		failed <- server.Serve(l)
	}()
	a.say("witness %s listens on %s", w.Key(), l.Addr())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), witnessTimeout)
		defer cancel()
		return server.Shutdown(end)
	}
}

// logKey prints the verifier key of the ledger's log, for witnesses and standard tools.
func (a *app) logKey() *cobra.Command {
	return &cobra.Command{
		Use:     "key",
		Short:   "The verifier key of the log, for witnesses and standard tools",
		Long:    "Prints NAME+HASH+KEY (C2SP signed-note), after checking that a coordinator below the pinned root vouches for it.",
		Example: lines("concordat log key"),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.where()
			if err != nil {
				return err
			}
			anybody, err := client.New(cfg.Anonymous())
			if err != nil {
				return err
			}
			ledger, log, err := anybody.LogKey(c.Context())
			if err != nil {
				return err
			}
			text, err := checkpoint.LogKey(ledger, log)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.Out, text)
			return err
		},
	}
}
