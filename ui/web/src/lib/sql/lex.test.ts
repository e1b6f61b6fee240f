import { expect, it } from "vitest";
import { nameOf, tokensOf } from "./lex";

const kinds = (sql: string) => tokensOf(sql).map((t) => `${t.kind}:${t.text}`);

it("knows words, names, texts, numbers, comments and parameters", () => {
  expect(kinds(`SELECT "case.id", 'it''s', 1.5e3 -- end\n/* a /* b */ c */ FROM a.b WHERE x>={{ from }}`)).toEqual([
    "word:SELECT",
    'quoted:"case.id"',
    "symbol:,",
    "string:'it''s'",
    "symbol:,",
    "number:1.5e3",
    "comment:-- end",
    "comment:/* a /* b */ c */",
    "word:FROM",
    "word:a",
    "symbol:.",
    "word:b",
    "word:WHERE",
    "word:x",
    "symbol:>=",
    "parameter:{{ from }}",
  ]);
});

it("reads texts with escapes and dollar quotes as one", () => {
  expect(kinds(String.raw`e'a\'b' || $x$ 'no' {{p}} $x$`)).toEqual([
    String.raw`string:e'a\'b'`,
    "symbol:||",
    "string:$x$ 'no' {{p}} $x$",
  ]);
});

it("says what is still open, and covers every character that is not white space", () => {
  for (const sql of ["'abc", '"abc', "/* abc /* */", "$$ abc", String.raw`e'abc\'`]) {
    expect(tokensOf(sql).at(-1)?.open, sql).toBe(true);
  }
  const odd = "a\u0000b\t‮'x'😀{{ }";
  expect(
    tokensOf(odd)
      .map((t) => t.text)
      .join(""),
  ).toBe(odd.replace(/\s/g, ""));
});

it("reads names as DuckDB does", () => {
  expect(tokensOf('"a ""b"" c" plain').map(nameOf)).toEqual(['a "b" c', "plain"]);
});
