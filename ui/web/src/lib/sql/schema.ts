// What an analyst may ask about: the datasets of a collaboration by owner, each column with what its policy allows, in words. Pure.
import type { Column, Policy, Role } from "../../api/documents";

export interface SchemaColumn {
  readonly name: string;
  readonly type: string;
  readonly role: Role;
  /** Bounds, domain or grain in short, for a badge: "18 … 100". */
  readonly detail: string;
  /** What a query may do with it, as a sentence without its end. */
  readonly use: string;
}

export interface SchemaDataset {
  readonly id: string; // owner.name
  readonly owner: string;
  readonly name: string;
  readonly open: boolean; // public reference data, which protects nobody
  readonly columns: readonly SchemaColumn[];
  readonly policy: Policy;
}

export interface SchemaOwner {
  readonly owner: string;
  readonly datasets: readonly SchemaDataset[];
}

export interface RoleWord {
  readonly letter: string;
  readonly label: string;
  readonly token: "join" | "group" | "measure" | "time" | "hidden";
}

export const roleWords: Readonly<Record<Role, RoleWord>> = {
  identifier: { letter: "J", label: "join", token: "join" },
  dimension: { letter: "G", label: "group", token: "group" },
  measure: { letter: "M", label: "measure", token: "measure" },
  time: { letter: "T", label: "time", token: "time" },
  hidden: { letter: "–", label: "hidden", token: "hidden" },
};

const rank: Readonly<Record<Role, number>> = { identifier: 0, dimension: 1, time: 2, measure: 3, hidden: 4 };

export function schemaOf(policies: readonly Policy[]): SchemaOwner[] {
  const owners = new Map<string, SchemaDataset[]>();
  for (const policy of policies) {
    const dataset = readDataset(policy);
    owners.set(policy.owner, [...(owners.get(policy.owner) ?? []), dataset]);
  }
  return [...owners].map(([owner, datasets]) => ({ owner, datasets }));
}

function readDataset(policy: Policy): SchemaDataset {
  const columns = Object.entries(policy.columns)
    .map(([name, c]) => ({ name, type: c.type, role: c.role, detail: detailOf(c), use: useOf(c) }))
    .sort((a, b) => rank[a.role] - rank[b.role] || a.name.localeCompare(b.name));
  const dot = policy.dataset.indexOf(".");
  const name = policy.dataset.slice(dot + 1);
  return { id: policy.dataset, owner: policy.owner, name, open: policy.unit === "none", columns, policy };
}

/** The datasets of all owners. */
export const datasetsOf = (schema: readonly SchemaOwner[]): SchemaDataset[] => schema.flatMap((o) => [...o.datasets]);

/** What of the schema holds the text that is sought, in names or words. Empty text keeps all. */
export function searchSchema(schema: readonly SchemaOwner[], text: string): SchemaOwner[] {
  const sought = text.trim().toLowerCase();
  if (sought === "") return [...schema];
  const holds = (...words: string[]) => words.some((w) => w.toLowerCase().includes(sought));
  return schema.flatMap(({ owner, datasets }) => {
    const kept = datasets.flatMap((d) => {
      if (holds(d.id)) return [d];
      const columns = d.columns.filter((c) => holds(c.name, c.type, roleWords[c.role].label, c.use));
      return columns.length > 0 ? [{ ...d, columns }] : [];
    });
    return kept.length > 0 ? [{ owner, datasets: kept }] : [];
  });
}

function detailOf(c: Column): string {
  if (c.bounds) return `${c.bounds[0]} … ${c.bounds[1]}`;
  if (c.domain) return domainWords(c.domain, 4);
  if (c.prefix) return `first ${c.prefix}`;
  if (c.role === "time" && c.grain !== undefined) return `by ${c.grain}`;
  return "";
}

function domainWords(domain: NonNullable<Column["domain"]>, most: number): string {
  if ("from" in domain) return `${domain.from} … ${domain.to}`;
  const shown = domain.slice(0, most).map((v) => (v === null ? "null" : String(v)));
  return shown.join(", ") + (domain.length > most ? `, … (${domain.length})` : "");
}

// The sentences are those of `concordat policy explain` (ui/cli/explain.go).
function useOf(c: Column): string {
  switch (c.role) {
    case "identifier":
      return "join with the same namespace, count(DISTINCT …); never shown, never compared with a value";
    case "dimension":
      if (c.domain)
        return `group and filter by it; its values are declared (${domainWords(c.domain, 12)}), so groups are public`;
      if (c.prefix) return `group and filter by its first ${c.prefix} characters at most; groups need enough units`;
      return "group and filter by it; groups need enough units to show";
    case "measure":
      return measureUse(c);
    case "time":
      return `group and filter by it, by ${c.grain}`;
    case "hidden":
      return "nothing: no query sees it";
  }
}

function measureUse(c: Column): string {
  const bounds = c.bounds ? `, clamped to ${c.bounds[0]} … ${c.bounds[1]}` : "";
  const scale = c.scale && c.scale !== 1 ? `, summed in steps of ${c.scale}` : "";
  const grain = c.grain === undefined ? "no filter, no group" : `filter and group at multiples of ${c.grain}`;
  return `aggregate it${bounds}${scale}; ${grain}`;
}

/** What a policy allows as a whole, for readers who have not written it; DocumentService.Explain says more where it is served. */
export function explainPolicy(policy: Policy): string[] {
  if (policy.unit === "none") {
    return ["Public reference data: it protects nobody, may be joined on any column, and costs nothing."];
  }
  const { unit, release: r, budget: b } = policy;
  const joins = {
    allowed: "allowed",
    blocked: "blocked",
    required: "required: a query over this dataset alone is refused",
  };
  const out = [
    `It protects the unit in column ${unit.column} (namespace ${unit.namespace}): ${unit.unique ? "one row for each unit" : "a unit may have many rows"}.`,
    `Joins with other owners' data are ${joins[policy.joins ?? "allowed"]}. Queries may ${policy.anti_overlap ? "" : "not "}count units of others that are absent here.`,
  ];
  if (policy.aggregates) out.push(`Aggregates: ${policy.aggregates.join(", ")}.`);
  if (!r) return out;
  out.push(
    `A released group has at least ${r.min_units} units of this owner behind it. One unit counts in at most ${r.groups_per_unit} groups, with at most ${r.rows_per_group} rows in each.`,
  );
  if (r.mechanism === "threshold") {
    out.push(
      `Threshold mode: small noise, rounding, no formal guarantee.${b?.queries ? ` At most ${b.queries} queries per ${b.period ?? "day"}.` : ""}`,
    );
  } else {
    out.push(
      `Differential privacy: each aggregate costs rho ${r.rho_per_aggregate ?? "as set"}${b?.rho ? `; the budget is rho ${b.rho} per ${b.period ?? "period"}${b.lifetime_rho ? ` and ${b.lifetime_rho} for good` : ""}` : ""}.`,
    );
  }
  return out;
}
