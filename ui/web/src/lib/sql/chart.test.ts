import { expect, describe as group, it } from "vitest";
import type { Answer } from "../../api/json";
import { describe, firstChart, pointsOf } from "./chart";
import { digitsFor, released } from "./released";

function answer(columns: [string, string, "key" | "aggregate"][], rows: Answer["rows"]): Answer {
  return {
    verdict: "released",
    query_id: "",
    refusals: [],
    columns: columns.map(([name, type, kind]) => ({ name, type, kind })),
    rows,
    intervals: rows.map((r) => r.map((v, i) => (columns[i]?.[2] === "key" ? null : [Number(v) - 1, Number(v) + 1]))),
    mechanism: "differential_privacy",
    withheld_possible: false,
    price: [],
    receipt: null,
    notes: [],
  };
}

group("charts", () => {
  it("are bars of groups, the longest key along, the other one as colours", () => {
    const a = answer(
      [
        ["male", "integer", "key"],
        ["test", "varchar", "key"],
        ["n", "bigint", "aggregate"],
      ],
      [
        [0, "hdl", 5],
        [0, "chol", 6],
        [1, "sbp", 7],
        [1, null, null],
      ],
    );
    const choice = firstChart(a);
    expect(choice).toEqual({ kind: "bar", x: 1, y: 2, series: 0, intervals: true });
    if (!choice) throw new Error("no chart");
    expect(pointsOf(a, choice)).toEqual([
      { x: "hdl", y: 5, low: 4, high: 6, series: "0" },
      { x: "chol", y: 6, low: 5, high: 7, series: "0" },
      { x: "sbp", y: 7, low: 6, high: 8, series: "1" },
    ]);
    expect(describe(a, choice)).toBe(
      "Bar chart of n by test, one colour for each male. The table holds the same numbers.",
    );
  });

  it("are lines over time and long numeric keys", () => {
    const time = answer(
      [
        ["month", "date", "key"],
        ["n", "bigint", "aggregate"],
      ],
      [
        ["2026-01-01", 1],
        ["2026-02-01", 2],
      ],
    );
    expect(firstChart(time)).toMatchObject({ kind: "line", x: 0, series: -1 });
    const ages = answer(
      [
        ["age", "integer", "key"],
        ["n", "bigint", "aggregate"],
      ],
      Array.from({ length: 9 }, (_, i) => [i * 5, i]),
    );
    expect(firstChart(ages)?.kind).toBe("line");
  });

  it("need a key and a number", () => {
    expect(firstChart(answer([["n", "bigint", "aggregate"]], [[1]]))).toBeUndefined();
    expect(firstChart(answer([["k", "varchar", "key"]], [["a"]]))).toBeUndefined();
  });
});

group("released numbers", () => {
  it("have as many digits as their interval means", () => {
    expect(released(8227, [8193, 8261], "en")).toEqual({ value: "8,227", spread: "± 34", range: "8,193 to 8,261" });
    expect(released(56.9515519592364, [56.08215426988248, 57.81590059275041], "en").value).toBe("56.95");
    expect(released(56.9515519592364, [56.08215426988248, 57.81590059275041], "en").spread).toBe("± 0.87");
    expect([digitsFor(0.0042), digitsFor(34), digitsFor(0), digitsFor(Number.NaN)]).toEqual([4, 0, 4, 4]);
  });

  it("show both ends where the interval is lopsided", () => {
    expect(released(10, [2, 50], "en")).toEqual({ value: "10", spread: "", range: "2 to 50" });
    expect(released(null, null, "en")).toEqual({ value: "", spread: "", range: "" });
  });
});
