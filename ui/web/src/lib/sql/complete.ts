// What can be written at a place of a query: datasets, columns of what the query reads, functions and words of the language. Pure.
import { aggregates, keywords, scalars, windows, writeName } from "./language";
import { nameOf, type Token, tokensOf } from "./lex";
import { datasetsOf, roleWords, type SchemaColumn, type SchemaDataset, type SchemaOwner } from "./schema";

export interface Completion {
  readonly label: string;
  readonly insert: string;
  readonly kind: "dataset" | "column" | "function" | "keyword" | "name";
  readonly detail: string;
  readonly about: string;
  /** Higher ones come first. */
  readonly boost: number;
}

export interface Completions {
  /** Where the text begins and ends that a completion replaces. */
  readonly from: number;
  readonly to: number;
  readonly options: readonly Completion[];
}

/** A relation that a query reads, under the name by which it is called there. */
interface Source {
  readonly name: string;
  readonly dataset: SchemaDataset | undefined; // undefined: a subquery or CTE
}

const from = new Set(["from", "join"]);
const notAliases = new Set(
  "on,using,where,group,order,having,limit,join,inner,left,qualify,union,as,and,or".split(","),
);

/** Completions at an offset. Nothing inside texts and comments. */
export function complete(sql: string, at: number, schema: readonly SchemaOwner[]): Completions | undefined {
  const before = tokensOf(sql.slice(0, at));
  const last = before.at(-1);
  const inside = last?.open || (last?.kind === "comment" && last.text.startsWith("--"));
  if (inside && last?.kind !== "quoted") return undefined;
  if (sql.slice(0, at).lastIndexOf("{{") > sql.slice(0, at).lastIndexOf("}}")) return undefined;
  const to = last?.open && sql[at] === '"' ? at + 1 : at;
  const spoken = before.filter((t) => t.kind !== "comment");
  const { path, typed, start, rest } = pathBefore(spoken, at);
  const datasets = datasetsOf(schema);
  const after = tokensOf(sql.slice(to)).filter((t) => t.kind !== "comment");
  const sources = sourcesOf([...spoken, ...after], datasets);
  if (path.length > 0) return { from: start, to, options: members(path, datasets, sources) };
  if (typed?.kind === "number") return undefined;
  const previous = rest.at(-1)?.text.toLowerCase() ?? "";
  if (from.has(previous)) return { from: start, to, options: relations(datasets, sources, rest) };
  const columns = columnsOf(sources);
  const all = typed?.kind === "quoted" ? columns : [...columns, ...functions, ...words, ...relationNames(sources)];
  return { from: start, to, options: all };
}

/** The dotted name that ends at an offset: what stands before its last dot, and the part that is being written. */
function pathBefore(before: readonly Token[], at: number) {
  const rest = [...before];
  const isName = (t: Token | undefined) => t?.kind === "word" || t?.kind === "quoted";
  let typed: Token | undefined;
  const last = rest.at(-1);
  if (last && last.end >= at && (isName(last) || last.kind === "number")) typed = rest.pop();
  const path: string[] = [];
  let edge = typed?.start ?? at;
  while (rest.at(-1)?.text === "." && rest.at(-1)?.end === edge) {
    const name = rest.at(-2);
    if (!name || !isName(name) || name.end !== rest.at(-1)?.start) break;
    path.unshift(nameOf(name).toLowerCase());
    edge = name.start;
    rest.length -= 2;
  }
  return { path, typed, start: typed?.start ?? at, rest };
}

