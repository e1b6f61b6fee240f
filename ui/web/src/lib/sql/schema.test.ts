import { describe, expect, it } from "vitest";
import { policies } from "./sample";
import { datasetsOf, explainPolicy, schemaOf, searchSchema } from "./schema";

const schema = schemaOf(policies);

describe("the schema", () => {
  it("lists datasets by owner, columns by role", () => {
    expect(schema.map((o) => o.owner)).toEqual(["clinic", "laboratory"]);
    expect(datasetsOf(schema)[0]?.columns.map((c) => c.name)).toEqual(["id", "male", "age", "case.id"]);
  });

  it("says of each column what a query may do", () => {
    const columns = datasetsOf(schema).flatMap((d) => d.columns);
    const use = (name: string) => columns.find((c) => c.name === name)?.use;
    expect(use("age")).toBe("aggregate it, clamped to 18 … 100; filter and group at multiples of 5");
    expect(use("value")).toBe("aggregate it, clamped to 0 … 250, summed in steps of 0.1; no filter, no group");
    expect(use("test")).toContain("first 3 characters");
    expect(use("taken_on")).toBe("group and filter by it, by month");
    expect(use("case.id")).toBe("nothing: no query sees it");
  });

  it("is searched by names and words", () => {
    expect(
      searchSchema(schema, " HIDDEN ").flatMap((o) => o.datasets.flatMap((d) => d.columns.map((c) => c.name))),
    ).toEqual(["case.id"]);
    expect(searchSchema(schema, "results").map((o) => o.owner)).toEqual(["laboratory"]);
    expect(searchSchema(schema, "nothing like this")).toEqual([]);
    expect(searchSchema(schema, "")).toEqual(schema);
  });
});

describe("a policy in words", () => {
  it("names unit, joins, groups and price", () => {
    const [clinic = "", laboratory = ""] = policies.map((p) => explainPolicy(p).join(" "));
    expect(clinic).toContain("one row for each unit");
    expect(clinic).toContain("not count units of others");
    expect(clinic).toContain("each aggregate costs rho 0.005; the budget is rho 0.5 per 30d and 3 for good");
    expect(laboratory).toContain("required: a query over this dataset alone is refused");
    expect(laboratory).toContain("no formal guarantee. At most 200 queries per day");
  });
});
