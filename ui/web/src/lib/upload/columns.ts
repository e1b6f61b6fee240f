// Which column of a file becomes which of the policy. Texts whose columns have other names are sent with another header: nothing else of
// the file changes.
import type { Policy } from "../../api/documents";
import { parseCsv } from "../sample/csv";
import type { Table } from "../sample/read";

/** Names of the policy's columns that are read, to names of the file's; "" where none is chosen. */
export type Mapping = Readonly<Record<string, string>>;

/** The columns that an upload has to have. Hidden ones are not read, except a second identifier. */
export function wantedColumns(policy: Policy): string[] {
  const second = policy.unit === "none" ? undefined : (policy.unit as { then?: string }).then;
  return Object.entries(policy.columns)
    .filter(([name, c]) => c.role !== "hidden" || name === second)
    .map(([name]) => name);
}

const loose = (name: string) => name.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, "");

/** Same names first, then without regard to case, then without regard to what stands between letters. */
export function guessMapping(policy: Policy, columns: readonly string[]): Mapping {
  const out: Record<string, string> = {};
  const same: readonly ((a: string, b: string) => boolean)[] = [
    (a, b) => a === b,
    (a, b) => a.toLowerCase() === b.toLowerCase(),
    (a, b) => loose(a) === loose(b),
  ];
  for (const matches of same)
    for (const wanted of wantedColumns(policy)) {
      if (out[wanted]) continue;
      const taken = new Set(Object.values(out));
      out[wanted] = columns.find((c) => !taken.has(c) && matches(wanted, c)) ?? "";
    }
  return out;
}

/** Whether every chosen name is the policy's own as the worker compares them, so that the file can go as it is. */
export function namesMatch(mapping: Mapping): boolean {
  return Object.entries(mapping).every(([wanted, have]) => wanted.toLowerCase() === have.toLowerCase());
}

/** Whether columns of this file can be given other names on the way. */
export function canRename(table: Table, packed: boolean): boolean {
  return table.format === "csv" && !packed && (table.dialect.encoding ?? "utf-8") === "utf-8";
}

/** The names of the file's columns as they are sent. A column that would take a chosen name by accident gets another. */
export function sentColumns(columns: readonly string[], mapping: Mapping): string[] {
  const wanted = new Map(Object.entries(mapping).map(([policy, file]) => [file, policy]));
  const names = new Set(Object.keys(mapping).map((n) => n.toLowerCase()));
  return columns.map((c, i) => wanted.get(c) ?? (names.has(c.toLowerCase()) ? `unused_${i + 1}` : c));
}

/** The header line that is sent, and how many bytes of the file it takes the place of. */
export async function replaceHeader(
  file: Blob,
  table: Table,
  columns: readonly string[],
): Promise<{ readonly text: string; readonly skip: number }> {
  const delimiter = table.dialect.delimiter ?? ",";
  const quote = table.dialect.quote === "none" ? "" : (table.dialect.quote ?? '"');
  const start = await file.slice(0, 1 << 20).text();
  const marked = start.startsWith("\ufeff") ? start.slice(1) : start;
  const text = `${columns.map((c) => field(c, delimiter, quote)).join(delimiter)}\n`;
  if (table.dialect.no_header) return { text: "", skip: 0 };
  const length = headerLength(marked, delimiter, quote);
  const encoder = new TextEncoder();
  const mark = (await hasMark(file)) ? 3 : 0;
  return { text, skip: mark + encoder.encode(marked.slice(0, length)).length };
}

async function hasMark(file: Blob): Promise<boolean> {
  const b = new Uint8Array(await file.slice(0, 3).arrayBuffer());
  return b[0] === 0xef && b[1] === 0xbb && b[2] === 0xbf;
}

// The header ends at the first line feed up to which the text is one whole row.
function headerLength(text: string, delimiter: string, quote: string): number {
  const [whole] = parseCsv(text, { delimiter, quote }, 1);
  for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", end + 1)) {
    const [row] = parseCsv(text.slice(0, end + 1), { delimiter, quote }, 1);
    if (row?.length === whole?.length && row?.every((f, i) => f === whole?.[i])) return end + 1;
  }
  throw new Error("The file's header has no end within its first megabyte.");
}

function field(name: string, delimiter: string, quote: string): string {
  if (quote === "" || !(name.includes(delimiter) || name.includes(quote) || /[\r\n]/.test(name))) return name;
  return quote + name.replaceAll(quote, quote + quote) + quote;
}
