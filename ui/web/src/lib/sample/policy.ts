// A policy while it is being written: fields as the person typed them, from and to the policy of protocol/document.
import type { Column, Policy, Role, Scalar } from "../../api/documents";

export const types = [
  "boolean",
  "integer",
  "bigint",
  "double",
  "decimal",
  "varchar",
  "date",
  "timestamp",
  "uuid",
] as const;
export const roles = ["identifier", "dimension", "measure", "time", "hidden"] as const;
export const grains = ["hour", "day", "week", "month", "quarter", "year"] as const;
export const aggregates = ["count", "count_distinct", "sum", "avg", "min", "max", "quantile", "stddev"] as const;

export interface ColumnDraft {
  name: string;
  type: string;
  role: Role;
  low: string;
  high: string;
  scale: string;
  grain: string;
  /** Values as text, one a line; null values are written as the word null in angle brackets, see nullValue. */
  domain: string;
  from: string;
  to: string;
  prefix: string;
  /** What to check of a guess; goes when somebody changed or confirmed the column. */
  note: string;
  /** Values of the sample, to show; never part of a policy. */
  seen: readonly string[];
}

export interface PolicyDraft {
  dataset: string;
  owner: string;
  unit: { none: boolean; column: string; namespace: string; unique: boolean; identifier: string; second: string };
  columns: ColumnDraft[];
  joins: "allowed" | "required" | "blocked";
  antiOverlap: boolean;
  aggregates: string[];
  release: {
    mechanism: "differential_privacy" | "threshold";
    minUnits: string;
    groups: string;
    rows: string;
    maxGroups: string;
    rho: string;
  };
  budget: { rho: string; delta: string; period: string; lifetime: string; queries: string; share: string };
  maxRows: string;
  expires: string;
}

/** Stands for NULL in a domain. */
export const nullValue = "<null>";

export function emptyColumn(name: string): ColumnDraft {
  const none = { low: "", high: "", scale: "", grain: "", domain: "", from: "", to: "", prefix: "", note: "" };
  return { name, type: "varchar", role: "hidden", ...none, seen: [] };
}

export function emptyPolicy(dataset: string, owner: string): PolicyDraft {
  return {
    dataset,
    owner,
    unit: { none: false, column: "", namespace: "", unique: false, identifier: "", second: "" },
    columns: [],
    joins: "allowed",
    antiOverlap: false,
    aggregates: ["count", "count_distinct", "sum", "avg"],
    release: { mechanism: "differential_privacy", minUnits: "10", groups: "1", rows: "1", maxGroups: "", rho: "" },
    budget: { rho: "0.5", delta: "1e-6", period: "30d", lifetime: "3", queries: "", share: "" },
    maxRows: "",
    expires: "",
  };
}

/** The policy as JSON that DocumentService reads. What is empty is left out; what is no number goes as it is, so that Check names it. */
export function toPolicy(d: PolicyDraft): Record<string, unknown> {
  const head = { apiVersion: "concordat.dev/v1", kind: "Policy", dataset: d.dataset, owner: d.owner };
  const columns = Object.fromEntries(d.columns.filter((c) => c.name !== "").map((c) => [c.name, columnOf(c)]));
  if (d.unit.none) return { ...head, unit: "none", columns, ...(d.expires ? { expires: d.expires } : {}) };
  const { column, namespace, unique, identifier, second } = d.unit;
  const unit = {
    column,
    namespace,
    ...(unique ? { unique } : {}),
    ...(identifier ? { identifier } : {}),
    ...secondOf(second),
  };
  return {
    ...head,
    unit,
    columns,
    joins: d.joins,
    ...(d.antiOverlap ? { anti_overlap: true } : {}),
    aggregates: [...d.aggregates],
    release: releaseOf(d),
    budget: budgetOf(d),
    ...number("max_rows_per_unit", d.maxRows),
    ...(d.expires ? { expires: d.expires } : {}),
  };
}

// biome-ignore lint/suspicious/noThenProperty: policies name it so, and nobody awaits it
const secondOf = (second: string) => (second ? { then: second } : {});

function columnOf(c: ColumnDraft): Record<string, unknown> {
  const out: Record<string, unknown> = { type: c.type, role: c.role };
  if (c.role === "measure") {
    if (c.low !== "" || c.high !== "") out.bounds = [numeric(c.low), numeric(c.high)];
    Object.assign(out, number("scale", c.scale));
  }
  if ((c.role === "measure" || c.role === "time") && c.grain !== "")
    out.grain = c.role === "measure" ? numeric(c.grain) : c.grain;
  if (c.role === "dimension") {
    if (c.from !== "" || c.to !== "") out.domain = { from: numeric(c.from), to: numeric(c.to) };
    else if (c.domain !== "") out.domain = domainOf(c);
    Object.assign(out, number("prefix", c.prefix));
  }
  return out;
}

function domainOf(c: ColumnDraft): Scalar[] {
  const scalar = (text: string): Scalar => {
    if (text === nullValue) return null;
    if (c.type === "boolean") return text === "true" ? true : text === "false" ? false : text;
    return c.type === "integer" || c.type === "bigint" ? numeric(text) : text;
  };
  return c.domain
    .split("\n")
    .filter((line) => line !== "")
    .map(scalar);
}

function releaseOf({ release: r }: PolicyDraft): Record<string, unknown> {
  const private_ = r.mechanism === "differential_privacy";
  return {
    mechanism: r.mechanism,
    ...number("min_units", r.minUnits),
    ...number("groups_per_unit", r.groups),
    ...number("rows_per_group", r.rows),
    ...number("max_groups", r.maxGroups),
    ...(private_ ? number("rho_per_aggregate", r.rho) : {}),
  };
}

