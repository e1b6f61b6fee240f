// Package demo is the collaboration nafld-outcomes: three organisations, their policies, one cohort and a study of it, which
// `concordat demo` runs through a real mesh by the same commands that people type.
//
// Invariant: nothing here reaches past the command line: what the demo does, a reader can repeat.
//
// Sees: plaintext rows of the demo's public data
package demo

import (
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"concordat.dev/protocol/document"
	"github.com/goccy/go-yaml"
)

//go:embed room data study refused
var files embed.FS

// Collaboration is the id of the demo's collaboration.
const Collaboration = "nafld-outcomes"

// Organisation is a participant with the steward of its dataset.
type Organisation struct {
	ID      string
	Steward string // name of the key; the person is NAME@ID.example
	Dataset string
	data    string // file in data/nafld
}

// Organisations are the three participants, in the order of the manifest.
var Organisations = []Organisation{
	{"clinic", "dana", "clinic.patients", "clinic.csv.gz"},
	{"laboratory", "lars", "laboratory.results", "laboratory.csv.gz"},
	{"registry", "rita", "registry.events", "registry.csv.gz"},
}

// Analyst and Auditor are the names of keys of people of the clinic and the registry.
const (
	Analyst = "ana"
	Auditor = "otto"
)

// Query is one question of the study.
type Query struct {
	Name  string // of its file, without ending
	Title string
	SQL   string
}

// Study are the questions, in order.
func Study() ([]Query, error) { return queries("study") }

// Refused are questions that the policies do not allow.
func Refused() ([]Query, error) { return queries("refused") }

func queries(folder string) ([]Query, error) {
	names, err := fs.Glob(files, folder+"/*.sql")
	if err != nil {
		return nil, err
	}
	all := make([]Query, len(names))
	for i, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		title, sql, ok := strings.Cut(strings.TrimPrefix(string(text), "-- "), "\n")
		if !ok {
			return nil, fmt.Errorf("%s: a title and a query are two lines at least", name)
		}
		all[i] = Query{Name: strings.TrimSuffix(path.Base(name), ".sql"), Title: title, SQL: strings.TrimSpace(sql)}
	}
	return all, nil
}

// WriteRoom writes the manifest directory into dir, with the public keys of organisations and people by name.
func WriteRoom(dir string, keys map[string]string) error { return WriteWebRoom(dir, keys, "") }

// WriteWebRoom is WriteRoom for people who can also sign in: each organisation has its own issuer, below a base URL.
func WriteWebRoom(dir string, keys map[string]string, issuers string) error {
	room, err := fs.Sub(files, "room")
	if err != nil {
		return err
	}
	bundle, err := document.LoadFS(room)
	if err != nil {
		return err
	}
	m := bundle.Manifest
	for i, p := range m.Participants {
		m.Participants[i].Keys = []string{keys[p.ID]}
		if issuers != "" {
			m.Participants[i].OIDC = &document.OIDC{Issuer: issuers + "/" + p.ID, ClientID: clientID}
		}
	}
	person := func(name, participant string, roles ...string) {
		p := document.Person{ID: name + "@" + participant + ".example", Participant: participant, Roles: roles, Keys: []string{keys[name]}}
		if issuers != "" {
			p.Subject = name
		}
		m.People = append(m.People, p)
	}
	for _, o := range Organisations {
		person(o.Steward, o.ID, "steward")
	}
	person(Analyst, "clinic", "analyst")
	person(Auditor, "registry", "auditor")
	text, err := yaml.MarshalWithOptions(m, yaml.Indent(2), yaml.IndentSequence(true))
	if err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	head := "# Written by `concordat demo`: the room of the repository with the keys of this machine.\n"
	if err := write(filepath.Join(dir, document.ManifestFile), strings.NewReader(head+string(text))); err != nil {
		return err
	}
	return fs.WalkDir(room, "policies", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		f, err := room.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		return write(filepath.Join(dir, filepath.FromSlash(name)), f)
	})
}

// WriteData unpacks the tables into dir, with their notice, and returns the file of each dataset.
func WriteData(dir string) (map[string]string, error) {
	notice, err := files.Open("data/nafld/README.md")
	if err != nil {
		return nil, err
	}
	defer func() { _ = notice.Close() }()
	if err := write(filepath.Join(dir, "README.md"), notice); err != nil {
		return nil, err
	}
	byDataset := map[string]string{}
	for _, o := range Organisations {
		file := filepath.Join(dir, strings.TrimSuffix(o.data, ".gz"))
		if err := unpack(file, "data/nafld/"+o.data); err != nil {
			return nil, err
		}
		byDataset[o.Dataset] = file
	}
	return byDataset, nil
}

func unpack(file, name string) error {
	packed, err := files.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = packed.Close() }()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	return write(file, plain)
}

func write(file string, from io.Reader) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := io.Copy(f, from); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
