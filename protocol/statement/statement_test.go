package statement_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
)

func valid(a statement.Action) statement.Statement {
	s := statement.Statement{
		Type: statement.Type, Action: a, Ledger: strings.Repeat("ab", 16), Collaboration: "nafld-outcomes", Version: 1, Subject: canon.Sum([]byte("manifest")),
	}
	if a != statement.Propose && a != statement.Approve {
		s.Reason, s.Nonce, s.Issued = "why", strings.Repeat("0", 32), "2026-11-23T15:00:00Z"
	}
	if a == statement.Offboard {
		s.Person = "ann@clinic.example"
	}
	return s
}

func TestEachActionRoundTrips(t *testing.T) {
	p, err := key.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range statement.Actions {
		e, err := statement.Sign(valid(a), p)
		if err != nil {
			t.Fatal(a, err)
		}
		s, signers, err := statement.Verify(e, []key.Public{p.Public()})
		if err != nil || s != valid(a) || len(signers) != 1 {
			t.Fatal(s, signers, err)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	type change func(*statement.Statement)
	for name, c := range map[string]struct {
		action statement.Action
		change change
	}{
		"type":              {statement.Approve, func(s *statement.Statement) { s.Type = "other" }},
		"action":            {"destroy", func(*statement.Statement) {}},
		"ledger missing":    {statement.Approve, func(s *statement.Statement) { s.Ledger = "" }},
		"ledger upper case": {statement.Approve, func(s *statement.Statement) { s.Ledger = strings.Repeat("AB", 16) }},
		"collaboration":     {statement.Approve, func(s *statement.Statement) { s.Collaboration = "No Such" }},
		"version":           {statement.Approve, func(s *statement.Statement) { s.Version = 0 }},
		"subject":           {statement.Approve, func(s *statement.Statement) { s.Subject = "" }},
		"approve reason":    {statement.Approve, func(s *statement.Statement) { s.Reason = "x" }},
		"approve nonce":     {statement.Approve, func(s *statement.Statement) { s.Nonce = strings.Repeat("0", 32) }},
		"approve issued":    {statement.Approve, func(s *statement.Statement) { s.Issued = "2026-11-23T15:00:00Z" }},
		"pause no nonce":    {statement.Pause, func(s *statement.Statement) { s.Nonce = "" }},
		"pause no time":     {statement.Pause, func(s *statement.Statement) { s.Issued = "" }},
		"pause local time":  {statement.Pause, func(s *statement.Statement) { s.Issued = "2026-11-23T15:00:00+01:00" }},
		"reject no reason":  {statement.Reject, func(s *statement.Statement) { s.Reason = "" }},
		"pause a person":    {statement.Pause, func(s *statement.Statement) { s.Person = "ann" }},
		"offboard nobody":   {statement.Offboard, func(s *statement.Statement) { s.Person = "" }},
		"long reason":       {statement.Reject, func(s *statement.Statement) { s.Reason = strings.Repeat("x", 2001) }},
	} {
		s := valid(c.action)
		c.change(&s)
		if _, err := statement.Sign(s); !errors.Is(err, statement.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	a, _ := key.Generate()
	b, _ := key.Generate()
	e, err := statement.Sign(valid(statement.Approve), a)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := statement.Verify(e, []key.Public{b.Public()}); !errors.Is(err, dsse.ErrNoSignature) {
		t.Errorf("other key: %v", err)
	}
	spaced := dsse.Sign(statement.PayloadType, append(bytes.Clone(e.Payload), ' '), a)
	if _, _, err := statement.Verify(spaced, []key.Public{a.Public()}); !errors.Is(err, statement.ErrInvalid) {
		t.Errorf("not canonical: %v", err)
	}
}

// The vectors are read by TypeScript too: seed, statement, envelope.
func TestVectors(t *testing.T) {
	raw, err := os.ReadFile("../testdata/statement.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Seed      []byte
		Statement statement.Statement
		Envelope  string
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		p, err := key.FromSeed(v.Seed)
		if err != nil {
			t.Fatal(err)
		}
		e, err := statement.Sign(v.Statement, p)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := e.Marshal(); err != nil || string(b) != v.Envelope {
			t.Errorf("got %s, %v, want %s", b, err, v.Envelope)
		}
	}
}

func FuzzParse(f *testing.F) {
	b, err := canon.Marshal(valid(statement.Pause))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, in []byte) {
		s, err := statement.Parse(in)
		if err != nil {
			return
		}
		if out, err := canon.Marshal(s); err != nil || !bytes.Equal(in, out) {
			t.Fatalf("%q has a second form %q, %v", in, out, err)
		}
	})
}
