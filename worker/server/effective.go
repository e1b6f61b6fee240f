package server

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"runtime"

	"github.com/goccy/go-yaml"

	"concordat.dev/worker/keyrelease"
)

// ErrConfiguration says that a configuration has problems, each named by its path.
var ErrConfiguration = errors.New("the configuration has problems")

// CheckConfig reads a configuration, and the file of vaults if there is one, says every problem of them, or writes the configuration as it counts.
func CheckConfig(path, vaults string, out io.Writer) error {
	c, err := Load(path)
	if vaults != "" {
		_, other := keyrelease.Load(vaults)
		err = errors.Join(err, other)
	}
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

// Effective is a checked configuration as it counts on this machine, defaults included, in YAML. It holds no secrets; an object store's URL is
// shown without a user.
func (c Config) Effective() ([]byte, error) {
	memory, err := c.memory()
	if err != nil {
		return nil, err
	}
	limits := c.limits()
	c.Announce, c.LogLevel = cmp.Or(c.Announce, c.Listen), cmp.Or(c.LogLevel, "info")
	c.Memory, c.Threads = fmt.Sprintf("%dB", memory), cmp.Or(c.Threads, runtime.GOMAXPROCS(0))
	c.Queries, c.Queue = limits.Running, limits.Queued
	if u, err := url.Parse(c.ObjectStore); err == nil && u.User != nil {
		u.User = nil
		c.ObjectStore = u.String()
	}
	out, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("worker: show the configuration: %w", err)
	}
	return out, nil
}
