// Files that are often handed in and that nothing here reads, told by their first bytes, as protocol/upload in Go does; held by
// protocol/testdata/foreign.json.

interface Beginning {
  readonly start: string; // each character is a byte
  readonly text?: true; // written in any case
  readonly what: string;
}

const webPage = "it is a web page, perhaps in place of the file that was to be downloaded";

export const beginnings: readonly Beginning[] = [
  {
    start: "PK\x03\x04",
    what: "it is a workbook (xlsx, ods) or a zip archive: save the sheet as CSV, or unpack it",
  },
  { start: "\xd0\xcf\x11\xe0", what: "it is an old workbook (xls): save the sheet as CSV" },
  { start: "BZh", what: "it is packed with bzip2: unpack it, or pack it with gzip or zstd" },
  { start: "\xfd7zXZ\0", what: "it is packed with xz: unpack it, or pack it with gzip or zstd" },
  { start: "7z\xbc\xaf", what: "it is a 7z archive: unpack it" },
  { start: "%PDF", what: "it is a PDF: export the table as CSV" },
  { start: "SQLite format 3", what: "it is an SQLite database: export the table as CSV or Parquet" },
  { start: "Obj\x01", what: "it is an Avro file: write it as Parquet" },
  { start: "<!DOCTYPE", text: true, what: webPage },
  { start: "<html", text: true, what: webPage },
  { start: "<?xml", text: true, what: "it is XML: export the table as CSV" },
  { start: "sep=", text: true, what: "its first line is sep=…, which Excel writes: remove that line" },
];

/** How many bytes of a file tell what it is: room for white space before what it begins with. */
export const foreignBytes = 1 << 10;

/** What a file of another format is and what to do with it, by its first bytes; empty where they may be of a format that is read. */
export function foreign(start: Uint8Array): string {
  const bytes = String.fromCharCode(...start.subarray(0, foreignBytes));
  const text = bytes.replace(/^\xef\xbb\xbf/, "").replace(/^[ \t\r\n]+/, "");
  for (const b of beginnings) {
    const begins = text.slice(0, b.start.length);
    if (begins === b.start || (b.text && begins.toLowerCase() === b.start.toLowerCase())) return b.what;
  }
  if (/^\[[ \t\r\n]*\{/.test(text))
    return "it is one JSON list: write one object a line (JSON lines), as jq -c '.[]' does";
  if (/^(?:[^\0]\0[^\0]\0|\0[^\0]\0[^\0])/.test(bytes))
    return "it is UTF-16 without a byte order mark: save it as UTF-8";
  return "";
}

/** A file that is refused before anything of it is sent; the message says what to do. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
}

/** Refuses files that are empty, cannot be read, or begin like something that is no file of rows. */
export async function refuseForeign(files: readonly File[]): Promise<void> {
  for (const file of files) {
    const start = await file
      .slice(0, foreignBytes)
      .arrayBuffer()
      .catch(() => undefined);
    if (!start)
      throw new RefusedError(
        `${file.name} cannot be read: it changed since it was chosen, or is a folder. Choose it again, or the files in it.`,
      );
    if (start.byteLength === 0) throw new RefusedError(`${file.name} is empty.`);
    const what = foreign(new Uint8Array(start));
    if (what) throw new RefusedError(`${file.name}: ${what}.`);
  }
}

/** Names of the folders among what was dropped. A browser hands them over like files, and fails to read them. */
export function foldersOf(dropped: DataTransfer): string[] {
  return [...dropped.items].flatMap((item) => {
    const entry = item.webkitGetAsEntry();
    return entry?.isDirectory ? [entry.name] : [];
  });
}
