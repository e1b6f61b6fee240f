// Files of an answer, made in the browser and handed to it. Writers of binary formats are loaded when they are needed.
import type { Answer } from "../../api/json";
import { csvOf } from "../../lib/sql/csv";

export const formats = [
  { id: "csv", label: "CSV", file: "csv", type: "text/csv" },
  { id: "json", label: "JSON", file: "json", type: "application/json" },
  { id: "arrow", label: "Arrow", file: "arrows", type: "application/vnd.apache.arrow.stream" },
  { id: "parquet", label: "Parquet", file: "parquet", type: "application/vnd.apache.parquet" },
] as const;

export type Format = (typeof formats)[number]["id"];

/** Writes an answer in a format. JSON is the answer as it came, byte for byte. */
export async function writeAnswer(format: Format, answer: Answer, bytes: Uint8Array): Promise<Uint8Array> {
  switch (format) {
    case "csv":
      return new TextEncoder().encode(csvOf(answer));
    case "json":
      return bytes;
    case "arrow":
      return (await import("../../lib/sql/arrow")).arrowOf(answer);
    case "parquet":
      return (await import("../../lib/sql/parquet")).parquetOf(answer);
  }
}

/** Gives a file to the browser to keep. */
export function saveFile(name: string, type: string, bytes: Uint8Array): void {
  const url = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** The beginning of an id, as part of a file's name: letters and digits alone, whoever made the id. */
export const fileStem = (id: string): string => id.replace(/[^0-9a-z]/gi, "").slice(0, 12) || "answer";
