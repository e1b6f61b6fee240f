import { describe, expect, it } from "vitest";
import { tokensOf } from "./lex";
import {
  definitionsFor,
  fill,
  literalOf,
  type Parameter,
  type ParameterType,
  parametersIn,
  readParameters,
} from "./parameter";

const of = (type: ParameterType, extra: Partial<Parameter> = {}): Parameter => ({
  name: "p",
  label: "P",
  type,
  ...extra,
});
const literal = (type: ParameterType, value: string) => literalOf(of(type, { values: ["a", "b'c"] }), value);

describe("literals", () => {
  it("are written for each type", () => {
    expect(literal("integer", " +007 ").sql).toBe("7");
    expect(literal("integer", "-5").sql).toBe("(-5)");
    expect(literal("number", "-1.5e3").sql).toBe("(-1.5e3)");
    expect(literal("number", ".5").sql).toBe(".5");
    expect(literal("text", "O'Brien").sql).toBe("'O''Brien'");
    expect(literal("text", "").sql).toBe("''");
    expect(literal("choice", "b'c").sql).toBe("'b''c'");
    expect(literal("boolean", "true").sql).toBe("true");
    expect(literal("date", "2024-02-29").sql).toBe("DATE '2024-02-29'");
    expect(literal("timestamp", "2024-02-29T08:30").sql).toBe("TIMESTAMP '2024-02-29 08:30:00'");
  });

  it("refuse what is none", () => {
    const wrong: [ParameterType, string][] = [
      ["integer", "1.5"],
      ["integer", "1; DROP TABLE x"],
      ["integer", "١"],
      ["number", "NaN"],
      ["number", "1e999"],
      ["number", "1 OR 1=1"],
      ["choice", "c"],
      ["boolean", "maybe"],
      ["date", "2023-02-29"],
      ["date", "2024-01-01' OR '1'='1"],
      ["timestamp", "2024-01-01 25:00"],
      ["text", "nul\0"],
      ["text", "\ud800"],
      ["integer", ""],
    ];
    for (const [type, value] of wrong) expect(literal(type, value).error, `${type} ${value}`).toBeTruthy();
  });
});

const attacks = [
  "' OR 1=1 --",
  "'; DROP TABLE patients; --",
  "\\' OR 1=1 --",
  "\\",
  "''",
  "/*",
  "*/",
  "--",
  "$$",
  "{{p}}",
  '"',
  "a\nb",
  "a\r--\n",
  "＇ OR 1=1",
  "ʼ",
  "';\u2028",
  "E'\\''",
  "x'||(SELECT 1)||'",
];

describe("templates", () => {
  it("take every text as one literal, wherever the place is", () => {
    for (const template of [
      "a = {{p}}",
      "e{{p}}",
      "E{{p}}x",
      "'t'{{p}}",
      "{{p}}'t'",
      "U&{{p}}",
      "({{p}})",
      "x'{{q}}' = {{p}}",
      "{{p}}{{p}}",
    ]) {
      const without = tokensOf(fill(template, [of("text")], { p: "v" }).sql).map((t) => t.kind);
      for (const attack of attacks) {
        const { sql } = fill(template, [of("text")], { p: attack });
        const tokens = tokensOf(sql);
        expect(
          tokens.map((t) => t.kind),
          sql,
        ).toEqual(without);
        expect(tokens.filter((t) => t.text === `'${attack.replaceAll("'", "''")}'`).length, sql).toBeGreaterThan(0);
        expect(
          tokens.some((t) => t.open),
          sql,
        ).toBe(false);
      }
    }
  });

  it("keep signs from beginning a comment", () => {
    expect(fill("x -{{p}}", [of("integer")], { p: "-5" }).sql).toBe("x -(-5)");
  });

  it("are not filled inside quotes and comments", () => {
    const quoted = fill("a = '{{p}}'", [of("text")], { p: "v" });
    expect(quoted.sql).toBe("a = '{{p}}'");
    expect(quoted.errors.p).toContain("quotes");
    expect(fill("a -- {{p}}\n/* {{p}} */", [of("text")], { p: "v" })).toMatchObject({
      sql: "a -- {{p}}\n/* {{p}} */",
      errors: {},
    });
    expect(parametersIn("'{{a}}' {{b}} -- {{c}}\n{{ b }} {{d}}")).toEqual(["b", "d"]);
  });

  it("take defaults, and say what is missing", () => {
    expect(fill("{{p}}", [of("date", { default: "2024-01-01" })], {}).sql).toBe("DATE '2024-01-01'");
    expect(fill("{{p}}", [of("date")], {}).errors).toEqual({ p: "Give a value." });
    expect(fill("{{P q}}", [], {}).errors["P q"]).toContain("small letters");
    expect(fill("a {{constructor}}", [], {}).errors).toHaveProperty("constructor");
  });

  it("lead back from places in the filled text", () => {
    const template = "a < {{p}} AND bb = {{p}} END";
    const filled = fill(template, [of("text")], { p: "long text" });
    const place = (part: string) => {
      const start = filled.sql.indexOf(part);
      const range = filled.back({ start, end: start + part.length });
      return template.slice(range.start, range.end);
    };
    expect(place("END")).toBe("END");
    expect(place("bb")).toBe("bb");
    expect(place("'long text'")).toBe("{{p}}");
    expect(place("long")).toBe("{{p}}");
    expect(place("bb = 'long text'")).toBe("bb = {{p}}");
    expect(place("a < 'long text' AND")).toBe("a < {{p}} AND");
  });
});

describe("definitions", () => {
  const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

  it("are read as far as they have their shape", () => {
    const list = [
      { name: "from", label: "First day", type: "date", default: "2024-01-01" },
      { name: "kind", label: "Kind", type: "choice", values: ["a", 7, "b"] },
      { name: "__proto__", label: "x", type: "text" },
      { name: "Bad Name", type: "text" },
      { name: "odd", type: "sql" },
      null,
    ];
    expect(readParameters(bytes(list))).toEqual([
      { name: "from", label: "First day", type: "date", default: "2024-01-01" },
      { name: "kind", label: "Kind", type: "choice", values: ["a", "b"] },
    ]);
    expect(readParameters(new Uint8Array())).toEqual([]);
    expect(readParameters(bytes({}))).toEqual([]);
  });

  it("follow the text", () => {
    expect(definitionsFor("{{first_day}} {{from}}", [{ name: "from", label: "From", type: "date" }])).toEqual([
      { name: "first_day", label: "first day", type: "text" },
      { name: "from", label: "From", type: "date" },
    ]);
  });
});