function budgetOf({ release, budget: b }: PolicyDraft): Record<string, unknown> {
  const share = number("per_person_share", b.share);
  const period = b.period ? { period: b.period } : {};
  if (release.mechanism === "threshold") return { ...number("queries", b.queries), ...period, ...share };
  return {
    ...number("rho", b.rho),
    ...number("delta", b.delta),
    ...period,
    ...number("lifetime_rho", b.lifetime),
    ...share,
  };
}

const numberForm = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

const numeric = (text: string): number | string => (numberForm.test(text.trim()) ? Number(text) : text);

/** Fields that have to be numbers and are none, by their places in the policy. */
export function notNumbers(d: PolicyDraft): { readonly path: string; readonly text: string }[] {
  const fields: [string, string][] = [
    ["release.min_units", d.release.minUnits],
    ["release.groups_per_unit", d.release.groups],
    ["release.rows_per_group", d.release.rows],
    ["budget.rho", d.budget.rho],
    ["budget.delta", d.budget.delta],
    ["budget.lifetime_rho", d.budget.lifetime],
    ["budget.queries", d.budget.queries],
    ["budget.per_person_share", d.budget.share],
  ];
  for (const c of d.columns) {
    const at = `columns.${c.name}`;
    if (c.role === "measure")
      fields.push(
        [`${at}.bounds`, c.low],
        [`${at}.bounds`, c.high],
        [`${at}.scale`, c.scale],
        [`${at}.grain`, c.grain],
      );
    if (c.role === "dimension")
      fields.push([`${at}.domain`, c.from], [`${at}.domain`, c.to], [`${at}.prefix`, c.prefix]);
  }
  return fields
    .filter(([, text]) => text.trim() !== "" && typeof numeric(text) !== "number")
    .map(([path, text]) => ({ path, text }));
}

function number(name: string, text: string): Record<string, unknown> {
  return text.trim() === "" ? {} : { [name]: numeric(text) };
}

const said = (value: unknown): string => (value === undefined || value === null ? "" : String(value));

interface Further {
  readonly identifier?: string;
  readonly then?: string;
}

/** A policy in force, to change it. */
export function fromPolicy(p: Policy): PolicyDraft {
  const d = emptyPolicy(p.dataset, p.owner);
  if (p.unit === "none") d.unit.none = true;
  else {
    const { column, namespace, unique = false, identifier = "", then: second = "" } = p.unit as typeof p.unit & Further;
    d.unit = { none: false, column, namespace, unique, identifier, second };
  }
  d.columns = Object.entries(p.columns).map(([name, c]) => fromColumn(name, c));
  d.joins = p.joins ?? "allowed";
  d.antiOverlap = p.anti_overlap ?? false;
  d.aggregates = [...(p.aggregates ?? [])];
  const { release: r, budget: b } = p;
  if (r) {
    d.release = {
      mechanism: r.mechanism,
      minUnits: said(r.min_units),
      groups: said(r.groups_per_unit),
      rows: said(r.rows_per_group),
      maxGroups: said(r.max_groups),
      rho: said(r.rho_per_aggregate),
    };
  }
  d.budget = {
    rho: said(b?.rho),
    delta: said(b?.delta),
    period: said(b?.period),
    lifetime: said(b?.lifetime_rho),
    queries: said(b?.queries),
    share: said(b?.per_person_share),
  };
  d.maxRows = said(p.max_rows_per_unit);
  d.expires = said((p as { expires?: string }).expires);
  return d;
}

function fromColumn(name: string, c: Column): ColumnDraft {
  const out = {
    ...emptyColumn(name),
    type: c.type,
    role: c.role,
    scale: said(c.scale),
    grain: said(c.grain),
    prefix: said(c.prefix),
  };
  if (c.bounds) [out.low, out.high] = [said(c.bounds[0]), said(c.bounds[1])];
  if (Array.isArray(c.domain))
    out.domain = c.domain.map((v: Scalar) => (v === null ? nullValue : String(v))).join("\n");
  else if (c.domain) {
    const range = c.domain as { from: number; to: number };
    [out.from, out.to] = [said(range.from), said(range.to)];
  }
  return out;
}

/** The policy as YAML, for a file beside the manifest: one line a column, as drafts of the command line have it. */
export function toYaml(d: PolicyDraft): string {
  const policy = toPolicy(d);
  const notes = new Map(d.columns.map((c) => [c.name, c.note]));
  const lines: string[] = [];
  for (const [name, value] of Object.entries(policy)) {
    if (name !== "columns") {
      lines.push(`${name}: ${flow(value)}`);
      continue;
    }
    lines.push("columns:");
    for (const [column, rule] of Object.entries(value as Record<string, unknown>)) {
      const note = notes.get(column);
      lines.push(`  ${flow(column)}: ${flow(rule)}${note ? ` # check me: ${note.replaceAll(/\s+/g, " ")}` : ""}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

const bareForm = /^[A-Za-z_][A-Za-z0-9_.-]*$/;
const reserved = new Set(["true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan", "inf"]);

function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (typeof value === "object" && value !== null)
    return `{${Object.entries(value)
      .map(([k, v]) => `${flow(k)}: ${flow(v)}`)
      .join(", ")}}`;
  if (typeof value !== "string") return String(value);
  if (bareForm.test(value) && !reserved.has(value.toLowerCase())) return value;
  // In double quotes YAML knows the escapes of JSON, and more.
  return JSON.stringify(value).replaceAll(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
