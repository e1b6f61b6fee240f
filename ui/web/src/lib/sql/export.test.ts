import { tableFromIPC } from "@uwdata/flechette";
import { parquetMetadata, parquetReadObjects } from "hyparquet";
import { describe, expect, it } from "vitest";
import { arrowOf, scaled } from "./arrow";
import { csvOf } from "./csv";
import { parquetOf } from "./parquet";
import { answer } from "./sample";
import { flatten } from "./table";

const names = [
  "test",
  "month",
  "at",
  "old",
  "n",
  "n_low_",
  "n_high",
  "n_low",
  "n_low_low",
  "n_low_high",
  "price",
  "price_low",
  "price_high",
  "total",
  "total_low",
  "total_high",
];

describe("files of answers", () => {
  it("have the command line's columns, and never two of one name", () => {
    expect(flatten(answer).map((c) => c.name)).toEqual(names);
  });

  it("are CSV", () => {
    const [header, first, second] = csvOf(answer).split("\n");
    expect(header).toBe(names.join(","));
    expect(first).toBe(
      '"a, ""b""",2026-01-31,2026-01-31T12:30:00Z,true,8227,8193,8261,1.5,,,12.50,12,13,170141183460469231731687303715884105727,,',
    );
    expect(second).toBe(",".repeat(names.length - 1));
  });

  it("are Arrow streams with what they came from", () => {
    const table = tableFromIPC(arrowOf(answer), { useBigInt: true, useDate: true, useDecimalInt: true });
    expect(table.names).toEqual(names);
    expect(table.numRows).toBe(2);
    expect(table.getChild("n").at(0)).toBe(8227n);
    expect(table.getChild("month").at(0)).toEqual(new Date("2026-01-31T00:00:00Z"));
    expect(table.getChild("at").at(0)).toEqual(new Date("2026-01-31T12:30:00Z"));
    expect(table.getChild("old").at(0)).toBe(true);
    expect(table.getChild("price").at(0)).toBe(1250n);
    expect(table.getChild("total").at(0)).toBe(170141183460469231731687303715884105727n);
    for (const name of names) expect(table.getChild(name).at(1), name).toBeNull();
    expect(table.schema.metadata?.get("concordat.receipt")).toBe("9c2c");
  });

  it("are Parquet with what they came from", async () => {
    const bytes = parquetOf(answer);
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
    const rows = await parquetReadObjects({ file: { byteLength: file.byteLength, slice: (a, b) => file.slice(a, b) } });
    expect(Object.keys(rows[0] ?? {})).toEqual(names);
    expect(rows[0]).toMatchObject({
      test: 'a, "b"',
      old: true,
      n: 8227n,
      n_low_: 8193,
      n_low: 1.5,
      price: 12.5,
      total: "170141183460469231731687303715884105727",
    });
    expect(rows[0]?.month).toEqual(new Date("2026-01-31T00:00:00Z"));
    expect(rows[0]?.at).toEqual(new Date("2026-01-31T12:30:00Z"));
    for (const name of names) expect(rows[1]?.[name] ?? null, name).toBeNull();
    expect(parquetMetadata(file).key_value_metadata).toContainEqual({
      key: "concordat.mechanism",
      value: "differential_privacy",
    });
  });

  it("keep decimals exact", () => {
    expect([scaled("1.5", 2), scaled("-0.05", 2), scaled("12", 0)]).toEqual([150n, -5n, 12n]);
  });
});
