import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { canonical, canonicalText, digest, isDigest, parseCanonical, transform } from "./canon";

interface Vector {
  readonly name: string;
  readonly in: string;
  readonly out?: string;
  readonly digest?: string;
  readonly refused?: boolean;
}

const vectors = JSON.parse(readFileSync("../../protocol/testdata/canon.json", "utf8")) as Vector[];
const bytes = (text: string) => new TextEncoder().encode(text);

describe("canonical JSON", () => {
  it.each(vectors)("$name", async (v) => {
    if (v.refused) {
      expect(() => transform(v.in)).toThrow();
      return;
    }
    expect(transform(v.in)).toBe(v.out);
    expect(await digest(bytes(v.out ?? ""))).toBe(v.digest);
    expect(canonicalText(parseCanonical(bytes(v.out ?? "")))).toBe(v.out);
  });

  it.each([
    '{"b":"x","a":1}',
    '{"a":1, "b":2}',
    '{"a":1}\n',
    '{"a":1}{}',
    '{"a":1e0}',
    '{"b":"\\u0078"}',
    '{"__proto__":1,"__proto__":2}',
    "[-0]",
    "[01]",
    "[1,]",
    "",
    "\ufeff{}",
  ])("refuses %j as another form", (text) => {
    expect(() => parseCanonical(bytes(text))).toThrow();
  });

  it("refuses what is no UTF-8, and what is too deep", () => {
    expect(() => parseCanonical(new Uint8Array([0x22, 0xff, 0x22]))).toThrow("UTF-8");
    expect(() => transform("[".repeat(100_000))).toThrow("deep");
  });

  it("leaves out what is undefined, and keeps a name that objects have by nature", () => {
    expect(new TextDecoder().decode(canonical({ b: undefined, a: [1, null], constructor: "x" }))).toBe(
      '{"a":[1,null],"constructor":"x"}',
    );
    expect(canonicalText(parseCanonical(bytes('{"__proto__":{"a":1}}')))).toBe('{"__proto__":{"a":1}}');
  });

  it("knows digests", async () => {
    const d = await digest(bytes("abc"));
    expect(d).toBe("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (const bad of ["", "sha256:", d.toUpperCase(), d.slice(0, 70), `${d}0`]) expect(isDigest(bad)).toBe(false);
    expect(isDigest(d)).toBe(true);
  });
});
