// Suggestions of refusals that are SQL: what to write in the place of the text that a refusal is about. Pure.
import type { Refusal } from "../../api/json";
import { aggregates, keywords, scalars, types, windows } from "./language";
import { nameOf, type Token, tokensOf } from "./lex";
import { datasetsOf, type SchemaOwner } from "./schema";
import { type Range, rangeOf } from "./span";

export interface Edit extends Range {
  readonly insert: string;
}

const forms = [/^(?:Use|Write) (.+)\.$/s, /^Did you mean (.+)\?$/s, /^[A-Z][a-z ]+: (.+)\.$/s];
const words = new Set(
  [...aggregates, ...scalars, ...windows]
    .map((f) => f.name)
    .concat(keywords.join(" ").toLowerCase().split(" "), types, ["day", "month", "year", "week", "quarter"]),
);

/** The edit that follows a suggestion in one click, if the suggestion is SQL and not advice in words. */
export function editOf(refusal: Refusal, sql: string, schema: readonly SchemaOwner[]): Edit | undefined {
  if (!refusal.span) return undefined;
  const range = rangeOf(sql, refusal.span);
  const written = sql.slice(range.start, range.end);
  if (written === "") return undefined;
  for (const form of forms) {
    const candidate = form.exec(refusal.suggestion)?.[1];
    if (candidate && isSql(candidate, sql, schema)) {
      const insert = qualify(candidate, written);
      return insert === written ? undefined : { ...range, insert };
    }
  }
  return undefined;
}

/** Whether every word of a text is one of the language, the schema or the query, one of them a name, and nothing stands for something else. */
function isSql(text: string, sql: string, schema: readonly SchemaOwner[]): boolean {
  const tokens = tokensOf(text);
  if (tokens.some((t) => t.open || t.text === "…" || t.kind === "comment" || t.kind === "parameter" || t.text === ";"))
    return false;
  const names = namesOf(sql, schema);
  let named = false;
  let depth = 0;
  for (const token of tokens) {
    if (token.text === "(") depth++;
    if (token.text === ")") depth--;
    if (token.text === "," && depth === 0) return false; // a list of choices
    if (token.kind !== "word" && token.kind !== "quoted") continue;
    const name = nameOf(token).toLowerCase();
    if (names.has(name)) named = true;
    else if (token.kind === "quoted" || !words.has(name)) return false;
  }
  return named && depth === 0;
}

function namesOf(sql: string, schema: readonly SchemaOwner[]): Set<string> {
  const names = new Set<string>();
  for (const d of datasetsOf(schema)) {
    for (const part of d.id.split(".")) names.add(part.toLowerCase());
    for (const c of d.columns) names.add(c.name.toLowerCase());
  }
  // Aliases of the query count as names too, unless they are words of the language.
  for (const t of tokensOf(sql))
    if (t.kind === "word" && !words.has(t.text.toLowerCase())) names.add(t.text.toLowerCase());
  return names;
}

// A suggestion names columns bare; where the query wrote alias.column, the alias stays.
function qualify(candidate: string, written: string): string {
  const aliases = new Map<string, string>();
  const own = tokensOf(written);
  own.forEach((token, i) => {
    const column = own[i + 2];
    if (own[i + 1]?.text === "." && isName(token) && column && isName(column)) {
      aliases.set(nameOf(column).toLowerCase(), `${token.text}.`);
    }
  });
  let out = "";
  let at = 0;
  let before: Token | undefined;
  for (const token of tokensOf(candidate)) {
    const alias = isName(token) && before?.text !== "." ? aliases.get(nameOf(token).toLowerCase()) : undefined;
    out += candidate.slice(at, token.start) + (alias ?? "") + token.text;
    at = token.end;
    before = token;
  }
  return out + candidate.slice(at);
}

const isName = (token: Token) => token.kind === "word" || token.kind === "quoted";
