// JSON objects that travel as bytes in the calls: the answer of a query, and lists. Fields are those of protocol/answer and coordinator/api.

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Reads JSON bytes. Empty bytes are an empty list. */
export function readJson<T>(bytes: Uint8Array): T {
  return (bytes.length === 0 ? [] : JSON.parse(decoder.decode(bytes))) as T;
}

export type Verdict = "released" | "refused" | "failed";

export interface Span {
  readonly start: number; // bytes of UTF-8 in the SQL text
  readonly end: number;
}

export interface Refusal {
  readonly code: string;
  readonly owner: string;
  readonly dataset: string;
  readonly column: string;
  readonly rule: string;
  readonly span: Span | null;
  readonly message: string;
  readonly suggestion: string;
}

export interface AnswerColumn {
  readonly name: string;
  readonly type: string;
  readonly kind: "key" | "aggregate" | "derived";
}

export type Cell = null | boolean | number | string;
export type Interval = readonly [number, number] | null;

export interface Price {
  readonly owner: string;
  readonly namespace: string;
  readonly rho: number;
  readonly remaining_rho: number | null;
  readonly epsilon_spent: number | null;
  readonly queries?: number;
  readonly remaining_queries?: number | null;
  readonly about_more?: number | null;
}

export interface Answer {
  readonly verdict: Verdict;
  readonly query_id: string;
  readonly explained?: boolean;
  readonly refusals: readonly Refusal[];
  readonly columns: readonly AnswerColumn[];
  readonly rows: readonly (readonly Cell[])[];
  readonly intervals: readonly (readonly Interval[])[];
  readonly expected_intervals?: readonly Interval[];
  readonly mechanism: "differential_privacy" | "threshold" | "";
  readonly withheld_possible: boolean;
  readonly price: readonly Price[];
  readonly receipt: { readonly id: string; readonly log_index: number } | null;
  readonly notes: readonly string[];
  readonly failure?: { readonly message: string; readonly incident: string };
}

export interface HistoryEntry {
  readonly query: string;
  readonly at: string;
  readonly person: string;
  readonly participant: string;
  readonly status: "reserved" | "released" | "failed" | "refused" | "denied";
  readonly operation: string;
  readonly sql: string;
  readonly datasets: readonly string[];
  readonly rho: number;
  readonly manifest_version: number;
  readonly receipt?: string;
  readonly log_index?: number;
  readonly incident?: string;
  readonly reason?: string;
  readonly key?: string;
  readonly price: readonly { owner: string; namespace: string; rho: number; queries?: number }[];
}

export interface BudgetEntry {
  readonly owner: string;
  readonly namespace: string;
  readonly rho?: number;
  readonly period?: string;
  readonly lifetime_rho?: number;
  readonly spent_rho: number;
  readonly remaining_rho?: number;
  readonly delta?: number;
  readonly epsilon_spent?: number;
  readonly spent_queries?: number;
  readonly remaining_queries?: number;
  readonly used: number;
  readonly your_rho_left?: number;
  readonly your_queries_left?: number;
}

export interface DatasetEntry {
  readonly dataset: string;
  readonly owner: string;
  readonly version: number;
  readonly state: "current" | "older" | "deleted" | "missing";
  readonly manifest_version: number;
  readonly registered: string;
  readonly by: string;
  readonly digest: string;
}
