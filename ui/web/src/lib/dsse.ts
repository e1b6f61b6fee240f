// DSSE envelopes (Dead Simple Signing Envelope 1.0), as protocol/dsse in Go: what verifyEnvelope accepts was signed as these bytes under
// this payload type; nothing is encoded again.
import { concatBytes, fromBase64, toBase64 } from "./base64";
import { canonical, parseCanonical } from "./canon";
import { type PublicKey, verifyEd25519, verifySSH } from "./ed25519";

export const payloadTypes = {
  statement: "application/vnd.concordat.statement+json",
  upload: "application/vnd.concordat.upload+json",
  enrolment: "application/vnd.concordat.enrolment+json",
  offer: "application/vnd.concordat.upload-recipient+json",
  registration: "application/vnd.concordat.registration+json",
} as const;

const maxSignatures = 64;
const sshNamespace = "dsse@concordat.dev"; // what ssh-keygen -Y sign -n is told

export interface Signature {
  readonly keyid: string;
  readonly sig: Uint8Array<ArrayBuffer>;
}

export interface Envelope {
  readonly payloadType: string;
  readonly payload: Uint8Array<ArrayBuffer>;
  readonly signatures: readonly Signature[];
}

/** What is signed: DSSE's pre-authentication encoding of type and payload. */
export function pae(payloadType: string, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const type = new TextEncoder().encode(payloadType);
  const text = (s: string) => new TextEncoder().encode(s);
  return concatBytes(text(`DSSEv1 ${type.length} `), type, text(` ${payload.length} `), payload);
}

export interface Wire {
  readonly payloadType: string;
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

/** Reads an envelope in canonical JSON, and nothing else. It verifies nothing. */
export function parseEnvelope(bytes: Uint8Array): Envelope {
  return readEnvelope(parseCanonical<Partial<Wire>>(bytes));
}

/** Reads an envelope that is part of a larger object. */
export function readEnvelope(wire: Partial<Wire>): Envelope {
  const { payloadType, payload, signatures } = wire;
  const fields = Object.keys(wire).length;
  if (fields !== 3 || typeof payloadType !== "string" || typeof payload !== "string" || !Array.isArray(signatures))
    throw new Error("not a DSSE envelope");
  if (signatures.length === 0 || signatures.length > maxSignatures)
    throw new Error(`an envelope with ${signatures.length} signatures, not 1 to ${maxSignatures}`);
  return {
    payloadType,
    payload: fromBase64(payload),
    signatures: signatures.map((s: Wire["signatures"][number]) => {
      if (typeof s?.keyid !== "string" || typeof s.sig !== "string") throw new Error("not a DSSE signature");
      return { keyid: s.keyid, sig: fromBase64(s.sig) };
    }),
  };
}

/** Writes an envelope as canonical JSON. */
export function writeEnvelope(e: Envelope): Uint8Array<ArrayBuffer> {
  return canonical({
    payloadType: e.payloadType,
    payload: toBase64(e.payload),
    signatures: e.signatures.map((s) => ({ keyid: s.keyid, sig: toBase64(s.sig) })),
  });
}

/** How a key of another kind (a passkey) verifies; see lib/sign.ts. */
export type OtherKey = {
  readonly text: string;
  verify(message: Uint8Array<ArrayBuffer>, sig: Uint8Array<ArrayBuffer>): Promise<boolean>;
};

/**
 * The allowed keys that signed, each once; at least one, else it throws. Signatures by other keys are ignored; one that names an allowed
 * key and is wrong makes the whole envelope fail.
 */
export async function verifyEnvelope(
  e: Envelope,
  payloadType: string,
  allowed: readonly (PublicKey | OtherKey)[],
): Promise<string[]> {
  if (e.payloadType !== payloadType) throw new Error(`the payload is ${e.payloadType}, not ${payloadType}`);
  const message = pae(e.payloadType, e.payload);
  const signers = new Set<string>();
  for (const s of e.signatures) {
    const key = allowed.find((k) => k.text === s.keyid);
    if (!key) continue;
    if (!(await holds(key, message, s.sig))) throw new Error(`the signature of ${s.keyid} does not verify`);
    signers.add(key.text);
  }
  if (signers.size === 0) throw new Error("no valid signature by an allowed key");
  return [...signers];
}

async function holds(key: PublicKey | OtherKey, message: Uint8Array<ArrayBuffer>, sig: Uint8Array<ArrayBuffer>) {
  if ("verify" in key) return key.verify(message, sig);
  if (await verifyEd25519(key, message, sig)) return true;
  return key.ssh && verifySSH(key, sshNamespace, message, sig);
}
