package cli

import (
	"fmt"
	"time"

	"concordat.dev/protocol/login"
	"github.com/spf13/cobra"
)

func (a *app) tokenCommand() *cobra.Command {
	var life time.Duration
	c := &cobra.Command{
		Use:   "token",
		Short: "A login token for programs that speak Arrow Flight SQL",
		Long: `Prints a token by which a program that cannot sign each request asks queries for you, until it expires: what you could ask, and nothing else. Keep it
like a password: it ends by itself, or when the person is off-boarded or has another key. Passkeys make none. Programs bring it as bearer
token, or as password beside any name, to the Flight SQL address of a coordinator: 'concordat status' tells those of a mesh on this machine,
and HOME/root.pem is the certificate to trust.`,
		Example: lines("concordat token", "concordat token --life 30m"),
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if life <= 0 || life > login.MaxLife {
				return usagef("--life %s: more than nothing and at most %s", life, login.MaxLife)
			}
			s, err := a.signedIn(c.Context())
			if err != nil {
				return err
			}
			status, err := s.Status(c.Context())
			if err != nil {
				return err
			}
			token, err := login.Issue(s.key, status.GetLedger(), time.Now(), life)
			if err != nil {
				return err
			}
			a.say("counts until %s, as whoever the manifests know by %s; coordinators log its use as login %s", time.Now().Add(life).Format(time.DateTime), s.key.Public(), login.ID(token))
			_, err = fmt.Fprintln(a.Out, token)
			return err
		},
	}
	c.Flags().DurationVar(&life, "life", 8*time.Hour, "how long it counts, at most 24h")
	return c
}
