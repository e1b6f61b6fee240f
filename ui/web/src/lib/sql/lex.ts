// SQL cut into tokens, as far as completion, suggestions and parameters need it: where words, names, texts and comments begin and end.
// The parser that judges a query is DuckDB's, in the enclave. Pure.

export type TokenKind = "word" | "quoted" | "string" | "number" | "symbol" | "comment" | "parameter";

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly start: number; // units of UTF-16
  readonly end: number;
  /** The closing quote, or the end of the comment, is missing: the text is still being written. */
  readonly open?: boolean;
}

const patterns: readonly (readonly [TokenKind, RegExp])[] = [
  ["comment", /--[^\r\n]*/y],
  ["parameter", /\{\{[^{}]*\}\}/y],
  ["number", /(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?/y],
  ["string", /[eE]'(?:[^'\\]|''|\\[\s\S])*'?/y],
  ["word", /[\p{L}_][\p{L}\p{N}_$]*/uy],
  ["string", /'(?:[^']|'')*'?/y],
  ["quoted", /"(?:[^"]|"")*"?/y],
  ["symbol", /<>|<=|>=|!=|::|\|\||[^\s]/uy],
];

/** All tokens of a text, comments included, white space left out. Every text has them: what is not understood is a symbol. */
export function tokensOf(sql: string): Token[] {
  const out: Token[] = [];
  let at = 0;
  while (at < sql.length) {
    const token = blockComment(sql, at) ?? dollarQuoted(sql, at) ?? simple(sql, at);
    if (token) out.push(token);
    at = token ? token.end : at + 1;
  }
  return out;
}

function simple(sql: string, at: number): Token | undefined {
  for (const [kind, pattern] of patterns) {
    pattern.lastIndex = at;
    const text = pattern.exec(sql)?.[0];
    if (text) return { kind, text, start: at, end: at + text.length, ...(isOpen(kind, text) ? { open: true } : {}) };
  }
  return undefined;
}

function isOpen(kind: TokenKind, text: string): boolean {
  if (kind === "quoted") return text.length < 2 || !/^"(?:[^"]|"")*"$/.test(text);
  if (kind !== "string") return false;
  const body = text.replace(/^[eE]/, "");
  return !(text === body ? /^'(?:[^']|'')*'$/ : /^'(?:[^'\\]|''|\\[\s\S])*'$/).test(body);
}

// Comments nest in DuckDB's dialect, as in PostgreSQL's.
function blockComment(sql: string, at: number): Token | undefined {
  if (!sql.startsWith("/*", at)) return undefined;
  let depth = 1;
  let end = at + 2;
  while (end < sql.length && depth > 0) {
    if (sql.startsWith("/*", end)) depth++;
    else if (sql.startsWith("*/", end)) depth--;
    else {
      end++;
      continue;
    }
    end += 2;
  }
  return { kind: "comment", text: sql.slice(at, end), start: at, end, ...(depth > 0 ? { open: true } : {}) };
}

function dollarQuoted(sql: string, at: number): Token | undefined {
  const tag = /\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/uy;
  tag.lastIndex = at;
  const mark = tag.exec(sql)?.[0];
  if (!mark) return undefined;
  const close = sql.indexOf(mark, at + mark.length);
  const end = close < 0 ? sql.length : close + mark.length;
  return { kind: "string", text: sql.slice(at, end), start: at, end, ...(close < 0 ? { open: true } : {}) };
}

/** What a name says: "case.id" without its quotes, and words as they stand. */
export function nameOf(token: Token): string {
  if (token.kind !== "quoted") return token.text;
  const body = token.text.slice(1, token.open ? undefined : -1);
  return body.replaceAll('""', '"');
}
