import { expect, it } from "vitest";
import type { Refusal } from "../../api/json";
import { policies } from "./sample";
import { schemaOf } from "./schema";
import { spanOf } from "./span";
import { editOf } from "./suggestion";

const schema = schemaOf(policies);

function follow(sql: string, about: string, suggestion: string): string | undefined {
  const start = sql.indexOf(about);
  const span = spanOf(sql, { start, end: start + about.length });
  const refusal: Refusal = { code: "", owner: "", dataset: "", column: "", rule: "", span, message: "", suggestion };
  const edit = editOf(refusal, sql, schema);
  return edit && sql.slice(0, edit.start) + edit.insert + sql.slice(edit.end);
}

it("puts SQL in the place of what was refused, bytes counted as bytes", () => {
  expect(follow("SELECT count(*) FROM clinic.patient", "clinic.patient", "Did you mean clinic.patients?")).toBe(
    "SELECT count(*) FROM clinic.patients",
  );
  expect(follow("SELECT 'ü🙂', count(*) WHERE age < 42", "age < 42", "Write age < 40.")).toBe(
    "SELECT 'ü🙂', count(*) WHERE age < 40",
  );
  expect(follow("WHERE age = 42", "age = 42", "Write age >= 40 AND age < 45.")).toBe("WHERE age >= 40 AND age < 45");
  expect(follow("WHERE age <> 40", "age <> 40", "Write (age < 40 OR age >= 45).")).toBe(
    "WHERE (age < 40 OR age >= 45)",
  );
  expect(follow("GROUP BY test", "test", "Use left(test, 3).")).toBe("GROUP BY left(test, 3)");
  expect(follow("d", "d", "Use date_trunc('month', taken_on).")).toBe("date_trunc('month', taken_on)");
});

it("keeps the alias that the query uses", () => {
  expect(follow("SELECT c.id FROM clinic.patients c", "c.id", "Count it: count(DISTINCT id).")).toBe(
    "SELECT count(DISTINCT c.id) FROM clinic.patients c",
  );
});

it("keeps aliases inside comparisons, and datasets as they are called", () => {
  expect(follow("WHERE c.age = 57", "c.age = 57", "Write age >= 55 AND age < 60.")).toBe(
    "WHERE c.age >= 55 AND c.age < 60",
  );
  expect(follow("FROM clinic.patient", "clinic.patient", "Did you mean clinic.patients?")).toBe("FROM clinic.patients");
});

it("leaves advice in words alone", () => {
  for (const advice of [
    "Use WHERE or HAVING.",
    "Use count, sum, avg, quantile_cont, median, stddev or variance.",
    "Use INNER JOIN or EXISTS: count units that are present in both.",
    "Use EXISTS, or IN with the identifier.",
    "Use left(column, n).",
    "Use date_trunc('month', column).",
    "Write the date: DATE '2026-01-31'.",
    "Write SELECT … FROM … GROUP BY ….",
    "Write a number from 0 to 1000.",
    "Use LIKE 'prefix%'.",
    "Add the identifier to PARTITION BY.",
    "Did you mean age; DROP TABLE x?",
    "",
  ]) {
    expect(follow("SELECT age FROM clinic.patients", "age", advice), advice).toBeUndefined();
  }
});

it("needs a place", () => {
  const refusal = {
    code: "",
    owner: "",
    dataset: "",
    column: "",
    rule: "",
    span: null,
    message: "",
    suggestion: "Use left(test, 3).",
  };
  expect(editOf(refusal, "SELECT test", schema)).toBeUndefined();
});
