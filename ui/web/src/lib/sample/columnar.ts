// First rows of Parquet and Arrow files. Loaded when such a file is chosen.
import { type Type as ArrowType, Type, tableFromIPC } from "@uwdata/flechette";
import { parquetMetadataAsync, parquetReadObjects, parquetSchema } from "hyparquet";
import { plain, type Table, UnreadError } from "./read";

const shown = 2_000; // rows
const largestArrow = 256 << 20; // bytes that are read to see the first rows

type SchemaElement = ReturnType<typeof parquetSchema>["element"];

export async function readParquet(file: Blob): Promise<Table> {
  const buffer = { byteLength: file.size, slice: (from: number, to?: number) => file.slice(from, to).arrayBuffer() };
  const metadata = await parquetMetadataAsync(buffer).catch((cause: unknown) => {
    throw new UnreadError(`The Parquet file cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
  });
  const flat = parquetSchema(metadata).children.filter((c) => c.children.length === 0);
  const columns = flat.map((c) => c.element.name);
  const types = Object.fromEntries(flat.map((c) => [c.element.name, parquetType(c.element)]));
  const total = Number(metadata.num_rows);
  // A compression that hyparquet does not know leaves names and types, which is enough to go on.
  const objects = await parquetReadObjects({ file: buffer, metadata, columns, rowEnd: Math.min(shown, total) }).catch(
    () => [],
  );
  const rows = objects.map((o) => columns.map((name) => plain(o[name])));
  return { format: "parquet", dialect: {}, columns, rows, whole: objects.length === total, types };
}

function parquetType(e: SchemaElement): string {
  const logical = e.logical_type?.type;
  if (logical === "DATE" || e.converted_type === "DATE") return "date";
  if (logical === "TIMESTAMP" || e.converted_type?.startsWith("TIMESTAMP")) return "timestamp";
  if (logical === "UUID") return "uuid";
  if (logical === "DECIMAL" || e.converted_type === "DECIMAL") return "decimal";
  const physical: Record<string, string> = {
    BOOLEAN: "boolean",
    INT32: "integer",
    INT64: "bigint",
    INT96: "timestamp",
    FLOAT: "double",
    DOUBLE: "double",
  };
  return physical[e.type ?? ""] ?? "varchar";
}

export async function readArrow(file: Blob): Promise<Table> {
  if (file.size > largestArrow) return { format: "arrow", dialect: {}, columns: [], rows: [], whole: false };
  let table: ReturnType<typeof tableFromIPC>;
  try {
    table = tableFromIPC(new Uint8Array(await file.arrayBuffer()), { useDate: true });
  } catch (cause) {
    throw new UnreadError(`The Arrow file cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  const columns = table.names.map(String);
  const types = Object.fromEntries(table.schema.fields.map((f) => [f.name, arrowType(f.type.typeId, f.type)]));
  const count = Math.min(shown, table.numRows);
  const vectors = columns.map((_, i) => table.getChildAt(i));
  const rows = Array.from({ length: count }, (_, r) => vectors.map((v) => plain(v?.at(r))));
  return { format: "arrow", dialect: {}, columns, rows, whole: count === table.numRows, types };
}

function arrowType(id: number, type: unknown): string {
  const known: Partial<Record<number, string>> = {
    [Type.Bool]: "boolean",
    [Type.Float]: "double",
    [Type.Decimal]: "decimal",
    [Type.Date]: "date",
    [Type.Timestamp]: "timestamp",
  };
  if (id === Type.Int) return (type as { bitWidth: number }).bitWidth > 32 ? "bigint" : "integer";
  return known[id as (typeof ArrowType)[keyof typeof ArrowType]] ?? "varchar";
}
