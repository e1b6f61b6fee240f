package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concordat.dev/coordinator/server"
)

const goodConfig = `
node: c1
data_dir: /var/lib/concordat/c1
object_store: file:///var/lib/concordat/objects
mode: simulation
listen: {raft: "127.0.0.1:7101", mesh: "127.0.0.1:7201", api: "127.0.0.1:7301"}
voters:
  - {name: c1, raft: "127.0.0.1:7101"}
  - {name: c2, raft: "127.0.0.1:7102"}
founders: ["ed25519:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w="]
mesh: {marblerun_manifest: "sha256:aa", coordinator: "sha256:bb"}
`

const witnessKey = "clinic.example/witness+74703649+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"

func TestConfig(t *testing.T) {
	load := func(text string) error {
		path := filepath.Join(t.TempDir(), "config.yaml")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := server.Load(path)
		return err
	}
	must(t, load(goodConfig))
	must(t, load(goodConfig+"election: 3s\n"))
	must(t, load(goodConfig+"announce: coordinator-1:7100\n"))
	must(t, load(goodConfig+"witnesses: [{key: "+witnessKey+", url: \"https://w.example/x\"}]\nwitness_timeout: 3s\n"))
	must(t, load(goodConfig+"sign_in: {external_url: \"https://x.example:8443\", issuers: [{issuer: \"https://id.example/realm\", client_id: c, client_secret_file: /none}], idle: 10m}\n"))
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":        {goodConfig + "colour: red\n", "colour"},
		"repeated key":       {goodConfig + "node: c2\n", "node"},
		"node is no voter":   {strings.Replace(goodConfig, "node: c1", "node: c9", 1), `none is named "c9"`},
		"voter named twice":  {strings.Replace(goodConfig, "name: c2", "name: c1", 1), "voters[1].name"},
		"address":            {strings.Replace(goodConfig, "127.0.0.1:7301", "7301", 1), "listen.api"},
		"announced address":  {goodConfig + "announce: coordinator-1\n", "announce"},
		"mode":               {strings.Replace(goodConfig, "mode: simulation", "mode: tdx", 1), "mode"},
		"founder":            {strings.Replace(goodConfig, "ed25519:", "me", 1), "founders[0]"},
		"no data dir":        {strings.Replace(goodConfig, "data_dir: /var/lib/concordat/c1", "", 1), "data_dir"},
		"election":           {goodConfig + "election: 1ms\n", "election"},
		"witness's key":      {goodConfig + "witnesses: [{key: w, url: \"http://w\"}]\n", "witnesses[0]"},
		"witness's address":  {goodConfig + "witnesses: [{key: " + witnessKey + ", url: w}]\n", "URL of a witness"},
		"patience":           {goodConfig + "witness_timeout: 2m\n", "witness_timeout"},
		"no external url":    {goodConfig + "sign_in: {external_url: \"http://x.example\"}\n", "external_url"},
		"issuer in clear":    {goodConfig + "sign_in: {external_url: \"https://x.example\", issuers: [{issuer: \"http://id.example\", client_id: c}]}\n", "issuers[0].issuer"},
		"made-up people":     {goodConfig + "sign_in: {external_url: \"https://x.example\", personas: [{label: a, issuer: \"https://id.example\", client_id: c, subject: a}]}\n", "personas[0]"},
		"time without truth": {goodConfig + "time: sundial\n", "time"},
	} {
		if err := load(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a word on %s", name, err, c.want)
		}
	}
	if _, err := server.Load(filepath.Join(t.TempDir(), "none.yaml")); err == nil {
		t.Error("a configuration that is not there")
	}
}
