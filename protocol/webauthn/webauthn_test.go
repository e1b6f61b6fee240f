package webauthn_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"strings"
	"testing"

	"concordat.dev/protocol/canon"
	"concordat.dev/protocol/dsse"
	"concordat.dev/protocol/key"
	"concordat.dev/protocol/statement"
	"concordat.dev/protocol/webauthn"
	"concordat.dev/protocol/webauthn/webauthntest"
)

var rewrite = flag.Bool("rewrite", false, "draw the vectors anew")

const vectorFile = "../testdata/webauthn.json"

// vector is an envelope and whether its one signature holds. All are of statements.
type vector struct {
	Name     string          `json:"name"`
	Key      string          `json:"key"`
	Envelope json.RawMessage `json:"envelope"`
	Valid    bool            `json:"valid"`
}

func payload(t testing.TB) []byte {
	t.Helper()
	b, err := canon.Marshal(statement.Statement{
		Type: statement.Type, Action: statement.Approve, Ledger: strings.Repeat("ab", 16), Collaboration: "room", Version: 1, Subject: canon.Sum([]byte("m")),
	})
	must(t, err)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// replace changes the client data.
func replace(old, with string) func(*webauthntest.Made) {
	return func(m *webauthntest.Made) { m.ClientData = strings.Replace(m.ClientData, old, with, 1) }
}

// flags sets those of the authenticator data.
func flags(f byte) func(*webauthntest.Made) {
	return func(m *webauthntest.Made) { m.AuthenticatorData[32] = f }
}

// highS is the other signature that verifies: (r, n-s).
func highS(t testing.TB, sig []byte) []byte {
	t.Helper()
	a, err := webauthn.Parse(sig)
	must(t, err)
	var rs struct{ R, S *big.Int }
	_, err = asn1.Unmarshal(a.Signature, &rs)
	must(t, err)
	rs.S.Sub(elliptic.P256().Params().N, rs.S)
	a.Signature, err = asn1.Marshal(rs)
	must(t, err)
	out, err := a.Marshal()
	must(t, err)
	return out
}

// cases are all that a signature may be, and may not.
func cases(t testing.TB) []vector {
	t.Helper()
	pass, other := webauthntest.New(t, "room.example"), webauthntest.New(t, "room.example")
	here := webauthntest.New(t, "localhost")
	here.Origin = "http://localhost:8080"
	below := pass
	below.Origin = "https://pages.room.example:8443"
	pae := dsse.PAE(statement.PayloadType, payload(t))
	var out []vector
	add := func(name string, valid bool, k key.Public, sig []byte) {
		raw, err := dsse.Envelope{
			PayloadType: statement.PayloadType, Payload: payload(t), Signatures: []dsse.Signature{{KeyID: k.String(), Sig: sig}},
		}.Marshal()
		must(t, err)
		out = append(out, vector{name, k.String(), raw, valid})
	}
	public := pass.Public(t)
	add("by a passkey", true, public, pass.Sign(t, pae))
	add("by a passkey, the other s", true, public, highS(t, pass.Sign(t, pae)))
	add("on a page below the relying party, at a port", true, public, below.Sign(t, pae))
	add("on a page of this machine", true, here.Public(t), here.Sign(t, pae))
	add("without crossOrigin", true, public, pass.Sign(t, pae, replace(`,"crossOrigin":false`, "")))
	add("with a member of the future", true, public, pass.Sign(t, pae, replace(`false}`, `false,"new":{"a":[1]}}`)))
	add("a key that is not synchronised", true, public, pass.Sign(t, pae, flags(0b00101)))
	add("with extensions", true, public, pass.Sign(t, pae, flags(0b10011101), func(m *webauthntest.Made) { m.AuthenticatorData = append(m.AuthenticatorData, 0xa0) }))

	add("by another passkey", false, public, other.Sign(t, pae))
	add("over something else", false, public, pass.Sign(t, append([]byte("x"), pae...)))
	add("over the payload alone", false, public, pass.Sign(t, payload(t)))
	add("of another host", false, public, pass.Sign(t, pae, replace("https://room.example", "https://evil.example")))
	add("of a host that ends alike", false, public, pass.Sign(t, pae, replace("https://room.example", "https://evilroom.example")))
	add("of a host in a name", false, public, pass.Sign(t, pae, replace("https://room.example", "https://evil.example/.room.example")))
	add("without TLS", false, public, pass.Sign(t, pae, replace("https://", "http://")))
	add("of a registration", false, public, pass.Sign(t, pae, replace("webauthn.get", "webauthn.create")))
	add("in a frame", false, public, pass.Sign(t, pae, replace("false}", "true}")))
	add("in a frame, told at the top", false, public, pass.Sign(t, pae, replace("false}", `false,"topOrigin":"https://evil.example"}`)))
	add("members in another order", false, public, pass.Sign(t, pae, replace(`{"type":"webauthn.get",`, `{"a":1,"type":"webauthn.get",`)))
	add("with spaces", false, public, pass.Sign(t, pae, replace(`"type":"`, `"type": "`)))
	add("no object", false, public, pass.Sign(t, pae, replace("false}", "false,")))
	add("nobody there", false, public, pass.Sign(t, pae, flags(0b00100)))
	add("nobody verified", false, public, pass.Sign(t, pae, flags(0b00001)))
	add("attested data", false, public, pass.Sign(t, pae, flags(0b1011101)))
	add("a reserved flag", false, public, pass.Sign(t, pae, flags(0b0100101)))
	add("backed up, not eligible", false, public, pass.Sign(t, pae, flags(0b0010101)))
	add("extensions that are not there", false, public, pass.Sign(t, pae, flags(0b10011101)))
	add("bytes that no flag tells of", false, public, pass.Sign(t, pae, func(m *webauthntest.Made) { m.AuthenticatorData = append(m.AuthenticatorData, 0) }))
	add("short authenticator data", false, public, pass.Sign(t, pae, func(m *webauthntest.Made) { m.AuthenticatorData = m.AuthenticatorData[:36] }))
	add("for another relying party", false, public, pass.Sign(t, pae, func(m *webauthntest.Made) { m.AuthenticatorData[0] ^= 1 }))
	good := pass.Sign(t, pae)
	add("not canonical", false, public, append([]byte(" "), good...))
	add("a further member", false, public, bytes.Replace(good, []byte(`,"signature"`), []byte(`,"s":1,"signature"`), 1))
	add("too long", false, public, pass.Sign(t, pae, replace("false}", `false,"a":"`+strings.Repeat("a", 4096)+`"}`)))
	add("empty", false, public, nil)
	return out
}

func holds(t testing.TB, v vector) bool {
	t.Helper()
	e, err := dsse.Parse(v.Envelope)
	must(t, err)
	k, err := key.ParsePublic(v.Key)
	must(t, err)
	_, _, err = statement.Verify(e, []key.Public{k})
	return err == nil
}

func TestVerify(t *testing.T) {
	all := cases(t)
	for _, v := range all {
		if got := holds(t, v); got != v.Valid {
			t.Errorf("%s: holds %v, want %v", v.Name, got, v.Valid)
		}
	}
	if *rewrite {
		b, err := json.MarshalIndent(all, "", " ")
		must(t, err)
		must(t, os.WriteFile(vectorFile, append(b, '\n'), 0o600))
	}
}

func TestVectors(t *testing.T) {
	b, err := os.ReadFile(vectorFile)
	must(t, err)
	var all []vector
	must(t, json.Unmarshal(b, &all))
	valid := 0
	for _, v := range all {
		if v.Valid {
			valid++
		}
		var raw bytes.Buffer
		must(t, json.Compact(&raw, v.Envelope))
		v.Envelope = raw.Bytes()
		if got := holds(t, v); got != v.Valid {
			t.Errorf("%s: holds %v, want %v", v.Name, got, v.Valid)
		}
	}
	if valid < 5 || len(all)-valid < 20 {
		t.Errorf("%d valid of %d", valid, len(all))
	}
}

func TestKeys(t *testing.T) {
	p := webauthntest.New(t, "room.example")
	k := p.Public(t)
	if rp, ok := k.Passkey(); !ok || rp != "room.example" || len(k.Bytes()) != webauthn.PublicSize {
		t.Errorf("%s: %q %v", k, rp, ok)
	}
	back, err := key.ParsePublic(k.String())
	if err != nil || back != k || !back.Same(k) {
		t.Error(back, err)
	}
	point := p.Bytes(t)
	encode := base64.StdEncoding.EncodeToString
	off := bytes.Clone(point)
	off[64] ^= 1
	for name, text := range map[string]string{
		"no host":     "webauthn:" + encode(point),
		"upper case":  "webauthn:Room.example:" + encode(point),
		"an address":  "webauthn:192.0.2.1:" + encode(point),
		"a port":      "webauthn:room.example:443:" + encode(point),
		"compressed":  "webauthn:room.example:" + encode(append([]byte{2}, point[1:33]...)),
		"off curve":   "webauthn:room.example:" + encode(off),
		"infinity":    "webauthn:room.example:" + encode([]byte{0}),
		"no padding":  "webauthn:room.example:" + strings.TrimRight(encode(point), "="),
		"a long host": "webauthn:" + strings.Repeat("a.", 130) + "example:" + encode(point),
		"dots":        "webauthn:room..example:" + encode(point),
	} {
		if got, err := key.ParsePublic(text); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
	if k.Verify([]byte("m"), make([]byte, 64)) || k.VerifySSH("n", []byte("m"), nil) {
		t.Error("verified as a key of another kind")
	}
	if _, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), k.Bytes()); err != nil {
		t.Error(err)
	}
}

func FuzzVerify(f *testing.F) {
	p := webauthntest.New(f, "room.example")
	public := p.Bytes(f)
	message := []byte("message")
	good := p.Sign(f, message)
	f.Add(good)
	f.Add([]byte(`{"authenticatorData":"","clientDataJSON":"","signature":""}`))
	f.Fuzz(func(t *testing.T, sig []byte) {
		if webauthn.Verify("room.example", public, message, sig) != nil {
			return
		}
		a, err := webauthn.Parse(sig)
		must(t, err)
		want, err := webauthn.Parse(good)
		must(t, err)
		if !bytes.Equal(a.ClientDataJSON, want.ClientDataJSON) || !bytes.Equal(a.AuthenticatorData, want.AuthenticatorData) {
			t.Errorf("another assertion verifies: %s", sig)
		}
	})
}
