import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fromBase64 } from "../base64";
import { digest } from "../canon";
import { headerOf, maxPart, openPart, openReport, type PartHeader, reportIdentity, sealPart } from "./part";

interface Vector {
  readonly identity: string;
  readonly recipient: string;
  readonly header: PartHeader;
  readonly plaintext: string;
  readonly ciphertext: string;
  readonly part: { readonly digest: string; readonly size: number };
}

const read = (name: string) => JSON.parse(readFileSync(`../../protocol/testdata/${name}`, "utf8"));
const vectors = read("part.json") as Vector[];
const report = read("report.json") as { identity: string; message: { sealed: string }; report?: unknown };
const bytes = (text: string) => new TextEncoder().encode(text);

describe("parts", () => {
  it.each(vectors)("opens part $header.number that Go wrote", async (v) => {
    const ciphertext = fromBase64(v.ciphertext);
    expect(await digest(ciphertext)).toBe(v.part.digest);
    expect(ciphertext.length).toBe(v.part.size);
    expect(new TextDecoder().decode(await openPart(v.identity, v.header, ciphertext))).toBe(v.plaintext);
    await expect(openPart(v.identity, { ...v.header, number: 99 }, ciphertext)).rejects.toThrow("elsewhere");
    await expect(
      openPart(
        v.identity,
        v.header,
        ciphertext.map((b, i) => (i === 1800 ? b ^ 1 : b)),
      ),
    ).rejects.toThrow();
  });

  it.each([0, 1, 65_536 - 150, 200_000])("seals %d bytes", async (size) => {
    const [v] = vectors as [Vector];
    const rows = crypto.getRandomValues(new Uint8Array(Math.min(size, 65_536))).slice();
    const whole = new Uint8Array(size).map((_, i) => rows[i % Math.max(1, rows.length)] ?? 0);
    const sealed = await sealPart(v.recipient, v.header, whole);
    expect(sealed.part).toEqual({
      digest: await digest(sealed.ciphertext),
      size: sealed.ciphertext.length,
      plain: size,
    });
    expect(sealed.plain).toBe(await digest(whole));
    expect(await openPart(v.identity, v.header, sealed.ciphertext)).toEqual(whole);
  });

  it("refuses other recipients, parts that are too large, and headers that are too long", async () => {
    const [v] = vectors as [Vector];
    await expect(sealPart("age1qqq", v.header, bytes("x"))).rejects.toThrow("post-quantum");
    await expect(sealPart(v.recipient, v.header, new Uint8Array(maxPart + 1))).rejects.toThrow("64 MiB");
    expect(() => headerOf({ ...v.header, upload: "u".repeat(1100) })).toThrow("at most 1024");
  });
});

describe("reports", () => {
  it("opens what a worker sealed", async () => {
    expect(await openReport(report.identity, fromBase64(report.message.sealed))).toBeTypeOf("object");
    const other = await reportIdentity();
    expect(other.recipient).toMatch(/^age1pq1/);
    await expect(openReport(other.identity, fromBase64(report.message.sealed))).rejects.toThrow();
  });
});
