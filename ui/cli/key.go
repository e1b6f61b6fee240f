package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"concordat.dev/protocol/key"
	"github.com/spf13/cobra"
)

// The folder of keys in the home, the ending of key files and the key that is used when none is named.
const (
	keyFolder  = "keys"
	keyEnding  = ".key"
	defaultKey = "default"
)

func (a *app) keyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "key", Short: "Ed25519 keys of organisations and people",
		Long:    "Keys lie in HOME/keys, readable by their owner only. Organisations and people have keys of their own: a key is never both.",
		Example: lines("concordat key new", "concordat key show"),
	}
	c.AddCommand(a.keyEnrol(), &cobra.Command{
		Use:   "new [NAME]",
		Short: "Make a key in HOME/keys, or in --key FILE",
		Long: `Makes an Ed25519 key. The file is readable by its owner only and never overwritten; the public key, which goes into the
manifest, is printed. NAME is "default" where none is given: the key that other commands use by themselves.`,
		Example: lines("concordat key new", "concordat key new clinic", "concordat key new --key /media/safe/clinic.key"),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file := a.keyFile
			if len(args) == 1 && file != "" {
				return usagef("key new: give NAME or --key FILE, not both")
			}
			if file == "" {
				name := defaultKey
				if len(args) == 1 {
					name = args[0]
				}
				if !keyName(name) {
					return usagef("key new: %q is no name for a key", name)
				}
				file = a.keyNamed(name)
			}
			return a.newKey(file)
		},
	}, &cobra.Command{
		Use:     "show [KEY]",
		Short:   "Print the public key of a key: a name in HOME/keys, or a file, also one of ssh-keygen",
		Example: lines("concordat key show", "concordat key show clinic", "concordat key show ~/.ssh/id_ed25519.pub"),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.keyFile = args[0]
			}
			if public, ok := publicFile(a.keyFile); ok {
				fmt.Fprintln(a.Out, public)
				return nil
			}
			k, err := a.key()
			if err != nil {
				return err
			}
			fmt.Fprintln(a.Out, k.Public())
			return nil
		},
	})
	return c
}

func (a *app) newKey(file string) error {
	k, err := key.Generate()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("make the key's folder: %w", err)
	}
	if err := k.Save(file); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already and is not overwritten: name another key, or move it away", file)
	} else if err != nil {
		return err
	}
	a.say("new key in %s; its public key for the manifest:", file)
	fmt.Fprintln(a.Out, k.Public())
	return nil
}

// key loads the key that signs: --key, else the default one of the home, else its only one.
func (a *app) key() (key.Private, error) {
	file := a.keyFile
	if file == "" {
		var err error
		if file, err = a.onlyKey(); err != nil {
			return key.Private{}, err
		}
	}
	k, err := key.Load(file)
	if errors.Is(err, fs.ErrNotExist) && keyName(file) {
		k, err = key.Load(a.keyNamed(file))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return key.Private{}, fmt.Errorf("no key file %s, and no such key in %s: make one with 'concordat key new'", file, filepath.Join(a.home, keyFolder))
	}
	return k, err
}

// keyName says whether --key names a key of the home, as 'key new NAME' does, rather than a file somewhere.
func keyName(s string) bool {
	return s != "" && !strings.ContainsAny(s, `/\`) && !strings.HasPrefix(s, ".")
}

func (a *app) keyNamed(name string) string {
	return filepath.Join(a.home, keyFolder, strings.TrimSuffix(name, keyEnding)+keyEnding)
}

// publicFile reads a public key that stands in a file by itself, such as ~/.ssh/id_ed25519.pub.
func publicFile(file string) (key.Public, bool) {
	f, err := os.Open(file)
	if err != nil {
		return key.Public{}, false
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, 1<<12))
	if err != nil {
		return key.Public{}, false
	}
	words := strings.Fields(string(text))
	if len(words) == 0 {
		return key.Public{}, false
	}
	if words[0] == "ssh-ed25519" && len(words) > 2 { // a remark follows
		words = words[:2]
	}
	public, err := key.ParsePublic(strings.Join(words, " "))
	return public, err == nil
}

func (a *app) onlyKey() (string, error) {
	folder := filepath.Join(a.home, keyFolder)
	byDefault := filepath.Join(folder, defaultKey+keyEnding)
	if _, err := os.Stat(byDefault); err == nil {
		return byDefault, nil
	}
	all, err := filepath.Glob(filepath.Join(folder, "*"+keyEnding))
	switch {
	case err != nil:
		return "", fmt.Errorf("look for keys in %s: %w", folder, err)
	case len(all) == 1:
		return all[0], nil
	case len(all) == 0:
		return "", fmt.Errorf("no key in %s: make one with 'concordat key new', or name one with --key", folder)
	}
	return "", usagef("several keys in %s: name one with --key (%s)", folder, strings.Join(all, ", "))
}
