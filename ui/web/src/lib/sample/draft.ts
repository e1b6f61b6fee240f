// A policy drafted from a sample, as ui/sample does at the command line: types and roles guessed from names and values, domains of columns
// with few values, bounds from quantiles rounded outward. Every guess that a steward has to confirm has a note.
import type { Dialect } from "../upload/statement";
import { dateFormsOf, isDate } from "./date";
import { type ColumnDraft, emptyColumn, emptyPolicy, type PolicyDraft } from "./policy";
import { commaForm, fitDialect, pointForm, type Table, UnreadError, valuesOf, wholeForm } from "./read";

const fewValues = 30; // of a column that is proposed as a dimension with a domain
const shown = 5; // values of a column
const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const clockForm = /^[ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|z|[+-]\d\d:\d\d)?$/;
const columnForm = /^[A-Za-z_][A-Za-z0-9_. -]{0,63}$/;
const identifierName =
  /(^|[_. -])(id|uid|uuid|guid|key|email|e-?mail|mail|phone|msisdn|ssn|mrn|nhs|insurance|patient|person|user|customer|member|subscriber|household|device)($|[_. -])/i;
const camelId = /(Id|ID)$/;
const strongName =
  /^(id|(patient|person|user|customer|member|subscriber|unit)([_. -]?(id|key|no|number))?|e-?mail|phone)$/i;
const personalName =
  /(name|street|address|zip|postal|postcode|phone|mail|birth|dob|iban|passport|comment|note|remark|text|description|url|ip$)/i;
const truth = new Set(["true", "false", "yes", "no", "t", "f"]);

/** What the sample tells of one column. */
export interface Sampled {
  readonly name: string;
  readonly kind: string;
  readonly values: readonly string[]; // that are there
  readonly distinct: ReadonlyMap<string, number>;
  readonly nulls: number;
}

export interface Drafted {
  readonly policy: PolicyDraft;
  readonly dialect: Dialect;
  /** Names that no column can have, or that come twice. */
  readonly skipped: readonly string[];
  /** How the dates may be written, where the sample leaves the choice. */
  readonly ambiguous: readonly string[];
}

interface For {
  readonly dataset: string;
  readonly owner: string;
  readonly namespaces: readonly string[];
}

export function draftPolicy(table: Table, { dataset, owner, namespaces }: For): Drafted {
  const { dialect, ambiguous } = fitAll(table);
  const sampled: Sampled[] = [];
  const skipped: string[] = [];
  for (const [i, name] of table.columns.entries()) {
    const twice = sampled.some((c) => c.name.toLowerCase() === name.toLowerCase());
    if (!columnForm.test(name) || twice) skipped.push(name);
    else sampled.push(describe(table, i, dialect));
  }
  if (sampled.length === 0) throw new UnreadError("No column has a name that a policy can use.");
  const policy = emptyPolicy(dataset, owner);
  const unit = unitOf(sampled);
  policy.columns = sampled.map((c) => ruleOf(c, c === unit, dialect));
  policy.unit.namespace = namespaceOf(unit?.name ?? "", namespaces);
  if (unit) {
    policy.unit.column = unit.name;
    policy.unit.unique = unit.values.length > 0 && unit.distinct.size === unit.values.length;
    if (!policy.unit.unique) policy.release.rows = String(rowsPerUnit(unit));
  }
  return { policy, dialect, skipped, ambiguous };
}

function fitAll(table: Table): { dialect: Dialect; ambiguous: string[] } {
  const dates: string[] = [];
  const numbers: string[] = [];
  for (const i of table.columns.keys()) {
    const values = valuesOf(table, i);
    if (values.length === 0) continue;
    if (dateFormsOf(values).length > 0) dates.push(...values);
    if (values.every((v) => commaForm.test(v) || wholeForm.test(v))) numbers.push(...values);
  }
  return fitDialect(table, dates, numbers);
}

export function describe(table: Table, column: number, dialect: Dialect): Sampled {
  const name = table.columns[column] ?? "";
  const values = valuesOf(table, column);
  const distinct = new Map<string, number>();
  for (const v of values) distinct.set(v, (distinct.get(v) ?? 0) + 1);
  const kind = table.types?.[name] ?? kindOf([...distinct.keys()], dialect);
  return { name, kind, values, distinct, nulls: table.rows.length - values.length };
}

/** The narrowest type that all values have. */
function kindOf(values: readonly string[], dialect: Dialect): string {
  const every = (ok: (v: string) => boolean) => values.length > 0 && values.every(ok);
  const number = dialect.decimal === "," ? commaForm : pointForm;
  const form = dialect.date ?? "YYYY-MM-DD";
  if (every((v) => truth.has(v.toLowerCase()))) return "boolean";
  if (every((v) => integer(v, 32))) return "integer";
  if (every((v) => integer(v, 64))) return "bigint";
  if (every((v) => number.test(v) || integer(v, 64))) return "double";
  if (every((v) => v.length === form.length && isDate(form, v))) return "date";
  if (every((v) => isDate(form, v) && clockForm.test(v.slice(form.length)))) return "timestamp";
  return every((v) => uuidForm.test(v)) ? "uuid" : "varchar";
}

// Leading zeros are names, not numbers.
function integer(v: string, bits: 32 | 64): boolean {
  if (!/^[+-]?\d{1,19}$/.test(v) || (v.length > 1 && v.startsWith("0"))) return false;
  const n = BigInt(v.replace("+", ""));
  return BigInt.asIntN(bits, n) === n;
}

