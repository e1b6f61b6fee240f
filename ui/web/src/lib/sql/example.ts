// First queries over a schema, for those who have not written one yet. Pure.
import { writeName } from "./language";
import { datasetsOf, type SchemaColumn, type SchemaDataset, type SchemaOwner } from "./schema";

export interface Example {
  readonly title: string;
  readonly sql: string;
}

export function examplesOf(schema: readonly SchemaOwner[]): Example[] {
  const datasets = datasetsOf(schema).filter((d) => !d.open);
  const alone = datasets.find((d) => d.policy.joins !== "required" && first(d, "dimension"));
  const out: Example[] = [];
  if (alone) out.push(count(alone));
  const pair = pairOf(datasets);
  if (pair) out.push(join(...pair));
  return out;
}

const first = (d: SchemaDataset, role: SchemaColumn["role"]) => d.columns.find((c) => c.role === role);
const unitOf = (d: SchemaDataset) => writeName(d.policy.unit === "none" ? "" : d.policy.unit.column);
const pathOf = (d: SchemaDataset) => d.id.split(".").map(writeName).join(".");

function keyOf(c: SchemaColumn, d: SchemaDataset, before = ""): string {
  const prefix = d.policy.columns[c.name]?.prefix;
  return prefix ? `left(${before}${writeName(c.name)}, ${prefix})` : before + writeName(c.name);
}

function count(d: SchemaDataset): Example {
  const key = first(d, "dimension");
  if (!key) throw new Error("an example needs a dimension");
  const sql = `SELECT ${keyOf(key, d)} AS ${writeName(key.name)}, count(DISTINCT ${unitOf(d)}) AS units\nFROM ${pathOf(d)}\nGROUP BY 1\nORDER BY 1`;
  return { title: `Count by ${key.name}`, sql };
}

/** Two datasets of two owners with units of one namespace, a dimension in one and a measure in the other. */
function pairOf(datasets: readonly SchemaDataset[]): [SchemaDataset, SchemaDataset] | undefined {
  const namespace = (d: SchemaDataset) => (d.policy.unit === "none" ? "" : d.policy.unit.namespace);
  for (const a of datasets)
    for (const b of datasets)
      if (a.owner !== b.owner && namespace(a) === namespace(b) && first(a, "dimension") && measureOf(b)) return [a, b];
  return undefined;
}

const measureOf = (d: SchemaDataset) => d.columns.find((c) => c.role === "measure" && d.policy.columns[c.name]?.bounds);

function join(a: SchemaDataset, b: SchemaDataset): Example {
  const key = first(a, "dimension") as SchemaColumn;
  const measure = measureOf(b) as SchemaColumn;
  const sql = `SELECT ${keyOf(key, a, "a.")} AS ${writeName(key.name)}, count(DISTINCT a.${unitOf(a)}) AS units, avg(b.${writeName(measure.name)}) AS mean
FROM ${pathOf(a)} a
JOIN ${pathOf(b)} b ON b.${unitOf(b)} = a.${unitOf(a)}
GROUP BY 1
ORDER BY 1`;
  return { title: `Join ${a.name} with ${b.name}`, sql };
}
