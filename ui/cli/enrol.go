package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/enrol"
	"github.com/spf13/cobra"
)

func (a *app) keyEnrol() *cobra.Command {
	var person, participant string
	c := &cobra.Command{
		Use:   "enrol --person ID --participant ID",
		Short: "Ask to be named in a manifest: id, participant and public key, signed by the key itself",
		Long: `Prints an enrolment for whoever drafts the manifest, who inserts it with 'concordat manifest enrol'. It proves that its sender holds
the key, and gives no authority: the manifest does, once all have signed it. Send it on a channel on which the drafter knows you.`,
		Example: lines("concordat key enrol --person dana@clinic.example --participant clinic >dana.json"),
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			k, err := a.key()
			if err != nil {
				return err
			}
			e, err := enrol.Sign(person, participant, k, time.Now())
			if err != nil {
				return usagef("key enrol: %w", err)
			}
			b, err := e.Marshal()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Out, "%s\n", b)
			return err
		},
	}
	c.Flags().StringVar(&person, "person", "", "id in the manifest, for instance dana@clinic.example")
	c.Flags().StringVar(&participant, "participant", "", "id of the organisation")
	return c
}

func (a *app) manifestEnrol() *cobra.Command {
	var roles []string
	c := &cobra.Command{
		Use:   "enrol DIR FILE --role ROLE",
		Short: "Insert a person's enrolment into the people of a manifest",
		Long: `Checks that the enrolment was signed by the key that it names and adds the person to DIR/manifest.yaml; who is there already stays as
they are. FILE is the output of 'concordat key enrol', - for standard input. The rest of the file stays.`,
		Example: lines("concordat manifest enrol room dana.json --role steward --role analyst"),
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			raw, err := readEnrolment(args[1], a.In)
			if err != nil {
				return err
			}
			envelope, err := dsse.Parse(bytes.TrimSpace(raw))
			if err != nil {
				return fmt.Errorf("%s: %w", args[1], err)
			}
			e, err := enrol.Verify(envelope)
			if err != nil {
				return fmt.Errorf("%s: %w", args[1], err)
			}
			if err := enrolInto(filepath.Join(args[0], document.ManifestFile), e, roles); err != nil {
				return err
			}
			a.say("%s of %s is in %s, with key %s: compare it with its holder", e.Person, e.Participant, args[0], e.Key)
			return nil
		},
	}
	c.Flags().StringArrayVar(&roles, "role", nil, "steward, analyst or auditor; repeatable")
	return c
}

func readEnrolment(file string, in io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(io.LimitReader(in, 1<<16))
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the enrolment: %w", err)
	}
	return b, nil
}

// enrolInto adds a person, or a further key of one, to a manifest file. What it cannot insert it says how to write.
func enrolInto(file string, e enrol.Enrolment, roles []string) error {
	before, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	m, _, err := document.ParseManifest(file, before)
	if err != nil {
		return err
	}
	if _, ok := m.Participant(e.Participant); !ok {
		return fmt.Errorf("%s has no participant %q", file, e.Participant)
	}
	if old, ok := m.Person(e.Person); ok {
		if slices.Contains(old.Keys, e.Key) {
			return fmt.Errorf("%s has %s with this key already", file, e.Person)
		}
		return fmt.Errorf("%s has %s already: add the key %s to their keys, or put it in place of the old one", file, e.Person, e.Key)
	}
	if len(roles) == 0 {
		return usagef("manifest enrol: which roles? Say --role steward, --role analyst or --role auditor")
	}
	entry := fmt.Sprintf("{id: %s, participant: %s, roles: [%s], keys: [%q]}", e.Person, e.Participant, strings.Join(roles, ", "), e.Key)
	after := insertPerson(string(before), entry)
	again, _, err := document.ParseManifest(file, []byte(after))
	if err == nil {
		if p, ok := again.Person(e.Person); !ok || len(again.People) != len(m.People)+1 || !slices.Contains(p.Keys, e.Key) {
			err = errors.New("its people are written in a way that takes no insertion")
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w; add this to its people yourself:\n  - %s", file, err, entry)
	}
	if err := os.WriteFile(file, []byte(after), 0o644); err != nil { //nolint:gosec // G306: a manifest is no secret
		return fmt.Errorf("enrol: %w", err)
	}
	return nil
}

// insertPerson adds an entry at the end of the block of people, or such a block.
func insertPerson(manifest, entry string) string {
	lines := strings.SplitAfter(strings.TrimRight(manifest, "\n")+"\n", "\n")
	var block []int // the lines of people, without empty ones and remarks
	inside := false
	for i, line := range lines {
		text := strings.TrimSpace(line)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "-") { // a field of the manifest
			inside = strings.HasPrefix(line, "people:")
		}
		if inside {
			block = append(block, i)
		}
	}
	if len(block) == 0 {
		return strings.Join(lines, "") + "people:\n  - " + entry + "\n"
	}
	indent := "  "
	if len(block) > 1 { // the first person's; those after it may hold lists of their own
		first := lines[block[1]]
		indent = first[:len(first)-len(strings.TrimLeft(first, " "))]
	}
	return strings.Join(slices.Insert(lines, block[len(block)-1]+1, indent+"- "+entry+"\n"), "")
}
