import { describe, expect, it } from "vitest";
import { complete } from "./complete";
import { policies } from "./sample";
import { schemaOf } from "./schema";

const schema = schemaOf(policies);

/** Completions at the | of a text, as what would be inserted. */
function at(text: string) {
  const place = text.indexOf("|");
  const sql = text.replace("|", "");
  const found = complete(sql, place, schema);
  return { from: found?.from, to: found?.to, inserts: found?.options.map((o) => o.insert) };
}

describe("completion", () => {
  it("offers qualified datasets after FROM and JOIN", () => {
    expect(at("SELECT 1 FROM |").inserts).toEqual(["clinic.patients", "laboratory.results"]);
    expect(at("SELECT 1 FROM clinic.patients p JOIN lab|").inserts).toEqual(["clinic.patients", "laboratory.results"]);
    expect(at("SELECT 1 FROM clinic.|")).toEqual({ from: 21, to: 21, inserts: ["patients"] });
  });

  it("offers columns after an alias, quoted where they have to be", () => {
    expect(at("SELECT p.| FROM clinic.patients AS p").inserts).toEqual(["id", "male", "age", '"case.id"']);
    expect(at('SELECT p."ca| FROM clinic.patients p').inserts).toContain('"case.id"');
    expect(at('SELECT p."ca|" FROM clinic.patients p')).toMatchObject({ from: 9, to: 13 });
    expect(at("SELECT p.ag| FROM clinic.patients p").from).toBe(9);
  });

  it("qualifies columns when several datasets are read", () => {
    expect(at("SELECT | FROM clinic.patients p").inserts).toContain("age");
    const both = at("SELECT | FROM clinic.patients p JOIN laboratory.results r ON p.id = r.id").inserts;
    expect(both).toContain("p.id");
    expect(both).toContain("r.value");
    expect(both).not.toContain("age");
  });

  it("offers the functions of the language and no others", () => {
    const { inserts } = at("SELECT q|");
    expect(inserts).toContain("quantile_cont(");
    expect(inserts).not.toContain("regexp_matches(");
  });

  it("knows names of subqueries", () => {
    expect(at("WITH f AS (SELECT id FROM clinic.patients) SELECT count(*) FROM |").inserts).toContain("f");
  });

  it("is silent in texts, comments and numbers", () => {
    for (const text of ["SELECT 'cl|'", "SELECT 'cl|", "SELECT 1 -- cl|", "/* cl| */", "LIMIT 1|", "x = {{na|}}"]) {
      expect(at(text).inserts, text).toBeUndefined();
    }
  });

  it("never fails, whatever stands there", () => {
    for (const text of ["", ".", "FROM .", "a.b.c.d.|", "FROM a.b. |", '"', "JOIN JOIN |", "))) AS ( |"]) {
      for (let i = 0; i <= text.length; i++) complete(text, i, schema);
    }
  });
});