const identifies = (name: string) => identifierName.test(name) || camelId.test(name);

/** The column that most likely names the privacy unit. */
function unitOf(columns: readonly Sampled[]): Sampled | undefined {
  const score = (c: Sampled) =>
    (0.9 * c.distinct.size) / Math.max(1, c.values.length) + (strongName.test(c.name) ? 2 : identifies(c.name) ? 1 : 0);
  const fits = (c: Sampled) => ["varchar", "uuid", "integer", "bigint"].includes(c.kind) && identifies(c.name);
  return columns
    .filter(fits)
    .reduce<Sampled | undefined>((best, c) => (best && score(best) >= score(c) ? best : c), undefined);
}

function namespaceOf(unit: string, known: readonly string[]): string {
  const low = unit.toLowerCase();
  const guess =
    ["patient", "household", "customer", "user", "member", "device"].find((n) => low.includes(n)) ?? "person";
  return known.includes(guess) ? guess : (known[0] ?? guess);
}

/** The 95 % quantile of a unit's rows. */
function rowsPerUnit(unit: Sampled): number {
  const counts = [...unit.distinct.values()].sort((a, b) => a - b);
  return Math.min(1000, Math.max(1, counts[Math.min(counts.length - 1, Math.floor((counts.length * 95) / 100))] ?? 1));
}

function ruleOf(c: Sampled, unit: boolean, dialect: Dialect): ColumnDraft {
  const out = { ...emptyColumn(c.name), type: c.kind, seen: [...c.distinct.keys()].slice(0, shown) };
  const few = c.distinct.size > 0 && c.distinct.size <= fewValues && c.distinct.size * 5 <= c.values.length;
  const numbers = ["integer", "bigint", "double", "decimal"].includes(c.kind) ? numbersOf(c, dialect) : [];
  if (unit) {
    if (["double", "boolean", "date", "timestamp", "decimal"].includes(c.kind)) out.type = "varchar";
    return { ...out, role: "identifier", note: "whom does the dataset protect?" };
  }
  if (c.values.length === 0)
    return { ...out, type: c.kind === "varchar" ? "varchar" : c.kind, note: "empty in the sample" };
  if (identifies(c.name) && !few) return { ...out, note: "it looks like another identifier" };
  if (c.kind === "date" || c.kind === "timestamp")
    return { ...out, role: "time", grain: "month", note: "how exactly may times be shown?" };
  if (personalName.test(c.name) && c.kind !== "boolean") return { ...out, note: "it looks personal" };
  if (c.kind === "boolean") return { ...out, role: "dimension", domain: "true\nfalse" };
  if (few && (c.kind === "varchar" || c.kind === "integer"))
    return {
      ...out,
      role: "dimension",
      domain: domainOf(c),
      note: "list all values there can be, not those of the sample",
    };
  if (numbers.length > 0) return { ...out, ...measure(c, numbers, dialect) };
  return { ...out, note: `${c.distinct.size} different values; a dimension if groups of it may be shown` };
}

function numbersOf(c: Sampled, dialect: Dialect): number[] {
  const read = (v: string) => Number(dialect.decimal === "," ? v.replace(",", ".") : v);
  return c.values
    .map(read)
    .filter(Number.isFinite)
    .sort((a, b) => a - b);
}

function domainOf(c: Sampled): string {
  const values = [...c.distinct.keys()];
  if (c.kind !== "integer") return values.sort().join("\n");
  return [...new Set(values.map(Number))].sort((a, b) => a - b).join("\n");
}

function measure(c: Sampled, numbers: readonly number[], dialect: Dialect): Partial<ColumnDraft> {
  const at = (q: number) => numbers[Math.floor(q * (numbers.length - 1))] ?? 0;
  const whole = c.kind === "integer" || c.kind === "bigint";
  let [low, high] = outward(at(0.005), at(0.995));
  if (whole) [low, high] = [Math.floor(low), Math.ceil(high)];
  const step = 10 ** Math.floor(Math.log10((high - low) / 10));
  const digits = Math.max(
    0,
    ...[...c.distinct.keys()].map((v) => (v.split(dialect.decimal ?? ".")[1] ?? "").replace(/0+$/, "").length),
  );
  return {
    role: "measure",
    low: decimal(low),
    high: decimal(high),
    grain: decimal(whole ? Math.max(1, step) : step),
    scale: whole ? "" : decimal(10 ** -Math.min(digits, 6)),
    note: "bounds that any value may have; values beyond them are clamped",
  };
}

/** Rounds a range to two digits, away from its middle. */
export function outward(from: number, to: number): [number, number] {
  const [low, high] = from === to ? [from - 1, to + 1] : [from, to];
  const exponent = Math.floor(Math.log10(Math.max(Math.abs(low), Math.abs(high)))) - 1;
  const step = 10 ** exponent;
  const round = (v: number) => Number(v.toFixed(Math.min(20, Math.max(0, -exponent))));
  return [round(Math.floor(low / step) * step), round(Math.ceil(high / step) * step)];
}

/** A number without exponent, as people write it. */
function decimal(v: number): string {
  if (v === 0) return "0"; // and not -0
  return String(Number(v.toPrecision(12))).replace(
    /^(-?)(\d)(?:\.(\d+))?e-(\d+)$/,
    (_, sign: string, a: string, b = "", n = "0") => `${sign}0.${"0".repeat(Number(n) - 1)}${a}${b}`,
  );
}
