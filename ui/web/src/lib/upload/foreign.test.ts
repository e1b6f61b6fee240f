import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { beginnings, foldersOf, foreign, RefusedError, refuseForeign } from "./foreign";

interface Vector {
  readonly start: string; // each character is a byte
  readonly advice: string;
}

const vectors = JSON.parse(readFileSync("../../protocol/testdata/foreign.json", "utf8")) as Vector[];
const bytes = (start: string) => Uint8Array.from(start, (c) => c.charCodeAt(0));

describe("files that nothing reads", () => {
  it.each(vectors)("$start", ({ start, advice }) => {
    expect(foreign(bytes(start))).toBe(advice);
  });

  it("have a vector each", () => {
    for (const { start } of beginnings)
      expect(
        vectors.some((v) => v.start.startsWith(start)),
        start,
      ).toBe(true);
  });

  it("are refused by name, wherever they stand among the chosen ones", async () => {
    const good = new File(["id,n\n1,2\n"], "good.csv");
    await refuseForeign([good, good]);
    const workbook = new File(["PK\x03\x04\x14\x00"], "results.xlsx");
    await expect(refuseForeign([good, workbook])).rejects.toThrow(/^results\.xlsx: it is a workbook/);
    await expect(refuseForeign([good, new File([], "none.csv")])).rejects.toThrow("none.csv is empty");
    const folder = new File(["x"], "folder");
    folder.slice = () => ({ arrayBuffer: () => Promise.reject(new DOMException("", "NotFoundError")) }) as Blob;
    await expect(refuseForeign([folder])).rejects.toThrow(RefusedError);
  });

  it("are folders where a browser says so", () => {
    const item = (name: string, isDirectory: boolean) => ({ webkitGetAsEntry: () => ({ name, isDirectory }) });
    const items = [item("a.csv", false), item("results", true), { webkitGetAsEntry: () => null }];
    expect(foldersOf({ items } as unknown as DataTransfer)).toEqual(["results"]);
  });
});
