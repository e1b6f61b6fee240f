// What happened in a collaboration: events of its log, and queries with who asked them. One list, searched and exported in the browser.
import type { Manifest } from "../../api/documents";
import type { HistoryEntry } from "../../api/json";
import { fromBase64 } from "../../lib/base64";

/** A leaf of the log as AuditorService.Entries lists it. */
export interface LogEntry {
  readonly index: number;
  readonly at: string;
  readonly kind: string;
  readonly leaf: string;
  readonly salt?: string;
  readonly body?: string;
}

/** One line of the timeline. */
export interface Happening {
  readonly at: string; // RFC 3339
  readonly kind: string;
  readonly who: string;
  readonly what: string;
  readonly sql: string;
  readonly datasets: readonly string[];
  readonly rho: number | undefined;
  readonly receipt: string;
  readonly index: number | undefined; // of the leaf
}

type Detail = Readonly<Record<string, unknown>>;

const kinds: Readonly<Record<string, string>> = {
  propose: "proposed",
  approve: "approved",
  activate: "in force",
  reject: "rejected",
  pause: "paused",
  resume: "resumed",
  revoke: "revoked",
  offboard: "off-boarded",
  leave: "left",
  approve_plan: "query approved",
  dataset: "data version",
  reject_upload: "upload rejected",
  forget_upload: "upload given up",
  delete: "data deleted",
  budget_level: "budget level",
  fail: "query failed",
};

// These the history tells better, with text and person.
const queries = new Set(["reserve", "release"]);

/** The events of the log that are not about one query, in words. */
export function fromLog(entry: LogEntry, nameOf: (key: string) => string = (key) => key): Happening | undefined {
  if (queries.has(entry.kind)) return undefined;
  const detail = detailOf(entry);
  return {
    at: entry.at,
    kind: kinds[entry.kind] ?? entry.kind.replaceAll("_", " "),
    who: nameOf(text(detail["by"]) || text(detail["owner"])),
    what: describe(entry.kind, detail),
    sql: "",
    datasets: text(detail["dataset"]) ? [text(detail["dataset"])] : [],
    rho: undefined,
    receipt: "",
    index: entry.index,
  };
}

export function fromHistory(q: HistoryEntry): Happening {
  const said = q.reason ? `${q.status}: ${q.reason}` : q.status;
  return {
    at: q.at,
    kind: q.operation === "query" ? `query ${q.status}` : "denied",
    who: q.person || q.key || "",
    what: q.operation === "query" ? said : `${q.operation.replaceAll("_", " ")}: ${q.reason ?? "denied"}`,
    sql: q.sql,
    datasets: q.datasets,
    rho: q.rho,
    receipt: q.receipt ?? "",
    index: q.log_index,
  };
}

function detailOf(entry: LogEntry): Detail {
  if (!entry.body) return {};
  const event = JSON.parse(new TextDecoder().decode(fromBase64(entry.body))) as { detail?: Detail };
  return event.detail ?? {};
}

const text = (value: unknown): string => (typeof value === "string" || typeof value === "number" ? String(value) : "");

function describe(kind: string, d: Detail): string {
  const version = d["version"] === undefined ? "" : `version ${text(d["version"])}`;
  const reason = d["reason"] ? `: ${text(d["reason"])}` : "";
  switch (kind) {
    case "dataset":
    case "delete":
    case "reject_upload":
    case "forget_upload":
      return `${text(d["dataset"])} ${version}`;
    case "budget_level":
      return `${text(d["owner"])}, ${text(d["namespace"])}: ${Math.round(Number(d["level"]) * 100)} % used`;
    case "offboard":
      return `${text(d["person"])}${reason}`;
    case "approve_plan":
      return `plan ${text(d["plan"]).slice(0, 23)}…`;
    case "fail":
      return `incident ${text(d["incident"])}`;
    default:
      return version ? `manifest ${version}${reason}` : reason;
  }
}

/** Whom a manifest knows by a key: a person or a participant. Other texts are names already. */
export function namesOf(manifest: Manifest | undefined): (key: string) => string {
  const names = new Map<string, string>();
  for (const p of [...(manifest?.participants ?? []), ...(manifest?.people ?? [])])
    for (const key of p.keys ?? []) names.set(key, p.id);
  return (key) => names.get(key) ?? key;
}

/** Newest first; what happened in one second in the order of the log. */
export function byTime(a: Happening, b: Happening): number {
  return b.at.localeCompare(a.at) || (b.index ?? Number.MAX_SAFE_INTEGER) - (a.index ?? Number.MAX_SAFE_INTEGER);
}

export interface Filter {
  readonly text: string;
  readonly kind: string;
  readonly since: string; // YYYY-MM-DD
  readonly until: string; // YYYY-MM-DD, inclusive
}

export function fits(h: Happening, f: Filter): boolean {
  const day = h.at.slice(0, 10);
  if (f.since && day < f.since) return false;
  if (f.until && day > f.until) return false;
  if (f.kind && h.kind !== f.kind) return false;
  const wanted = f.text.trim().toLowerCase();
  return !wanted || [h.kind, h.who, h.what, h.sql, ...h.datasets].some((s) => s.toLowerCase().includes(wanted));
}

const columns = ["at", "kind", "who", "what", "datasets", "rho", "receipt", "index", "sql"] as const;

export function asJSONLines(list: readonly Happening[]): string {
  return list.map((h) => `${JSON.stringify(h)}\n`).join("");
}

/** CSV as RFC 4180 has it. Fields that a spreadsheet would take for a formula get an apostrophe before them. */
export function asCSV(list: readonly Happening[]): string {
  const row = (cells: readonly string[]) => `${cells.map(quoted).join(",")}\r\n`;
  const cell = (value: Happening[(typeof columns)[number]]) =>
    Array.isArray(value) ? value.join(" ") : String(value ?? "");
  return row(columns) + list.map((h) => row(columns.map((c) => cell(h[c])))).join("");
}

function quoted(value: string): string {
  const safe = /^[=+\-@\t\r]/.test(value) && !/^-?\d+(\.\d+)?$/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
