// What a marble signed, in a form that a stranger can check: a DSSE signature under the marble's certificate, with the chain to MarbleRun's
// root, which manifests pin by its digest. As protocol/endorse in Go.
import { fromBase64 } from "./base64";
import { parseCanonical } from "./canon";
import { checkType, verifyChain, verifyP256 } from "./certificate";
import { pae } from "./dsse";

export interface Endorsement {
  readonly payloadType: string;
  readonly payload: Uint8Array<ArrayBuffer>;
  readonly chain: readonly Uint8Array<ArrayBuffer>[]; // DER: the leaf, then its issuers, without the root
  readonly signature: Uint8Array<ArrayBuffer>; // ASN.1 ECDSA over the pre-authentication encoding
}

export type MarbleType = "coordinator" | "worker";

/** Reads an endorsement in canonical JSON. It verifies nothing. */
export function parseEndorsement(bytes: Uint8Array): Endorsement {
  return readEndorsement(parseCanonical<Record<string, unknown>>(bytes));
}

/** Reads an endorsement that is part of a larger object. */
export function readEndorsement(wire: Record<string, unknown>): Endorsement {
  const { payloadType, payload, chain, signature } = wire;
  if (
    Object.keys(wire).length !== 4 ||
    typeof payloadType !== "string" ||
    typeof payload !== "string" ||
    typeof signature !== "string" ||
    !Array.isArray(chain) ||
    !chain.every((c) => typeof c === "string")
  )
    throw new Error("not an endorsement");
  return {
    payloadType,
    payload: fromBase64(payload),
    chain: chain.map((c) => fromBase64(c)),
    signature: fromBase64(signature),
  };
}

/** The payload, after checking its type, the chain to the pinned root, the type of the marble, and the signature. */
export async function verifyEndorsement(
  e: Endorsement,
  payloadType: string,
  pinned: string,
  root: Uint8Array<ArrayBuffer>,
  marble: MarbleType,
): Promise<Uint8Array<ArrayBuffer>> {
  if (e.payloadType !== payloadType) throw new Error(`the payload is ${e.payloadType}, not ${payloadType}`);
  const leaf = await verifyChain(e.chain, pinned, root);
  checkType(leaf, marble);
  if (!(await verifyP256(leaf.publicKey, pae(e.payloadType, e.payload), e.signature)))
    throw new Error("the marble's signature does not verify");
  return e.payload;
}
