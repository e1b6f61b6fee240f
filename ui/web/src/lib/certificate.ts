// X.509 certificates of MarbleRun, as protocol/endorse in Go checks them: ECDSA on P-256 with SHA-256, leaf to pinned root. No clock is
// asked: MarbleRun's certificates do not expire, and what a marble signed has to be checkable for good.
import { equalBytes } from "./base64";
import { type Digest, digest } from "./canon";
import { bits, type Element, elements, oid, single, tags, take } from "./der";

const oids = {
  ecPublicKey: "1.2.840.10045.2.1",
  p256: "1.2.840.10045.3.1.7",
  ecdsaSHA256: "1.2.840.10045.4.3.2",
  basicConstraints: "2.5.29.19",
  keyUsage: "2.5.29.15",
  marbleType: "1.3.9903.2.1",
} as const;

const known = new Set<string>(["2.5.29.14", "2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.35", "2.5.29.37"]);
const maxChain = 3;
const keyUsage = { digitalSignature: 0x80, certificateSign: 0x04 } as const;

export interface Certificate {
  readonly raw: Uint8Array<ArrayBuffer>;
  readonly signed: Uint8Array<ArrayBuffer>; // what the issuer's signature is over
  readonly signature: Uint8Array<ArrayBuffer>; // ASN.1
  readonly issuer: Uint8Array<ArrayBuffer>; // DER of the name
  readonly subject: Uint8Array<ArrayBuffer>;
  readonly publicKey: Uint8Array<ArrayBuffer>; // DER of SubjectPublicKeyInfo, of P-256
  readonly ca: boolean;
  readonly usage: number; // first byte of KeyUsage, 0 where there is none
  readonly types: readonly string[]; // MarbleRun's extension with the marble type
}

export function parseCertificate(raw: Uint8Array<ArrayBuffer>): Certificate {
  const outer = elements(single(raw, tags.sequence).content);
  const body = take(outer, tags.sequence);
  const algorithm = take(outer, tags.sequence);
  const signature = bits(take(outer, tags.bitString));
  if (outer.length > 0) throw new Error("certificate: more than three parts");
  const fields = elements(body.content);
  const version = take(fields, 0xa0);
  if (single(version.content, tags.integer).content[0] !== 2) throw new Error("certificate: not of version 3");
  take(fields, tags.integer); // serial number
  const inner = take(fields, tags.sequence);
  if (!equalBytes(inner.whole, algorithm.whole) || algorithmOf(algorithm) !== oids.ecdsaSHA256)
    throw new Error("certificate: not signed by ECDSA with SHA-256");
  const issuer = take(fields, tags.sequence).whole;
  take(fields, tags.sequence); // validity
  const subject = take(fields, tags.sequence).whole;
  const publicKey = take(fields, tags.sequence);
  checkP256(publicKey);
  const rest = { issuer, subject, publicKey: publicKey.whole };
  return { raw, signed: body.whole, signature, ...rest, ...extensionsOf(fields) };
}

function algorithmOf(sequence: Element): string {
  const [id] = elements(sequence.content);
  return id?.tag === tags.oid ? oid(id.content) : "";
}

function checkP256(info: Element): void {
  const list = elements(info.content);
  const [kind, curve] = elements(take(list, tags.sequence).content);
  if (!kind || !curve || oid(kind.content) !== oids.ecPublicKey || oid(curve.content) !== oids.p256)
    throw new Error("certificate: the key is not ECDSA on P-256");
}

