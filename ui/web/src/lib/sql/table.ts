// A released answer as flat columns: each value, and after an aggregate or derived one the ends of its interval. The names are those of
// the command line's files (ui/present). Pure.
import type { Answer, Cell } from "../../api/json";

export interface FlatColumn {
  readonly name: string;
  readonly type: string; // SQL type in lower case
  readonly values: readonly Cell[];
}

export function flatten(answer: Answer): FlatColumn[] {
  const taken = new Set(answer.columns.map((c) => c.name));
  const free = (name: string) => {
    let out = name;
    while (taken.has(out)) out += "_";
    taken.add(out);
    return out;
  };
  return answer.columns.flatMap((column, i) => {
    const value = { name: column.name, type: column.type, values: answer.rows.map((row) => row[i] ?? null) };
    if (column.kind === "key") return [value];
    const end = (which: 0 | 1, name: string) => ({
      name: free(name),
      type: "double",
      values: answer.rows.map((_, r) => answer.intervals[r]?.[i]?.[which] ?? null),
    });
    return [value, end(0, `${column.name}_low`), end(1, `${column.name}_high`)];
  });
}

/** What files say about where their numbers come from. */
export function metadataOf(answer: Answer): Record<string, string> {
  return {
    "concordat.verdict": answer.verdict,
    "concordat.mechanism": answer.mechanism,
    "concordat.query_id": answer.query_id,
    "concordat.withheld_possible": String(answer.withheld_possible),
    "concordat.notes": answer.notes.join("\n"),
    ...(answer.receipt ? { "concordat.receipt": answer.receipt.id } : {}),
  };
}

/** Numbers that are whole, by the type of their column. */
export const isWhole = (type: string): boolean => /^(tinyint|smallint|integer|bigint)$/.test(type);
export const isNumeric = (type: string): boolean => isWhole(type) || /^(hugeint|float|double|decimal\b.*)$/.test(type);
export const isTime = (type: string): boolean => type === "date" || type === "timestamp";

/** The width and scale of a decimal type, "decimal(18,3)"; hugeint is one of 38 digits. */
export function decimalOf(type: string): { precision: number; scale: number } | undefined {
  if (type === "hugeint") return { precision: 38, scale: 0 };
  const match = /^decimal\((\d+),(\d+)\)$/.exec(type);
  return match ? { precision: Number(match[1]), scale: Number(match[2]) } : undefined;
}