/** What the query reads, in all its parts: subqueries see more than is listed here, the judge knows better. */
function sourcesOf(tokens: readonly Token[], datasets: readonly SchemaDataset[]): Source[] {
  const sources: Source[] = [];
  const text = (i: number) => tokens[i]?.text.toLowerCase() ?? "";
  const named = (i: number) => tokens[i]?.kind === "word" || tokens[i]?.kind === "quoted";
  tokens.forEach((token, i) => {
    if (named(i) && text(i + 1) === "as" && text(i + 2) === "(")
      sources.push({ name: nameOf(token), dataset: undefined });
    if (!from.has(token.text.toLowerCase()) || !named(i + 1)) return;
    let next = i + 2;
    let id = nameOf(tokens[i + 1] as Token);
    if (text(next) === "." && named(next + 1)) {
      id += `.${nameOf(tokens[next + 1] as Token)}`;
      next += 2;
    }
    const dataset = datasets.find((d) => d.id.toLowerCase() === id.toLowerCase());
    if (!dataset) return;
    if (text(next) === "as") next++;
    const alias = tokens[next];
    const called = named(next) && alias && !notAliases.has(text(next)) ? nameOf(alias) : dataset.name;
    sources.push({ name: called, dataset });
  });
  return sources;
}

function members(
  path: readonly string[],
  datasets: readonly SchemaDataset[],
  sources: readonly Source[],
): Completion[] {
  const name = path.join(".");
  const source = sources.find((s) => s.dataset && s.name.toLowerCase() === name);
  const dataset = source?.dataset ?? datasets.find((d) => d.id.toLowerCase() === name);
  if (dataset) return dataset.columns.map((c) => columnCompletion(c, dataset, ""));
  return datasets
    .filter((d) => path.length === 1 && d.owner.toLowerCase() === name)
    .map((d) => ({ ...datasetCompletion(d), label: d.name, insert: writeName(d.name) }));
}

function relations(
  datasets: readonly SchemaDataset[],
  sources: readonly Source[],
  rest: readonly Token[],
): Completion[] {
  const declared = sources.filter((s) => !s.dataset && rest.some((t) => nameOf(t) === s.name));
  return [
    ...datasets.map(datasetCompletion),
    ...declared.map((s) => ({
      label: s.name,
      insert: writeName(s.name),
      kind: "name" as const,
      detail: "subquery",
      about: "",
      boost: 2,
    })),
  ];
}

function relationNames(sources: readonly Source[]): Completion[] {
  const names = new Map(sources.map((s) => [s.name, s.dataset?.id ?? "subquery"]));
  return [...names].map(([label, detail]) => ({
    label,
    insert: writeName(label),
    kind: "name",
    detail,
    about: "",
    boost: 0,
  }));
}

function columnsOf(sources: readonly Source[]): Completion[] {
  const read = sources.flatMap((s) => (s.dataset ? [{ name: s.name, dataset: s.dataset }] : []));
  const several = new Set(read.map((s) => s.name)).size > 1;
  const seen = new Set<string>();
  return read.flatMap(({ name, dataset }) =>
    dataset.columns.flatMap((c) => {
      const completion = columnCompletion(c, dataset, several ? `${writeName(name)}.` : "");
      if (seen.has(completion.insert)) return [];
      seen.add(completion.insert);
      return [completion];
    }),
  );
}

function columnCompletion(c: SchemaColumn, dataset: SchemaDataset, before: string): Completion {
  const detail = [roleWords[c.role].label, c.detail].filter(Boolean).join(" · ");
  const about = `${dataset.id}, ${c.type}: ${c.use}.`;
  return {
    label: c.name,
    insert: before + writeName(c.name),
    kind: "column",
    detail,
    about,
    boost: c.role === "hidden" ? -50 : 5,
  };
}

function datasetCompletion(d: SchemaDataset): Completion {
  const insert = d.id.split(".").map(writeName).join(".");
  return {
    label: d.id,
    insert,
    kind: "dataset",
    detail: `${d.columns.length} columns`,
    about: `Owned by ${d.owner}.`,
    boost: 10,
  };
}

const functions: readonly Completion[] = [...aggregates, ...scalars, ...windows].map((f) => ({
  label: f.name,
  insert: `${f.name}(`,
  kind: "function",
  detail: f.form,
  about: f.about,
  boost: 1,
}));

const words: readonly Completion[] = keywords.map((k) => ({
  label: k,
  insert: k,
  kind: "keyword",
  detail: "",
  about: "",
  boost: 0,
}));
