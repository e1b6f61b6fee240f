// Which chart suits an answer, by the kinds and types of its columns. Pure.
import type { Answer, AnswerColumn } from "../../api/json";
import { isNumeric, isTime } from "./table";

export interface ChartChoice {
  readonly kind: "bar" | "line";
  readonly x: number; // columns of the answer
  readonly y: number;
  readonly series: number; // -1: none
  readonly intervals: boolean;
}

export interface ChartOptions {
  readonly keys: readonly number[];
  readonly values: readonly number[];
}

export function chartOptions(columns: readonly AnswerColumn[]): ChartOptions {
  const all = columns.map((_, i) => i);
  const kind = (i: number) => columns[i]?.kind;
  return {
    keys: all.filter((i) => kind(i) === "key"),
    values: all.filter((i) => kind(i) !== "key" && isNumeric(columns[i]?.type ?? "")),
  };
}

const mostSeries = 6; // colours of the tokens
const mostBars = 80;

/** The chart that is shown at first, if the answer has a key and a number. */
export function firstChart(answer: Answer): ChartChoice | undefined {
  const { keys, values } = chartOptions(answer.columns);
  const y = values[0];
  const x = keys.find((i) => isTime(answer.columns[i]?.type ?? "")) ?? longest(answer, keys);
  if (x === undefined || y === undefined) return undefined;
  const series = keys.find((i) => i !== x && distinct(answer, i) <= mostSeries) ?? -1;
  return { kind: isLine(answer, x) ? "line" : "bar", x, y, series, intervals: true };
}

// The key with the most values lies along the chart, others become colours.
function longest(answer: Answer, keys: readonly number[]): number | undefined {
  return [...keys].sort((a, b) => distinct(answer, b) - distinct(answer, a) || a - b)[0];
}

function isLine(answer: Answer, x: number): boolean {
  const type = answer.columns[x]?.type ?? "";
  return isTime(type) || (isNumeric(type) && distinct(answer, x) > 6) || distinct(answer, x) > mostBars;
}

const distinct = (answer: Answer, i: number): number => new Set(answer.rows.map((r) => r[i])).size;

export interface Point {
  readonly x: string | number | Date;
  readonly y: number;
  readonly low: number | undefined;
  readonly high: number | undefined;
  readonly series: string;
}

/** What a chart draws. Rows without the number are left out; keys that are no times or numbers are texts. */
export function pointsOf(answer: Answer, choice: ChartChoice): Point[] {
  const type = answer.columns[choice.x]?.type ?? "";
  return answer.rows.flatMap((row, r) => {
    const y = row[choice.y];
    if (y === null || y === undefined || y === "" || !Number.isFinite(Number(y))) return [];
    const interval = answer.intervals[r]?.[choice.y];
    const key = row[choice.x] ?? null;
    const series = choice.series < 0 ? "" : labelOf(row[choice.series] ?? null);
    if (choice.kind === "line" && key === null) return [];
    return [{ x: place(key, type, choice.kind), y: Number(y), low: interval?.[0], high: interval?.[1], series }];
  });
}

const labelOf = (key: unknown): string => (key === null ? "none" : String(key));

function place(key: unknown, type: string, kind: ChartChoice["kind"]): string | number | Date {
  if (kind === "line" && isTime(type)) return new Date(String(key));
  if (kind === "line" && isNumeric(type)) return Number(key);
  return labelOf(key);
}

/** What the chart shows, for those who do not see it. */
export function describe(answer: Answer, choice: ChartChoice): string {
  const name = (i: number) => answer.columns[i]?.name ?? "";
  const series = choice.series < 0 ? "" : `, one colour for each ${name(choice.series)}`;
  return `${choice.kind === "bar" ? "Bar" : "Line"} chart of ${name(choice.y)} by ${name(choice.x)}${series}. The table holds the same numbers.`;
}
