import { describe, expect, it } from "vitest";
import { digest } from "../canon";
import { areSame, sentFiles, sourceOf, statementOf } from "./source";
import type { UploadState } from "./store";
import { type Calls, transfer } from "./transfer";

const rows = "id,n\n1,23\n4,5\n";
const now = "2026-11-24T02:00:00Z";
const options = { lastModified: 7 };
const never = new AbortController().signal;

async function begun(file: File, over: Partial<UploadState> = {}): Promise<UploadState> {
  return {
    id: "c/d",
    key: "k",
    begun: now,
    collaboration: "c",
    dataset: "d",
    manifest: `sha256:${"0".repeat(64)}`,
    files: [await sourceOf(file)],
    partSize: 4,
    format: "parquet",
    dialect: {},
    columns: [],
    header: null,
    tolerate: null,
    report: { identity: "", recipient: "age1pq1r" },
    target: null,
    parts: [],
    ...over,
  };
}

/** A mesh that takes so many parts and then is away, and what a page would find in IndexedDB after a reload. */
function mesh(takes: number) {
  const there: { number: number; digest: string }[] = [];
  const sealed: number[] = [];
  let kept: UploadState | undefined;
  const calls = (): Calls => ({
    open: async () => ({ uploadId: "u", version: 1, recipient: new Uint8Array() }),
    status: async () => ({ state: "open", parts: there }),
    verify: async () => "age1pq1",
    seal: async (piece, _recipient, _target, number) => {
      const plain = await piece.arrayBuffer();
      const ciphertext = new Uint8Array([number, ...new Uint8Array(plain), 0]);
      sealed.push(number);
      const part = { digest: await digest(ciphertext), size: ciphertext.length, plain: plain.byteLength };
      return { ciphertext, part, plain: await digest(plain) };
    },
    put: async (_upload, number, { part }) => {
      if (takes-- <= 0) throw new Error("away");
      there.push({ number, digest: part.digest });
    },
    save: async (state) => {
      kept = structuredClone(state);
    },
    wait: async () => undefined,
  });
  const send = (state: UploadState, files: readonly Blob[]) => transfer(state, files, "l", calls(), never, () => {});
  const reload = () => {
    takes = Number.POSITIVE_INFINITY;
    sealed.length = 0;
    return structuredClone(kept) as UploadState;
  };
  return { send, reload, sealed };
}

describe("an upload that goes on after a reload", () => {
  it("signs for how much each part holds, the ones that were sent before too", async () => {
    const file = new File([rows], "d.parquet", options);
    const m = mesh(2);
    await expect(m.send(await begun(file), [file])).rejects.toThrow("away");
    const state = m.reload();
    expect(state.parts.filter((p) => p !== null)).toHaveLength(2);
    const statement = statementOf(await m.send(state, [file]), now);
    expect(m.sealed).toHaveLength(2);
    expect(statement.parts.map((p) => p.plain)).toEqual([4, 4, 4, 2]);
    expect(statement.parts.map((p) => Object.keys(p))).toEqual(Array(4).fill(["digest", "size", "plain"]));
  });

  it("counts the header that is sent in place of the file's own", async () => {
    const file = new File([rows], "d.csv", options);
    const header = { text: "patient,number\n", skip: 5 };
    const m = mesh(3);
    const state = await begun(file, { header, format: "csv", files: [await sourceOf(file), await sourceOf(file)] });
    const files = sentFiles([file, file], header);
    await expect(m.send(state, files)).rejects.toThrow("away");
    const statement = statementOf(await m.send(m.reload(), files), now);
    expect(statement.files).toEqual([6, 6]);
    expect(statement.parts.reduce((n, p) => n + p.plain, 0)).toBe(2 * (rows.length - 5 + header.text.length));
  });

  it("notices a file of the same name, size and time that is another", async () => {
    const file = new File([rows], "d.csv", options);
    const { files } = await begun(file);
    expect(await areSame([new File([rows], "d.csv", options)], files)).toBe(true);
    for (const other of [
      new File([rows.replace("id,n", "n,id")], "d.csv", options),
      new File([rows], "d.csv", { lastModified: 8 }),
      new File([rows], "e.csv", options),
      new File([`${rows}6,7\n`], "d.csv", options),
    ])
      expect(await areSame([other], files)).toBe(false);
    expect(await areSame([file, file], files)).toBe(false);
  });

  it("notices a part that changed behind the beginning", async () => {
    const file = new File([rows], "d.csv", options);
    const m = mesh(3);
    await expect(m.send(await begun(file), [file])).rejects.toThrow("away");
    const changed = new File([rows.replace("23", "24")], "d.csv", options);
    await expect(m.send(m.reload(), [changed])).rejects.toThrow("not the one that was begun");
  });

  it("is signed for only once all parts were sent", async () => {
    const file = new File([rows], "d.csv", options);
    const m = mesh(2);
    await expect(m.send(await begun(file), [file])).rejects.toThrow("away");
    expect(() => statementOf(m.reload(), now)).toThrow("a part was not sent");
  });
});
