// Passkeys (W3C Web Authentication Level 3, ES256) as keys that sign DSSE envelopes, as protocol/webauthn in Go and SPEC.md section 2 have
// it: the challenge of the assertion is the SHA-256 digest of what is signed, so that the signature is verified offline like any other.
import { concatBytes, equalBytes, fromBase64, toBase64, toHex } from "./base64";
import { canonical, parseCanonical } from "./canon";
import { verifyP256 } from "./certificate";
import { type OtherKey, pae, payloadTypes, writeEnvelope } from "./dsse";

type Bytes = Uint8Array<ArrayBuffer>;

const prefix = "webauthn:";
const maxAssertion = 8 << 10;
const maxClientData = 2 << 10;
const maxAuthenticator = 1 << 10;
const fixedSize = 32 + 1 + 4; // digest of the relying party, flags, counter
const es256 = -7; // COSE algorithm
const flag = {
  present: 1,
  verified: 4,
  eligible: 8,
  backedUp: 16,
  attested: 64,
  extensions: 128,
  reserved: 2 | 32,
} as const;
// SubjectPublicKeyInfo of a key on P-256 (RFC 5480), up to its point.
const spkiP256 = Uint8Array.from("3059301306072a8648ce3d020106082a8648ce3d030107034200".match(/../g) ?? [], (hex) =>
  Number.parseInt(hex, 16),
);
const encoder = new TextEncoder();

const sha256 = async (bytes: Bytes): Promise<Bytes> => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

export interface Passkey {
  readonly text: string; // "webauthn:RP:POINT"
  readonly rp: string;
  readonly point: Bytes; // 65 bytes, uncompressed
}

const host = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/;

const isHost = (text: string) =>
  text.length <= 253 && host.test(text) && !/^\d*$/.test(text.slice(text.lastIndexOf(".") + 1));

export const isPasskey = (text: string): boolean => text.startsWith(prefix);

/** Reads the text of a passkey; throws on any other. */
export function parsePasskey(text: string): Passkey {
  const [rp = "", encoded = "", ...rest] = text.slice(prefix.length).split(":");
  if (!isPasskey(text) || rest.length > 0 || !isHost(rp)) throw new Error(`not a passkey: ${text.slice(0, 60)}`);
  const point = fromBase64(encoded);
  if (point.length !== 65 || point[0] !== 4) throw new Error("a passkey that is no uncompressed point of P-256");
  return { text, rp, point };
}

/** A passkey as a key that verifyEnvelope takes. */
export function passkeyVerifier(key: Passkey): OtherKey {
  return { text: key.text, verify: (message, sig) => holds(key, message, sig) };
}

interface Wire {
  readonly authenticatorData: string;
  readonly clientDataJSON: string;
  readonly signature: string;
}

async function holds(key: Passkey, message: Bytes, sig: Bytes): Promise<boolean> {
  try {
    if (sig.length > maxAssertion) return false;
    const wire = parseCanonical<Wire>(sig);
    if (Object.keys(wire).length !== 3) return false;
    const authenticator = fromBase64(wire.authenticatorData);
    const client = fromBase64(wire.clientDataJSON);
    if (authenticator.length > maxAuthenticator || client.length > maxClientData) return false;
    if (!(await ofAuthenticator(authenticator, key.rp)) || !ofPage(client, await sha256(message), key.rp)) return false;
    return await verifyP256(
      concatBytes(spkiP256, key.point),
      concatBytes(authenticator, await sha256(client)),
      fromBase64(wire.signature),
    );
  } catch {
    return false;
  }
}

async function ofAuthenticator(data: Bytes, rp: string): Promise<boolean> {
  if (data.length < fixedSize || !equalBytes(data.subarray(0, 32), await sha256(encoder.encode(rp)))) return false;
  const flags = data[32] ?? 0;
  const has = (bits: number) => (flags & bits) !== 0;
  if (!has(flag.present) || !has(flag.verified) || has(flag.reserved) || has(flag.attested)) return false;
  if (has(flag.backedUp) && !has(flag.eligible)) return false;
  return data.length > fixedSize === has(flag.extensions);
}

