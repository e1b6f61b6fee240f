import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { canonicalText } from "../canon";
import { verifyReceipt } from "./verify";

interface Vector {
  readonly name: string;
  readonly receipt: string;
  readonly manifest: string;
  readonly ok: boolean;
  readonly checks: Readonly<Record<string, string>>;
}

const vectors = JSON.parse(readFileSync("../../protocol/testdata/receipt.json", "utf8")) as readonly Vector[];
const bytes = (text: string) => new TextEncoder().encode(text);
const [plain] = vectors;
if (!plain) throw new Error("there are no vectors");

describe("receipts", () => {
  for (const v of vectors)
    it(`judges as Go does: ${v.name}`, async () => {
      const report = await verifyReceipt(bytes(v.receipt), { manifest: v.manifest });
      for (const c of report.checks) {
        // Evidence of hardware is the command line's to judge.
        const want = c.id === "attestation" && report.mode === "sgx" ? "open" : v.checks[c.id]?.toLowerCase();
        expect(c.state, `${c.id}: ${c.detail}`).toBe(want);
      }
      expect(report.checks.length).toBe(Object.keys(v.checks).length);
      if (report.mode === "simulation") expect(report.ok).toBe(v.ok);
    });

  it("only claims the manifest when nobody named one, and fails under another", async () => {
    const state = async (manifest?: string) =>
      (await verifyReceipt(bytes(plain.receipt), { manifest })).checks.find((c) => c.id === "manifest")?.state;
    expect(await state()).toBe("claimed");
    expect(await state(`sha256:${"0".repeat(64)}`)).toBe("failed");
  });

  // Every leaf of the JSON changed in turn: none is loose.
  it("fails when any field of any part is changed", async () => {
    const whole = JSON.parse(plain.receipt) as unknown;
    const mutants: { path: string; text: string }[] = [];
    const walk = (value: unknown, path: string, put: (changed: unknown) => unknown) => {
      if (Array.isArray(value)) {
        value.forEach((v, i) => {
          walk(v, `${path}[${i}]`, (c) => put(value.with(i, c)));
        });
        if (value.length > 0) mutants.push({ path: `${path} shortened`, text: canonicalText(put(value.slice(1))) });
        return;
      }
      if (typeof value === "object" && value !== null) {
        for (const [k, v] of Object.entries(value)) walk(v, `${path}.${k}`, (c) => put({ ...value, [k]: c }));
        return;
      }
      mutants.push({ path, text: canonicalText(put(changed(value))) });
    };
    walk(whole, "", (c) => c);
    expect(mutants.length).toBeGreaterThan(100);
    for (const m of mutants) {
      const report = await verifyReceipt(bytes(m.text), { manifest: plain.manifest });
      expect(report.ok, m.path).toBe(false);
    }
  });

  it("does not read anything but a receipt in its one form", async () => {
    for (const text of ["", "{}", "null", `${plain.receipt} `, plain.receipt.replace("{", '{"x":1,')])
      expect((await verifyReceipt(bytes(text), { manifest: plain.manifest })).ok, text.slice(0, 40)).toBe(false);
    expect((await verifyReceipt(bytes(`${plain.receipt}\n`), { manifest: plain.manifest })).ok).toBe(true);
  });
});

function changed(value: unknown): unknown {
  if (typeof value === "number") return value + 1;
  if (typeof value === "boolean") return !value;
  if (typeof value !== "string" || value === "") return "x";
  // One character in the middle, kept within the alphabets of base64 and hex.
  const i = Math.floor(value.length / 2);
  const c = value[i] === "a" ? "b" : "a";
  return value.slice(0, i) + c + value.slice(i + 1);
}
