// The files of an upload: which they are, so that they are known again after a reload, how they are sent, and what is signed of them.
import { digest } from "../canon";
import { wholeSeconds } from "../sign";
import type { UploadStatement } from "./statement";
import type { SourceFile, UploadState } from "./store";
import { partCounts } from "./transfer";

const program = "concordat-web";
const beginning = 1 << 20; // bytes

/** What a chosen file is known by. Its beginning is among it since columns, dialect and another header are settled by that. */
export async function sourceOf(file: File): Promise<SourceFile> {
  const start = await digest(await file.slice(0, beginning).arrayBuffer());
  return { name: file.name, size: file.size, modified: file.lastModified, start };
}

/** Whether these are the files that an upload was begun with. What changed behind their beginning is found part by part. */
export async function areSame(files: readonly File[], begun: readonly SourceFile[]): Promise<boolean> {
  if (files.length !== begun.length) return false;
  const chosen = await Promise.all(files.map(sourceOf));
  return begun.every((b, i) => {
    const f = chosen[i];
    return f?.name === b.name && f.size === b.size && f.modified === b.modified && f.start === b.start;
  });
}

/** The files as they are sent: with another header where their columns have other names. */
export function sentFiles(files: readonly Blob[], header: UploadState["header"]): Blob[] {
  return header && header.skip > 0 ? files.map((f) => new Blob([header.text, f.slice(header.skip)])) : [...files];
}

/** Sizes of the files as they are sent. */
function sizes(state: UploadState): { size: number }[] {
  return state.files.map((f) => ({
    size: f.size - (state.header?.skip ?? 0) + new TextEncoder().encode(state.header?.text ?? "").length,
  }));
}

/** What a steward signs once all parts are there. Plain of each part is how a worker finds what lies at a place of a Parquet file. */
export function statementOf(state: UploadState, now: string): UploadStatement {
  if (!state.target) throw new Error("the upload was not opened");
  const counts = partCounts(sizes(state), state.partSize);
  return {
    ...state.target,
    type: "concordat.dev/upload/v1",
    format: state.format,
    ...(Object.keys(state.dialect).length > 0 ? { dialect: state.dialect } : {}),
    ...(counts.length > 1 ? { files: counts } : {}),
    columns: state.columns,
    parts: state.parts.map((p) => {
      if (!p) throw new Error("a part was not sent");
      return { digest: p.digest, size: p.size, plain: p.plain };
    }),
    client: program,
    issued: wholeSeconds(now),
    report: state.report.recipient,
    ...(state.tolerate ? { tolerate: state.tolerate } : {}),
  };
}