// The first members of the client data stand in one order and form (Level 3, section 5.8.1.2).
function ofPage(client: Bytes, challenge: Bytes, rp: string): boolean {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(client);
  JSON.parse(text);
  const head = `{"type":"webauthn.get","challenge":"${urlBase64(challenge)}","origin":"`;
  if (!text.startsWith(head)) return false;
  const end = text.indexOf('"', head.length);
  if (end < 0 || !isOriginOf(text.slice(head.length, end), rp)) return false;
  const rest = text.slice(end + 1).replace(/^,"crossOrigin":false/, "");
  return (rest === "}" || rest.startsWith(",")) && !rest.includes("crossOrigin") && !rest.includes("topOrigin");
}

function isOriginOf(origin: string, rp: string): boolean {
  const found = /^(https?):\/\/([^:]*)(?::(\d{1,5}))?$/.exec(origin);
  const [, scheme, name = ""] = found ?? [];
  if (!scheme || (scheme === "http" && rp !== "localhost")) return false;
  return isHost(name) && (name === rp || name.endsWith(`.${rp}`));
}

const urlBase64 = (bytes: Uint8Array) => toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

/** Signs a payload with one of these passkeys, those of this page's relying party. Returns the DSSE envelope. */
export async function signWithPasskey(
  keys: readonly string[],
  payloadType: string,
  payload: Bytes,
): Promise<Uint8Array<ArrayBuffer>> {
  const usable = keys.filter(isPasskey).map(parsePasskey);
  const [first] = usable;
  if (!first) throw new Error("The manifest names no passkey of yours.");
  const message = pae(payloadType, payload);
  const credential = (await navigator.credentials.get({
    publicKey: { challenge: await sha256(message), rpId: first.rp, userVerification: "required" },
  })) as PublicKeyCredential | null;
  if (!credential) throw new Error("No passkey was chosen.");
  const response = credential.response as AuthenticatorAssertionResponse;
  const sig = canonical({
    authenticatorData: toBase64(new Uint8Array(response.authenticatorData)),
    clientDataJSON: toBase64(new Uint8Array(response.clientDataJSON)),
    signature: toBase64(new Uint8Array(response.signature)),
  });
  for (const key of usable) {
    if (await holds(key, message, sig))
      return writeEnvelope({ payloadType, payload, signatures: [{ keyid: key.text, sig }] });
  }
  throw new Error("That passkey is none of those that the manifest names for you.");
}

/** Makes a passkey for a person at this page's relying party. The private half stays in the authenticator. */
export async function createPasskey(rp: string, person: string): Promise<Passkey> {
  const credential = (await navigator.credentials.create({
    publicKey: {
      rp: { id: rp, name: "Concordat" },
      user: { id: await sha256(encoder.encode(`${rp}\n${person}`)), name: person, displayName: person },
      challenge: crypto.getRandomValues(new Uint8Array(32)), // nobody checks it: the enrolment is signed with the key itself
      pubKeyCredParams: [{ type: "public-key", alg: es256 }],
      authenticatorSelection: { residentKey: "required", userVerification: "required" },
      attestation: "none",
    },
  })) as PublicKeyCredential | null;
  const spki = (credential?.response as AuthenticatorAttestationResponse | undefined)?.getPublicKey();
  if (!spki) throw new Error("No passkey was made.");
  const raw = await crypto.subtle.exportKey(
    "raw",
    await crypto.subtle.importKey("spki", spki, { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]),
  );
  return parsePasskey(`${prefix}${rp}:${toBase64(new Uint8Array(raw))}`);
}

/** The request to be named in a manifest with a passkey, signed by it: a file for whoever drafts the next version. */
export async function enrolPasskey(key: Passkey, person: string, participant: string, issued: string) {
  const payload = canonical({ type: "concordat.dev/enrolment/v1", person, participant, key: key.text, issued });
  return signWithPasskey([key.text], payloadTypes.enrolment, payload);
}

/** Eight hex digits by which two people compare a key over the telephone. */
export async function fingerprint(keyText: string): Promise<string> {
  return toHex((await sha256(encoder.encode(keyText))).subarray(0, 4));
}
