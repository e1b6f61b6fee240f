// Arrow IPC streams of answers, as `concordat query --format arrow` writes them. Loaded when one is saved.
import {
  bool,
  columnFromArray,
  type DataType,
  dateDay,
  decimal128,
  float64,
  int64,
  type Table,
  TimeUnit,
  tableFromColumns,
  tableToIPC,
  timestamp,
  utf8,
} from "@uwdata/flechette";
import type { Answer, Cell } from "../../api/json";
import { decimalOf, type FlatColumn, flatten, isTime, isWhole, metadataOf } from "./table";

export function arrowOf(answer: Answer): Uint8Array {
  const columns = flatten(answer).map((c) => [c.name, columnFromArray(c.values.map(reader(c)), arrowType(c))] as const);
  const table: Table = tableFromColumns(columns.map(([name, column]) => [name, column]));
  (table.schema as { metadata: Map<string, string> }).metadata = new Map(Object.entries(metadataOf(answer)));
  const bytes = tableToIPC(table, { format: "stream" });
  if (!bytes) throw new Error("The table could not be written as Arrow.");
  return bytes;
}

function arrowType({ type }: FlatColumn): DataType {
  if (type === "boolean") return bool();
  if (isWhole(type)) return int64();
  const decimal = decimalOf(type);
  if (decimal) return decimal128(decimal.precision, decimal.scale);
  if (type === "float" || type === "double") return float64();
  if (type === "date") return dateDay();
  if (type === "timestamp") return timestamp(TimeUnit.MICROSECOND);
  return utf8();
}

function reader({ type }: FlatColumn): (cell: Cell) => unknown {
  if (isWhole(type)) return (c) => (c === null ? null : BigInt(c));
  const decimal = decimalOf(type);
  if (decimal) return (c) => (c === null ? null : scaled(String(c), decimal.scale));
  if (isTime(type)) return (c) => (c === null ? null : new Date(String(c)));
  if (type === "boolean" || type === "float" || type === "double") return (c) => c;
  return (c) => (c === null ? null : String(c));
}

/** A decimal text as the whole number of its last digits: "1.5" with scale 2 is 150. */
export function scaled(text: string, scale: number): bigint {
  const match = /^(-?)(\d+)(?:\.(\d*))?$/.exec(text);
  if (!match) throw new Error("A decimal number does not have its form.");
  const digits = (match[2] ?? "") + (match[3] ?? "").padEnd(scale, "0").slice(0, scale);
  return BigInt((match[1] ?? "") + digits);
}
