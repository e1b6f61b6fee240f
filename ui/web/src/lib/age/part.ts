// The encrypted parts of an upload, exactly as protocol/upload in Go writes them: an age file for one hybrid post-quantum recipient, whose
// plaintext begins with the magic line and the part's header, so that parts cannot be exchanged, repeated or taken from another upload.
import { Decrypter, Encrypter, generateHybridIdentity, identityToRecipient } from "age-encryption";
import { concatBytes, equalBytes } from "../base64";
import { canonicalText, type Digest, digest } from "../canon";

/** The most plaintext of one part in bytes, without its header. */
export const maxPart = 64 << 20;
const maxHeader = 1024;
const magic = "concordat.dev/part/v1\n";

export interface PartHeader {
  readonly ledger: string;
  readonly collaboration: string;
  readonly dataset: string;
  readonly version: number;
  readonly upload: string;
  readonly number: number; // from 1
}

/** What the upload statement says of a part: digest and size of its ciphertext, bytes of its plaintext without the header. */
export interface Part {
  readonly digest: Digest;
  readonly size: number;
  readonly plain: number;
}

export interface SealedPart {
  readonly part: Part;
  readonly ciphertext: Uint8Array<ArrayBuffer>;
  /** Digest of the plaintext, which tells after an interruption whether the file still is the one that was begun. */
  readonly plain: Digest;
}

/** The first bytes of a part's plaintext. */
export function headerOf(header: PartHeader): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(`${magic}${canonicalText(header)}\n`);
  if (bytes.length > maxHeader) throw new Error(`the header of a part has ${bytes.length} bytes, at most ${maxHeader}`);
  return bytes;
}

/** Encrypts one part. Memory is twice the part. */
export async function sealPart(
  recipient: string,
  header: PartHeader,
  rows: Uint8Array<ArrayBuffer>,
): Promise<SealedPart> {
  if (!recipient.startsWith("age1pq1")) throw new Error("the recipient is not a hybrid post-quantum one (age1pq1…)");
  if (rows.length > maxPart) throw new Error("a part is larger than 64 MiB");
  const plain = await digest(rows);
  const ciphertext = await encrypt(recipient, [headerOf(header), rows]);
  return { part: { digest: await digest(ciphertext), size: ciphertext.length, plain: rows.length }, ciphertext, plain };
}

async function encrypt(recipient: string, chunks: readonly Uint8Array[]): Promise<Uint8Array<ArrayBuffer>> {
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  const sealed = await encrypter.encrypt(streamOf(chunks));
  const out = new Uint8Array(sealed.size(chunks.reduce((n, c) => n + c.length, 0)));
  let at = 0;
  const reader = sealed.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    out.set(next.value, at);
    at += next.value.length;
  }
  if (at !== out.length) throw new Error(`age wrote ${at} bytes, not ${out.length}`);
  return out;
}

function streamOf(chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const c of chunks) controller.enqueue(c);
      controller.close();
    },
  });
}

/** The rows of a part, after its header was found to be the wanted one. For tests, and for a steward who checks. */
export async function openPart(
  identity: string,
  want: PartHeader,
  ciphertext: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const plaintext = await decrypt(identity, ciphertext);
  const header = headerOf(want);
  if (!equalBytes(plaintext.subarray(0, header.length), header)) throw new Error("the part belongs elsewhere");
  return plaintext.slice(header.length);
}

async function decrypt(identity: string, ciphertext: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  return concatBytes(await decrypter.decrypt(ciphertext));
}

/** A fresh identity for one ingest report, and its recipient, which the upload statement names. */
export async function reportIdentity(): Promise<{ identity: string; recipient: string }> {
  const identity = await generateHybridIdentity();
  return { identity, recipient: await identityToRecipient(identity) };
}

/** Opens what a worker sealed to the owner, an age file. */
export async function openReport<T>(identity: string, sealed: Uint8Array<ArrayBuffer>): Promise<T> {
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(await decrypt(identity, sealed))) as T;
}
