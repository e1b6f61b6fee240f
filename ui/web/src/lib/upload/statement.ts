// What the parties to an upload exchange, as protocol/upload in Go: the offer of a recipient that a worker made for it, and the statement
// by which a steward signs for all parts.
import type { Part, PartHeader } from "../age/part";
import { type Digest, parseCanonical } from "../canon";
import { payloadTypes } from "../dsse";
import { parseEndorsement, verifyEndorsement } from "../endorse";

/** The dataset version that an upload becomes, under one manifest of one ledger. */
export interface Target {
  readonly ledger: string;
  readonly collaboration: string;
  readonly manifest: Digest;
  readonly dataset: string;
  readonly version: number;
  readonly upload: string;
}

export type Format = "csv" | "jsonl" | "parquet" | "arrow";

/** How a text file is written; what is left out is as usual. */
export interface Dialect {
  readonly delimiter?: string;
  readonly quote?: string;
  readonly no_header?: boolean;
  readonly encoding?: string;
  readonly date?: string;
  readonly decimal?: string;
}

export const dateForms = [
  "YYYY-MM-DD",
  "YYYY/MM/DD",
  "YYYYMMDD",
  "DD.MM.YYYY",
  "DD/MM/YYYY",
  "DD-MM-YYYY",
  "MM/DD/YYYY",
] as const;

/** How many rows, or what share of them, may be bad and left out; the larger of both holds. */
export interface Tolerance {
  readonly rows?: number;
  readonly share?: number;
}

export interface UploadStatement extends Target {
  readonly type: "concordat.dev/upload/v1";
  readonly format: Format;
  readonly dialect?: Dialect;
  readonly files?: readonly number[];
  readonly columns: readonly string[];
  readonly parts: readonly Part[];
  readonly client: string;
  readonly issued: string;
  readonly report: string; // recipient of the ingest report
  readonly tolerate?: Tolerance;
}

export const maxParts = 16_384;

export const headerFor = (t: Target, number: number): PartHeader => ({
  ledger: t.ledger,
  collaboration: t.collaboration,
  dataset: t.dataset,
  version: t.version,
  upload: t.upload,
  number,
});

interface Offer extends Target {
  readonly type: string;
  readonly recipient: string;
}

/** The recipient, after checking that a worker below the pinned root made it for exactly this target. */
export async function verifyOffer(
  endorsement: Uint8Array,
  pinned: string,
  root: Uint8Array<ArrayBuffer>,
  target: Target,
): Promise<string> {
  const payload = await verifyEndorsement(parseEndorsement(endorsement), payloadTypes.offer, pinned, root, "worker");
  const offer = parseCanonical<Offer>(payload);
  const { type, recipient, ...said } = offer;
  const same =
    Object.keys(said).length === 6 && (Object.keys(target) as (keyof Target)[]).every((k) => said[k] === target[k]);
  if (type !== "concordat.dev/upload-recipient/v1" || !same)
    throw new Error("the recipient was made for another upload");
  if (!recipient.startsWith("age1pq1")) throw new Error("the recipient is not a hybrid post-quantum one");
  return recipient;
}

/** The ingest report, for the owner alone. */
export interface Report {
  readonly dataset: string;
  readonly accepted: boolean;
  readonly read: number;
  readonly rows?: number;
  readonly units?: number;
  readonly header?: readonly string[];
  readonly ignored?: readonly string[];
  readonly columns?: readonly {
    readonly name: string;
    readonly type: string;
    readonly nulls?: number;
    readonly out_of_domain?: number;
    readonly not_finite?: number;
    readonly out_of_bounds?: number;
  }[];
  readonly dropped?: Readonly<Record<string, number>>;
  readonly duplicates?: number;
  readonly rows_per_unit?: Readonly<Record<"p50" | "p90" | "p95" | "p99" | "max", number>> & { readonly hint?: string };
  readonly errors?: readonly {
    readonly file?: number;
    readonly row: number;
    readonly column?: string;
    readonly kind: string;
    readonly cause: string;
    readonly value?: string;
  }[];
  readonly error_counts?: Readonly<Record<string, number>>;
}
