import type { Policy } from "../../api/documents";
import { fitDialect, readSample, type Table, valuesOf } from "../../lib/sample/read";
import {
  canRename,
  guessMapping,
  type Mapping,
  namesMatch,
  replaceHeader,
  sentColumns,
  wantedColumns,
} from "../../lib/upload/columns";
import { refuseForeign } from "../../lib/upload/foreign";
import { sentFiles, sourceOf } from "../../lib/upload/source";
import type { Dialect } from "../../lib/upload/statement";
import { partSize } from "../../lib/upload/transfer";
import type { Wanted } from "./sending.svelte";

/** Files that were chosen for a dataset, as far as this browser read them. */
export class Chosen {
  files: readonly File[] = $state.raw([]);
  table: Table | undefined = $state.raw();
  mapping: Mapping = $state.raw({});
  dialect: Dialect = $state.raw({});
  /** Names of the fields of a file without a header, one a line. */
  names = $state("");
  /** The ways in which its dates may be written, where the sample leaves the choice. */
  ambiguous: readonly string[] = $state.raw([]);
  packed = $state(false);
  fault: unknown = $state.raw();
  #reading = 0;

  constructor(private readonly policy: Policy) {}

  async choose(files: readonly File[]): Promise<void> {
    this.files = files;
    this.dialect = {};
    await this.read();
  }

  /** Reads the beginning again, as after the dialect was changed. */
  async read(): Promise<void> {
    const [first] = this.files;
    if (!first) return;
    const turn = ++this.#reading;
    this.fault = undefined;
    try {
      await refuseForeign(this.files);
      const names = this.names.split("\n").filter((n) => n !== "");
      const table = await readSample(first, this.dialect, names);
      const start = new Uint8Array(await first.slice(0, 2).arrayBuffer());
      if (turn !== this.#reading) return;
      this.packed = (start[0] === 0x1f && start[1] === 0x8b) || (start[0] === 0x28 && start[1] === 0xb5);
      this.#fit(table);
    } catch (cause) {
      if (turn !== this.#reading) return;
      this.table = undefined;
      this.fault = cause;
    }
  }

  #fit(table: Table): void {
    this.mapping = guessMapping(this.policy, table.columns);
    const of = (types: readonly string[]) =>
      Object.entries(this.mapping).flatMap(([name, column]) =>
        column && types.includes(this.policy.columns[name]?.type ?? "")
          ? valuesOf(table, table.columns.indexOf(column))
          : [],
      );
    const { dialect, ambiguous } = fitDialect(table, of(["date", "timestamp"]), of(["double", "decimal"]));
    this.ambiguous = ambiguous;
    this.table = { ...table, dialect };
  }

  get missing(): string[] {
    return wantedColumns(this.policy).filter((name) => !this.mapping[name]);
  }

  get renames(): boolean {
    return !namesMatch(this.mapping);
  }

  /** Why the files cannot be sent yet; empty if they can. */
  get obstacle(): string {
    const table = this.table;
    if (!table) return "Choose a file.";
    if (table.columns.length > 0 && this.missing.length > 0)
      return `Choose the column of the file for ${this.missing.join(", ")}.`;
    if (this.ambiguous.length > 0) return `Say how its dates are written: ${this.ambiguous.join(" or ")}.`;
    if (!this.renames) return "";
    if (!canRename(table, this.packed))
      return "Columns have other names than the policy's. They can be renamed on the way in unpacked CSV files in UTF-8 only.";
    return this.files.length > 1
      ? "Columns of several files cannot be renamed on the way: rename them in the files."
      : "";
  }

  /** What is uploaded, and the bytes that are sent. */
  async prepare(dataset: string): Promise<{ wanted: Wanted; files: Blob[] }> {
    const [first] = this.files;
    const table = this.table;
    if (!first || !table || this.obstacle !== "") throw new Error(this.obstacle || "Choose a file.");
    const columns = sentColumns(table.columns, this.mapping);
    const header = this.renames ? await replaceHeader(first, table, columns) : null;
    const total = this.files.reduce((n, f) => n + f.size, 0);
    const wanted: Wanted = {
      dataset,
      files: await Promise.all(this.files.map(sourceOf)),
      partSize: partSize(total),
      format: table.format,
      dialect: table.dialect,
      columns: this.renames ? columns : [...table.columns],
      header,
      tolerate: null,
    };
    return { wanted, files: sentFiles(this.files, header) };
  }
}
