// The receipt of a release as protocol/receipt in Go writes it: canonical JSON in which manifest, policies and result are objects whose
// bytes, as they stand there, are those that were signed or digested.
import type { Manifest } from "../../api/documents";
import type { Answer } from "../../api/json";
import { fromBase64 } from "../base64";
import { parseCanonical } from "../canon";
import { type Envelope, type Wire as EnvelopeWire, readEnvelope } from "../dsse";
import { type Endorsement, readEndorsement } from "../endorse";

type Bytes = Uint8Array<ArrayBuffer>;

export interface Dataset {
  readonly id: string;
  readonly version: number;
  readonly sealed: string;
}

export interface Price {
  readonly owner: string;
  readonly namespace: string;
  readonly rho: number; // 1e-9
  readonly spent_before: number; // 1e-9
  readonly queries?: number;
}

/** The predicate of the in-toto statement that the worker signed. */
export interface Release {
  readonly ledger: string;
  readonly collaboration: string;
  readonly version: number;
  readonly manifest: string;
  readonly mode: "simulation" | "sgx";
  readonly query: string;
  readonly policies: readonly { readonly dataset: string; readonly digest: string }[];
  readonly datasets: readonly Dataset[];
  readonly sql: string;
  readonly plan?: string;
  readonly plan_digest: string;
  readonly question: string;
  readonly mechanism: string;
  readonly parameters: unknown;
  readonly price: readonly Price[];
  readonly grant: string;
  readonly worker: {
    readonly version: string;
    readonly noise: string;
    readonly measure?: string;
    readonly marblerun?: string;
  };
}

export interface Grant {
  readonly type: string;
  readonly query: string;
  readonly ledger: string;
  readonly collaboration: string;
  readonly version: number;
  readonly manifest: string;
  readonly person: string;
  readonly participant: string;
  readonly sql: string;
  readonly plan: string;
  readonly question: string;
  readonly datasets: readonly Dataset[];
  readonly price: readonly Price[];
  readonly index: number;
  readonly reserved: string;
}

export type Result = Pick<Answer, "columns" | "rows" | "intervals" | "mechanism" | "withheld_possible" | "notes">;

export interface Receipt {
  readonly body: Endorsement;
  readonly bodyObject: unknown; // as it stands in the receipt: its canonical JSON is the body of the log's leaf
  readonly result: Result;
  readonly sql: string | undefined;
  readonly index: number;
  readonly salt: Bytes;
  readonly proof: readonly Bytes[];
  readonly checkpoint: string;
  readonly grant: { readonly envelope: Envelope; readonly keys: Endorsement };
  readonly manifest: Manifest;
  readonly policies: readonly unknown[];
  readonly approvals: readonly Envelope[];
  readonly amends: readonly unknown[];
  readonly root: Bytes;
}

const receiptType = "concordat.dev/receipt/v1";
const maxSize = 128 * 1024 * 1024;

interface Wire {
  readonly type: string;
  readonly body: Record<string, unknown>;
  readonly result: Result;
  readonly sql?: string;
  readonly index: number;
  readonly salt: string;
  readonly proof: readonly string[];
  readonly checkpoint: string;
  readonly grant: { readonly grant: Partial<EnvelopeWire>; readonly keys: Record<string, unknown> };
  readonly manifest: Manifest;
  readonly policies: readonly unknown[];
  readonly approvals: readonly Partial<EnvelopeWire>[];
  readonly amends?: readonly unknown[];
  readonly root: string;
}

const fields = new Set<string>([
  "type",
  "body",
  "result",
  "sql",
  "index",
  "salt",
  "proof",
  "checkpoint",
  "grant",
  "manifest",
  "policies",
  "approvals",
  "amends",
  "root",
] satisfies (keyof Wire)[]);

/** Reads a receipt in its one form of bytes. It verifies nothing. */
export function parseReceipt(bytes: Uint8Array): Receipt {
  if (bytes.length > maxSize) throw new Error(`a receipt of ${bytes.length} bytes, at most ${maxSize}`);
  const wire = parseCanonical<Wire>(trimmed(bytes));
  if (typeof wire !== "object" || wire === null || wire.type !== receiptType)
    throw new Error("not a receipt of Concordat");
  for (const name of Object.keys(wire))
    if (!fields.has(name)) throw new Error(`a receipt has no field ${name.slice(0, 40)}`);
  return {
    body: readEndorsement(wire.body),
    bodyObject: wire.body,
    result: wire.result,
    sql: wire.sql,
    index: wire.index,
    salt: fromBase64(wire.salt),
    proof: (wire.proof ?? []).map((p) => fromBase64(p)),
    checkpoint: wire.checkpoint,
    grant: { envelope: readEnvelope(wire.grant.grant), keys: readEndorsement(wire.grant.keys) },
    manifest: wire.manifest,
    policies: wire.policies,
    approvals: wire.approvals.map((a) => readEnvelope(a)),
    amends: wire.amends ?? [],
    root: fromBase64(wire.root),
  };
}

// Files end with a line break; the receipt itself has none.
function trimmed(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
}
