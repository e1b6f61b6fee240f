// Parquet files of answers. Loaded when one is saved.
import { parquetWriteBuffer } from "hyparquet-writer";
import type { Answer, Cell } from "../../api/json";
import { scaled } from "./arrow";
import { decimalOf, type FlatColumn, flatten, isTime, isWhole, metadataOf } from "./table";

type Source = Parameters<typeof parquetWriteBuffer>[0]["columnData"][number];
type Element = NonNullable<Parameters<typeof parquetWriteBuffer>[0]["schema"]>[number];

export function parquetOf(answer: Answer): Uint8Array {
  const columns = flatten(answer);
  const buffer = parquetWriteBuffer({
    columnData: columns.map((c): Source => ({ name: c.name, data: c.values.map(reader(c)) })),
    schema: [{ name: "root", num_children: columns.length }, ...columns.map(element)],
    createdBy: "concordat",
    kvMetadata: Object.entries(metadataOf(answer)).map(([key, value]) => ({ key, value })),
  });
  return new Uint8Array(buffer);
}

function element({ name, type }: FlatColumn): Element {
  const optional = { name, repetition_type: "OPTIONAL" as const };
  if (type === "boolean") return { ...optional, type: "BOOLEAN" };
  if (isWhole(type)) return { ...optional, type: "INT64" };
  if (type === "float" || type === "double") return { ...optional, type: "DOUBLE" };
  if (type === "date") return { ...optional, type: "INT32", converted_type: "DATE" };
  if (type === "timestamp") {
    const logical = { type: "TIMESTAMP" as const, isAdjustedToUTC: false, unit: "MICROS" as const };
    return { ...optional, type: "INT64", logical_type: logical };
  }
  const decimal = decimalOf(type);
  if (decimal && decimal.precision <= 18) {
    return {
      ...optional,
      type: "INT64",
      converted_type: "DECIMAL",
      ...decimal,
      logical_type: { type: "DECIMAL", ...decimal },
    };
  }
  return { ...optional, type: "BYTE_ARRAY", converted_type: "UTF8" };
}

function reader({ type }: FlatColumn): (cell: Cell) => unknown {
  if (isWhole(type)) return (c) => (c === null ? null : BigInt(c));
  if (type === "boolean" || type === "float" || type === "double") return (c) => c;
  if (isTime(type)) return (c) => (c === null ? null : moment(String(c), type));
  const decimal = decimalOf(type);
  if (decimal && decimal.precision <= 18) return (c) => (c === null ? null : scaled(String(c), decimal.scale));
  return (c) => (c === null ? null : String(c));
}

function moment(text: string, type: string): number | bigint {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new Error("A day or moment does not have its form.");
  return type === "date" ? Math.floor(ms / 86_400_000) : BigInt(ms) * 1000n;
}
