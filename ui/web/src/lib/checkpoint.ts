// Checkpoints of the log (C2SP tlog-checkpoint as signed notes) and their cosignatures (C2SP tlog-cosignature), as protocol/checkpoint in
// Go: a checkpoint that openCheckpoint accepts has the log key's signature, known witnesses' cosignatures, and nothing else.
import { concatBytes, equalBytes, fromBase64, toBase64, toHex } from "./base64";
import { keyText, type PublicKey, parseKey, verifyEd25519 } from "./ed25519";

type Bytes = Uint8Array<ArrayBuffer>;

export interface Cosignature {
  readonly witness: string; // verifier key, NAME+HASH+KEY
  readonly at: Date;
}

export interface Checkpoint {
  readonly size: number;
  readonly root: Bytes;
  readonly cosigned: readonly Cosignature[];
}

const encoder = new TextEncoder();
const plainAlgorithm = 0x01; // Ed25519 over the note's text
const cosignatureAlgorithm = 0x04; // Ed25519 over time and text
const saltSize = 32;

export const origin = (ledger: string): string => `concordat.dev/ledger/${ledger}`;

/** The record of a leaf: SHA-256 of salt and body. */
export async function leafRecord(salt: Uint8Array, body: Uint8Array): Promise<Bytes> {
  if (salt.length !== saltSize) throw new Error(`a salt of ${salt.length} bytes, not ${saltSize}`);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concatBytes(salt, body)));
}

interface Verifier {
  readonly text: string;
  readonly name: string;
  readonly hash: Bytes; // 4 bytes
  readonly key: PublicKey;
}

async function keyHash(name: string, algorithm: number, raw: Uint8Array): Promise<Bytes> {
  const sum = await crypto.subtle.digest(
    "SHA-256",
    concatBytes(encoder.encode(`${name}\n`), new Uint8Array([algorithm]), raw),
  );
  return new Uint8Array(sum).slice(0, 4);
}

/** Reads a witness's verifier key; throws unless it is in the one form of text. */
export async function parseWitness(text: string): Promise<Verifier> {
  const [name = "", hash = "", ...rest] = text.split("+");
  const encoded = fromBase64(rest.join("+"));
  if (encoded[0] !== cosignatureAlgorithm || encoded.length !== 33 || name === "" || /[\s\p{C}]/u.test(name))
    throw new Error(`not a witness's verifier key: ${text.slice(0, 60)}`);
  const raw = encoded.slice(1);
  const own = await keyHash(name, cosignatureAlgorithm, raw);
  if (toHex(own) !== hash) throw new Error(`${text.slice(0, 60)} has another hash than its name and key give`);
  return { text, name, hash: own, key: parseKey(keyText(raw)) };
}

/** Opens a checkpoint: signed by the log key, cosigned by any of the witnesses, and by nobody else. */
export async function openCheckpoint(
  note: string,
  ledger: string,
  log: PublicKey,
  witnesses: readonly string[],
): Promise<Checkpoint> {
  const end = note.lastIndexOf("\n\n");
  const text = note.slice(0, end + 1);
  const known = await Promise.all(witnesses.map(parseWitness));
  const logHash = await keyHash(origin(ledger), plainAlgorithm, log.raw);
  let byLog = false;
  const cosigned: Cosignature[] = [];
  for (const line of signatureLines(note, end)) {
    const [, name = "", encoded = ""] = line.split(" ");
    const raw = fromBase64(encoded);
    if (line !== `— ${name} ${toBase64(raw)}`) throw new Error("a signature of the checkpoint in an unusual form");
    const hash = raw.slice(0, 4);
    const sig = raw.slice(4);
    if (name === origin(ledger) && equalBytes(hash, logHash) && !byLog) {
      if (!(await verifyEd25519(log, encoder.encode(text), sig)))
        throw new Error("the log's signature does not verify");
      byLog = true;
      continue;
    }
    const witness = known.find((w) => w.name === name && equalBytes(w.hash, hash));
    if (!witness || cosigned.some((c) => c.witness === witness.text))
      throw new Error(`the checkpoint has a signature of a stranger, or one twice: ${name.slice(0, 60)}`);
    cosigned.push({ witness: witness.text, at: await cosignatureTime(witness, text, sig) });
  }
  if (!byLog) throw new Error("the checkpoint is not signed by the ledger's log key");
  return { ...parseBody(text, ledger), cosigned };
}

function signatureLines(note: string, end: number): string[] {
  if (end < 0 || !note.endsWith("\n")) throw new Error("not a signed note");
  return note.slice(end + 2, -1).split("\n");
}

// cosignature/v1: eight bytes of seconds, then Ed25519 over a line with them and the note's text.
async function cosignatureTime(witness: Verifier, text: string, sig: Bytes): Promise<Date> {
  if (sig.length !== 8 + 64) throw new Error(`the cosignature of ${witness.name} has no time`);
  const seconds = Number(new DataView(sig.buffer, sig.byteOffset).getBigUint64(0));
  const message = encoder.encode(`cosignature/v1\ntime ${seconds}\n${text}`);
  if (!Number.isSafeInteger(seconds) || !(await verifyEd25519(witness.key, message, sig.slice(8))))
    throw new Error(`the cosignature of ${witness.name} does not verify`);
  return new Date(seconds * 1000);
}

function parseBody(text: string, ledger: string): { size: number; root: Bytes } {
  const [name, size = "", root = "", ...rest] = text.replace(/\n$/, "").split("\n");
  const bytes = fromBase64(root);
  if (name !== origin(ledger) || rest.length > 0 || !/^(0|[1-9]\d{0,15})$/.test(size) || bytes.length !== 32)
    throw new Error("the checkpoint is not of this ledger, or its size or root has an unusual form");
  return { size: Number(size), root: bytes };
}

/** The median of the cosignatures' times, the earlier of two; undefined without any. */
export function medianTime(c: Checkpoint): Date | undefined {
  const times = c.cosigned.map((s) => s.at).sort((a, b) => a.getTime() - b.getTime());
  return times[Math.floor((times.length - 1) / 2)];
}
