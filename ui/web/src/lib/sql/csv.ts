import type { Answer, Cell } from "../../api/json";
import { flatten } from "./table";

/** CSV as RFC 4180 has it, with the lines of the command line's files: NULL is empty. */
export function csvOf(answer: Answer): string {
  const columns = flatten(answer);
  const lines = [columns.map((c) => field(c.name))];
  answer.rows.forEach((_, r) => {
    lines.push(columns.map((c) => field(c.values[r] ?? null)));
  });
  return lines.map((line) => `${line.length === 1 && line[0] === "" ? '""' : line.join(",")}\n`).join("");
}

function field(value: Cell): string {
  const text = value === null ? "" : String(value);
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
