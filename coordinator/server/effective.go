package server

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/goccy/go-yaml"
)

// ErrConfiguration says that a configuration has problems, each named by its path.
var ErrConfiguration = errors.New("the configuration has problems")

// CheckConfig reads a configuration, says every problem of it, or writes it as it counts.
func CheckConfig(path string, out io.Writer) error {
	c, err := Load(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfiguration, err)
	}
	text, err := c.Effective()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfiguration, err)
	}
	_, err = out.Write(text)
	return err
}

// Effective is a checked configuration as it counts, defaults included, in YAML. Secrets stand in files that it names; an object store's URL is
// shown without a user.
func (c Config) Effective() ([]byte, error) {
	c.Announce = c.announced()
	c.WitnessTimeout = cmp.Or(c.WitnessTimeout, 10*time.Second)
	c.Election = cmp.Or(c.Election, time.Second)
	c.Time, c.LogLevel = cmp.Or(c.Time, "host"), cmp.Or(c.LogLevel, "info")
	if u, err := url.Parse(c.ObjectStore); err == nil && u.User != nil {
		u.User = nil
		c.ObjectStore = u.String()
	}
	if c.SignIn != nil {
		s := *c.SignIn
		s.Idle, s.Absolute = cmp.Or(s.Idle, 30*time.Minute), cmp.Or(s.Absolute, 12*time.Hour)
		c.SignIn = &s
	}
	out, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("server: show the configuration: %w", err)
	}
	return out, nil
}
