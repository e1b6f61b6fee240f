// The beginning of an owner's file, read in the browser: enough to tell how the file is written, to show its first rows, and to draft a
// policy for it. As ui/sample does at the command line. Nothing of it leaves the browser.
import { foreign, RefusedError } from "../upload/foreign";
import type { Dialect, Format } from "../upload/statement";
import { parseCsv } from "./csv";
import { dateFormsOf } from "./date";

const maxBytes = 8 << 20;
const maxRows = 50_000;
const delimiters = [",", ";", "\t", "|"] as const;

/** The beginning of a file. A missing value is the empty text. */
export interface Table {
  readonly format: Format;
  readonly dialect: Dialect;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly whole: boolean; // there are no more rows
  /** Where the file itself says them: types of a policy. */
  readonly types?: Readonly<Record<string, string>>;
}

export class UnreadError extends Error {
  override readonly name = "UnreadError";
}

/** Reads the beginning of a file; given says what is known of how it is written, names are the columns of one without a header. */
export async function readSample(file: Blob, given: Dialect = {}, names: readonly string[] = []): Promise<Table> {
  const start = new Uint8Array(await file.slice(0, 8).arrayBuffer());
  const begins = (...bytes: number[]) => bytes.every((b, i) => start[i] === b);
  if (start.length === 0) throw new UnreadError("The file is empty.");
  if (begins(0x50, 0x41, 0x52, 0x31)) return (await import("./columnar")).readParquet(file);
  if (begins(0x41, 0x52, 0x52, 0x4f, 0x57, 0x31) || begins(0xff, 0xff, 0xff, 0xff))
    return (await import("./columnar")).readArrow(file);
  const packed = begins(0x1f, 0x8b) ? "gzip" : begins(0x28, 0xb5, 0x2f, 0xfd) ? "zstd" : "";
  const { bytes, whole } = await beginning(
    await unpacked(file, packed),
    packed === "" ? file.size : Number.POSITIVE_INFINITY,
  );
  const what = foreign(bytes);
  if (what) throw new RefusedError(`The file has no rows that are read: ${what}.`);
  const text = decode(bytes, given.encoding, whole);
  if (/^\s*\{/.test(text)) return readJson(text, given, whole);
  return readText(text, given, names, whole);
}

async function unpacked(file: Blob, packed: string): Promise<ReadableStream<Uint8Array>> {
  if (packed === "gzip") return file.stream().pipeThrough(new DecompressionStream("gzip"));
  if (packed === "zstd") return unzstd(file);
  return file.stream();
}

async function unzstd(file: Blob): Promise<ReadableStream<Uint8Array>> {
  const { Decompress } = await import("fzstd");
  const reader = file.stream().getReader();
  let out: Uint8Array[] = [];
  const decompress = new Decompress((chunk) => out.push(chunk));
  return new ReadableStream({
    async pull(controller) {
      while (out.length === 0) {
        const { value, done } = await reader.read();
        decompress.push(value ?? new Uint8Array(), done);
        if (done) break;
      }
      for (const chunk of out) controller.enqueue(chunk);
      if (out.length === 0) controller.close();
      out = [];
    },
    cancel: (cause) => reader.cancel(cause),
  });
}

/** The first bytes of a stream, and whether that was all. */
async function beginning(
  stream: ReadableStream<Uint8Array>,
  size: number,
): Promise<{ bytes: Uint8Array; whole: boolean }> {
  const reader = stream.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  let whole = false;
  while (length < maxBytes) {
    const { value, done } = await reader.read().catch((cause: unknown) => {
      throw new UnreadError(`The file cannot be unpacked: ${cause instanceof Error ? cause.message : String(cause)}`);
    });
    if (done) {
      whole = true;
      break;
    }
    chunks.push(value);
    length += value.length;
  }
  await reader.cancel().catch(() => undefined);
  const bytes = new Uint8Array(await new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  return { bytes: bytes.subarray(0, maxBytes), whole: whole || length >= size };
}

function decode(bytes: Uint8Array, encoding: string | undefined, whole: boolean): string {
  const mark = (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0);
  const label =
    mark === 0xfffe ? "utf-16le" : mark === 0xfeff ? "utf-16be" : encoding === "windows-1252" ? encoding : "utf-8";
  let text = new TextDecoder(label).decode(bytes);
  if (!whole) text = text.slice(0, text.lastIndexOf("\n") + 1);
  if (text === "") throw new UnreadError("The file is empty, or its first line is longer than 8 MiB.");
  return text;
}

function readText(text: string, given: Dialect, names: readonly string[], whole: boolean): Table {
  let best: { rows: string[][]; delimiter: string; score: number } | undefined;
  const quote = given.quote === "none" ? "" : (given.quote ?? '"');
  for (const delimiter of given.delimiter ? [given.delimiter] : delimiters) {
    const rows = parseCsv(text, { delimiter, quote }, maxRows + 1);
    const score = regular(rows);
    if (rows.length > 0 && (!best || score > best.score)) best = { rows, delimiter, score };
  }
  if (!best) throw new UnreadError("The file has no line of fields.");
  const [first = [], ...rest] = best.rows;
  if (given.no_header && names.length !== first.length)
    throw new UnreadError(`The file has ${first.length} fields; name ${first.length} columns.`);
  const columns = given.no_header ? names : first.map((name) => name.trim());
  if (columns.length === 1 && columns[0] === "") throw new UnreadError("The file's first line is blank.");
  const rows = (given.no_header ? best.rows : rest).filter((row) => row.length === columns.length);
  const all = whole && best.rows.length <= maxRows;
  return { format: "csv", dialect: { ...given, delimiter: best.delimiter }, columns, rows, whole: all };
}

/** How many fields the rows have if all have as many as the first, less where they do not. */
function regular(rows: readonly (readonly string[])[]): number {
  const width = rows[0]?.length ?? 0;
  return (width * rows.filter((r) => r.length === width).length) / Math.max(1, rows.length);
}

function readJson(text: string, given: Dialect, whole: boolean): Table {
  const at = new Map<string, number>();
  const rows: string[][] = [];
  let all = whole;
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    if (rows.length === maxRows) {
      all = false;
      break;
    }
    const row = rowOf(line, at);
    if (row) rows.push(row);
  }
  if (at.size === 0) throw new UnreadError("No line of the file is a JSON object that has fields.");
  for (const row of rows) while (row.length < at.size) row.push("");
  const dialect = {
    ...(given.encoding ? { encoding: given.encoding } : {}),
    ...(given.date ? { date: given.date } : {}),
  };
  return { format: "jsonl", dialect, columns: [...at.keys()], rows, whole: all };
}

/** The row of a line that is an object. What the other lines are, the worker tells, and some may be tolerated. */
function rowOf(line: string, at: Map<string, number>): string[] | undefined {
  let object: unknown;
  try {
    object = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof object !== "object" || object === null || Array.isArray(object)) return undefined;
  const row: string[] = [];
  for (const [name, value] of Object.entries(object)) {
    const i = at.get(name) ?? at.size;
    at.set(name, i);
    while (row.length <= i) row.push("");
    row[i] = plain(value);
  }
  return row;
}

/** A value of JSON, Parquet or Arrow as the text that a CSV would have. */
export function plain(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (value instanceof Date) return value.toISOString().replace(/T00:00:00\.000Z$/, "");
  return typeof value === "object"
    ? JSON.stringify(value, (_, v) => (typeof v === "bigint" ? String(v) : v))
    : String(value);
}

/** The values of a column that are there. */
export function valuesOf(table: Table, column: number): string[] {
  const out: string[] = [];
  for (const row of table.rows) {
    const value = row[column]?.trim();
    if (value) out.push(value);
  }
  return out;
}

export const commaForm = /^\s*[+-]?\d+,\d+\s*$/;
/** May be a decimal comma, or twelve hundred: whose numbers are all so is left to say which. */
export const groupForm = /^\s*[+-]?[1-9]\d{0,2},\d{3}\s*$/;
export const pointForm = /^\s*[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?\s*$/;
export const wholeForm = /^\s*[+-]?\d+\s*$/;

/**
 * Completes the dialect by values that are dates and numbers: how dates are written, and whether numbers have a decimal comma. Gives the
 * ways in which the dates may be written where the sample leaves a choice that would change what the rows mean.
 */
export function fitDialect(
  table: Table,
  dates: readonly string[],
  numbers: readonly string[],
): { dialect: Dialect; ambiguous: string[] } {
  let dialect = table.dialect;
  let ambiguous: string[] = [];
  if (!dialect.date && dates.length > 0 && (table.format === "csv" || table.format === "jsonl")) {
    const fitting = dateFormsOf(dates);
    if (fitting.length > 1 && fitting[0] !== "YYYY-MM-DD") ambiguous = fitting;
    else if (fitting[0] && fitting[0] !== "YYYY-MM-DD") dialect = { ...dialect, date: fitting[0] };
  }
  if (
    table.format === "csv" &&
    !dialect.decimal &&
    numbers.some((n) => commaForm.test(n) && !groupForm.test(n)) &&
    !numbers.some((n) => pointForm.test(n))
  )
    dialect = { ...dialect, decimal: "," };
  return { dialect, ambiguous };
}
