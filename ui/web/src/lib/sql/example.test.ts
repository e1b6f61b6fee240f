import { expect, it } from "vitest";
import { examplesOf } from "./example";
import { policies } from "./sample";
import { schemaOf } from "./schema";

it("gives first queries that keep to the policies", () => {
  expect(examplesOf(schemaOf(policies)).map((e) => e.sql)).toEqual([
    "SELECT male AS male, count(DISTINCT id) AS units\nFROM clinic.patients\nGROUP BY 1\nORDER BY 1",
    "SELECT a.male AS male, count(DISTINCT a.id) AS units, avg(b.value) AS mean\nFROM clinic.patients a\nJOIN laboratory.results b ON b.id = a.id\nGROUP BY 1\nORDER BY 1",
  ]);
  expect(examplesOf([])).toEqual([]);
});
