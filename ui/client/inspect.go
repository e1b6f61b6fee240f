package client

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"concordat.dev/protocol/document"
	"concordat.dev/protocol/upload"
	"concordat.dev/ui/sample"
)

// ErrNotThePolicys says that a file does not have the columns of the dataset's policy.
var ErrNotThePolicys = errors.New("the file lacks columns of the policy")

// inspect finds what was not said of the files: format, columns, and how texts are written. What it finds is signed with the upload, so that
// the worker reads what the owner saw.
func (u *Upload) inspect() error {
	policy := u.Documents.Policies[u.Dataset]
	for i, name := range append([]string{u.File}, u.More...) {
		t, err := u.sample(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if u.Format == "" {
			u.Format = t.Format
		}
		if t.Format != u.Format && (t.Format != upload.CSV || u.Format != upload.JSONLines) {
			return fmt.Errorf("%s begins like %s, and not like %s: the files of an upload have one format", name, t.Format, u.Format)
		}
		if u.Format != upload.CSV && u.Format != upload.JSONLines {
			continue
		}
		if policy != nil {
			if err := lacks(policy, t); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if err := t.Fit(policy); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if i == 0 {
			u.Columns, u.Dialect = t.Columns, t.Dialect
		}
	}
	return nil
}

func (u *Upload) sample(name string) (*sample.Table, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return sample.Read(f, u.Dialect, u.Columns)
}

// lacks tells before anything leaves this machine that a file has no header or belongs to another dataset; its first line might be a row.
func lacks(policy *document.Policy, t *sample.Table) error {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(policy.Columns)) {
		hidden := policy.Columns[name].Role == "hidden" && name != policy.Unit.Then
		if !hidden && !slices.ContainsFunc(t.Columns, func(have string) bool { return strings.EqualFold(have, name) }) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s. %s", ErrNotThePolicys, strings.Join(missing, ", "), advice(t))
}

// shownColumns is how many names of a file's columns an error repeats.
const shownColumns = 12

// advice is what may be done about columns that are not there. It shows the first line, which is the owner's own to see.
func advice(t *sample.Table) string {
	if t.Format == upload.JSONLines {
		return "Its objects have: " + named(t.Columns) + ". Name them as the policy does"
	}
	if t.Dialect.NoHeader {
		return "Name each field in --columns as the policy does"
	}
	if len(t.Columns) == 1 {
		return "Its first line is one field: " + named(t.Columns) + ". Say --delimiter if it is one of , ; | tab, and write the file with one of these if not"
	}
	return "Its first line has: " + named(t.Columns) + ". If these are names, write them as the policy does; a file without a header line needs --columns"
}

func named(columns []string) string {
	var out []string
	for i, name := range columns {
		if i == shownColumns {
			return strings.Join(append(out, fmt.Sprintf("and %d more", len(columns)-i)), ", ")
		}
		out = append(out, fmt.Sprintf("%.40q", name))
	}
	return strings.Join(out, ", ")
}