function extensionsOf(fields: readonly Element[]) {
  let ca = false;
  let usage = 0;
  const types: string[] = [];
  const seen = new Set<string>();
  const wrapper = fields.find((f) => f.tag === 0xa3);
  for (const extension of wrapper ? elements(single(wrapper.content, tags.sequence).content) : []) {
    const parts = elements(extension.content);
    const id = oid(take(parts, tags.oid).content);
    const critical = parts[0]?.tag === tags.boolean && take(parts, tags.boolean).content[0] === 0xff;
    const value = take(parts, tags.octetString).content;
    if (id === oids.marbleType) types.push(new TextDecoder("utf-8", { fatal: true }).decode(value));
    else if (seen.has(id)) throw new Error(`certificate: extension ${id} comes twice`);
    seen.add(id);
    if (id === oids.basicConstraints) {
      const [first] = elements(single(value, tags.sequence).content);
      ca = first?.tag === tags.boolean && first.content[0] === 0xff;
    } else if (id === oids.keyUsage) usage = single(value, tags.bitString).content[1] ?? 0;
    else if (critical && !known.has(id)) throw new Error(`certificate: critical extension ${id} is unknown`);
  }
  return { ca, usage, types };
}

/**
 * Checks that each certificate of chain (DER, leaf first) was issued by the next, and the last by root, whose digest must be the pinned
 * one. Every issuer must be a CA, the leaf must not be one. Returns the leaf.
 */
export async function verifyChain(
  chain: readonly Uint8Array<ArrayBuffer>[],
  pinned: string,
  root: Uint8Array<ArrayBuffer>,
): Promise<Certificate> {
  const have: Digest = await digest(root);
  if (have !== pinned) throw new Error(`the root certificate is ${have}, the manifest pins ${pinned}`);
  if (chain.length === 0 || chain.length > maxChain) throw new Error(`a chain of ${chain.length} certificates`);
  const certificates = [...chain, root].map((der) => parseCertificate(der));
  for (let i = 0; i < chain.length; i++) {
    const [child, issuer] = [certificates[i], certificates[i + 1]] as [Certificate, Certificate];
    if (!equalBytes(child.issuer, issuer.subject)) throw new Error(`certificate ${i} names another issuer`);
    if (!issuer.ca || (issuer.usage !== 0 && (issuer.usage & keyUsage.certificateSign) === 0))
      throw new Error(`certificate ${i + 1} may not issue others`);
    if (!(await verifyP256(issuer.publicKey, child.signed, child.signature)))
      throw new Error(`certificate ${i} was not signed by its issuer`);
  }
  const leaf = certificates[0] as Certificate;
  if (leaf.ca || (leaf.usage & keyUsage.digitalSignature) === 0)
    throw new Error("the leaf is not a marble's certificate");
  return leaf;
}

/** Refuses a leaf of another marble type. */
export function checkType(leaf: Certificate, want: string): void {
  if (leaf.types.length !== 1 || leaf.types[0] !== want)
    throw new Error(`the marble is ${leaf.types.join(", ").slice(0, 80) || "of no type"}, not a ${want}`);
}

/** ECDSA on P-256 with SHA-256; key is the DER of SubjectPublicKeyInfo, signature ASN.1. */
export async function verifyP256(
  key: Uint8Array<ArrayBuffer>,
  message: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  let raw: Uint8Array<ArrayBuffer>;
  try {
    raw = rawSignature(signature);
  } catch {
    return false;
  }
  const imported = await crypto.subtle.importKey("spki", key, algorithm, false, ["verify"]);
  return crypto.subtle.verify(algorithm, imported, raw, message);
}

// WebCrypto wants r and s, 32 bytes each.
function rawSignature(der: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const list = elements(single(der, tags.sequence).content);
  const out = new Uint8Array(64);
  for (const [i, element] of list.entries()) {
    let n = element.content;
    if (element.tag !== tags.integer || i > 1 || n.length === 0 || (n[0] as number) >= 0x80)
      throw new Error("not a signature");
    if (n.length > 1 && n[0] === 0) {
      if ((n[1] as number) < 0x80) throw new Error("not a signature");
      n = n.subarray(1);
    }
    if (n.length > 32) throw new Error("not a signature");
    out.set(n, 32 * (i + 1) - n.length);
  }
  if (list.length !== 2) throw new Error("not a signature");
  return out;
}
