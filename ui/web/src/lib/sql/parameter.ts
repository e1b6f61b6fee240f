// Saved queries with parameters: {{name}} in the text, put in as SQL literals of their type. Pure.
//
// Invariant: a value can only ever become one literal. Texts are quoted, numbers and days are read and written anew, and a place where a
// literal could melt with its neighbours (a quoted text, a comment, a word, a sign) is refused or kept apart by spaces.
import { type Token, tokensOf } from "./lex";
import type { Range } from "./span";

export const parameterTypes = ["integer", "number", "text", "date", "timestamp", "boolean", "choice"] as const;
export type ParameterType = (typeof parameterTypes)[number];

/** A parameter as it travels (protocol/proto/concordat/v1/saved.proto). */
export interface Parameter {
  readonly name: string;
  readonly label: string;
  readonly type: ParameterType;
  readonly default?: string;
  readonly values?: readonly string[]; // of a choice
}

export const mostParameters = 32;
const namePattern = /^[a-z][a-z0-9_]*$/;

/** The parameters of a saved query. What does not have their shape is left out: others wrote it. */
export function readParameters(bytes: Uint8Array): Parameter[] {
  if (bytes.length === 0) return [];
  const list: unknown = JSON.parse(new TextDecoder().decode(bytes));
  return Array.isArray(list) ? list.slice(0, mostParameters).flatMap((p) => readParameter(p) ?? []) : [];
}

function readParameter(raw: unknown): Parameter | undefined {
  if (typeof raw !== "object" || raw === null) return undefined;
  const { name, label, type, default: preset, values } = raw as Record<string, unknown>;
  if (typeof name !== "string" || !namePattern.test(name)) return undefined;
  const known = parameterTypes.find((t) => t === type);
  if (!known) return undefined;
  return {
    name,
    label: typeof label === "string" ? label : name,
    type: known,
    ...(typeof preset === "string" ? { default: preset } : {}),
    ...(known === "choice" && Array.isArray(values) ? { values: values.filter((v) => typeof v === "string") } : {}),
  };
}

/** The names of the parameters of a text, in the order in which they first stand. */
export function parametersIn(sql: string): string[] {
  return [
    ...new Set(
      tokensOf(sql)
        .filter((t) => t.kind === "parameter")
        .map(parameterName),
    ),
  ];
}

const parameterName = (t: Token) => t.text.slice(2, -2).trim();

/** Definitions for the parameters of a text: those that are known, and new ones of type text. */
export function definitionsFor(sql: string, known: readonly Parameter[]): Parameter[] {
  return parametersIn(sql)
    .filter((name) => namePattern.test(name))
    .map((name) => known.find((p) => p.name === name) ?? { name, label: name.replaceAll("_", " "), type: "text" });
}

export interface Literal {
  readonly sql?: string;
  readonly error?: string;
}

/** The literal of a value, or what is wrong with it. */
export function literalOf(parameter: Parameter, value: string): Literal {
  const text = value.trim();
  if (text === "" && parameter.type !== "text") return { error: "Give a value." };
  switch (parameter.type) {
    case "integer":
      return /^[+-]?\d{1,38}$/.test(text)
        ? { sql: signed(BigInt(text).toString()) }
        : { error: "Write a whole number." };
    case "number":
      return numberLiteral(text);
    case "text":
      return quote(value);
    case "choice":
      return parameter.values?.includes(value) ? quote(value) : { error: "Choose one of the values." };
    case "boolean":
      return text === "true" || text === "false" ? { sql: text } : { error: "Choose true or false." };
    case "date":
      return isDay(text) ? { sql: `DATE '${text}'` } : { error: "Write a day as 2026-01-31." };
    case "timestamp":
      return timestampLiteral(text);
  }
}

function numberLiteral(text: string): Literal {
  if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$/.test(text) || !Number.isFinite(Number(text))) {
    return { error: "Write a number, such as 12.5." };
  }
  return { sql: signed(text.replace(/^\+/, "")) };
}

// A minus beside a minus would begin a comment.
const signed = (digits: string) => (digits.startsWith("-") ? `(${digits})` : digits);

function quote(value: string): Literal {
  if (value.includes("\0") || /\p{Surrogate}/u.test(value))
    return { error: "The text holds a character that SQL cannot hold." };
  return { sql: `'${value.replaceAll("'", "''")}'` };
}

function isDay(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const at = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text);
}

function timestampLiteral(text: string): Literal {
  const match = /^(\d{4}-\d{2}-\d{2})[T ]([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d(?:\.\d{1,6})?))?$/.exec(text);
  if (!match || !isDay(match[1] ?? "")) return { error: "Write a moment as 2026-01-31 12:00." };
  return { sql: `TIMESTAMP '${match[1]} ${match[2]}:${match[3]}:${match[4] ?? "00"}'` };
}

/** A template with its values put in, and the way back from places in the text that is asked to places in the template. */
export interface Filled {
  readonly sql: string;
  /** What is wrong, by the parameter's name; empty: the text can be asked. */
  readonly errors: Readonly<Record<string, string>>;
  back(range: Range): Range;
}

interface Piece {
  readonly at: number; // in the filled text
  readonly length: number;
  readonly token: Token;
}

/** Puts values in. A parameter without a value takes its default. */
export function fill(
  template: string,
  parameters: readonly Parameter[],
  values: Readonly<Record<string, string>>,
): Filled {
  const errors: Record<string, string> = {};
  const pieces: Piece[] = [];
  let sql = "";
  let done = 0;
  for (const token of tokensOf(template)) {
    if (token.kind === "string" && !token.open && /\{\{\s*[a-z][a-z0-9_]*\s*\}\}/.test(token.text)) {
      errors[parameterName({ ...token, text: /\{\{[^{}]*\}\}/.exec(token.text)?.[0] ?? "" })] =
        "It stands inside quotes: leave them out, the value brings its own.";
    }
    if (token.kind !== "parameter") continue;
    const literal = literalFor(parameterName(token), parameters, values, errors);
    sql += template.slice(done, token.start);
    const text = apart(sql.at(-1), literal, template[token.end]);
    pieces.push({ at: sql.length, length: text.length, token });
    sql += text;
    done = token.end;
  }
  sql += template.slice(done);
  return { sql, errors, back: (range) => backTo(range, pieces) };
}

function literalFor(
  name: string,
  parameters: readonly Parameter[],
  values: Readonly<Record<string, string>>,
  errors: Record<string, string>,
): string {
  const parameter = parameters.find((p) => p.name === name);
  if (!parameter) {
    errors[name] = "A parameter's name is written in small letters, digits and _, and begins with a letter.";
    return "NULL";
  }
  const literal = literalOf(parameter, values[name] ?? parameter.default ?? "");
  if (literal.error) errors[name] = literal.error;
  return literal.sql ?? "NULL";
}

// A letter before a quote would make another kind of text of it (E'…'), a quote would join two texts into one.
function apart(before: string | undefined, literal: string, after: string | undefined): string {
  const sticky = /[\p{L}\p{N}_$'"&.\\]/u;
  return (before && sticky.test(before) ? " " : "") + literal + (after && sticky.test(after) ? " " : "");
}

function backTo(range: Range, pieces: readonly Piece[]): Range {
  const move = (at: number, end: boolean) => {
    let shift = 0;
    for (const { at: from, length, token } of pieces) {
      const inside = end ? at > from && at <= from + length : at >= from && at < from + length;
      if (inside) return end ? token.end : token.start;
      if (at >= from + length) shift = token.end - (from + length);
    }
    return at + shift;
  };
  const start = move(range.start, false);
  return { start, end: Math.max(start, move(range.end, true)) };
}
