import { describe, expect, it } from "vitest";
import { digest } from "../canon";
import { Rate } from "./rate";
import type { UploadState } from "./store";
import { type Calls, GoneError, PassingError, partCounts, partSize, transfer } from "./transfer";

const rows = new TextEncoder().encode("0123456789");
const never = new AbortController().signal;
const begun = (over: Partial<UploadState> = {}): UploadState => ({
  id: "c/d",
  key: "k1",
  begun: "2026-11-23T12:00:00Z",
  collaboration: "c",
  dataset: "d",
  manifest: `sha256:${"0".repeat(64)}`,
  files: [],
  partSize: 4,
  format: "csv",
  dialect: {},
  columns: ["a"],
  header: null,
  tolerate: null,
  report: { identity: "", recipient: "" },
  target: null,
  parts: [],
  ...over,
});

/** A mesh in memory; what is put stays there. */
function mesh(over: Partial<Calls> = {}) {
  const there = new Map<number, string>();
  const log: string[] = [];
  let state = begun();
  const calls: Calls = {
    open: async (key) => ({ uploadId: `u-${key}`, version: 3, recipient: new Uint8Array() }),
    status: async () => ({ state: "open", parts: [...there].map(([number, d]) => ({ number, digest: d })) }),
    verify: async () => "age1pq1",
    seal: async (piece, _recipient, target, number) => {
      const plain = new Uint8Array(await piece.arrayBuffer());
      log.push(`seal ${number}`);
      const ciphertext = new TextEncoder().encode(`${target.upload}/${number}/${new TextDecoder().decode(plain)}`);
      const part = { digest: await digest(ciphertext), size: ciphertext.length, plain: plain.length };
      return { ciphertext, part, plain: await digest(plain) };
    },
    put: async (_upload, number, sealed) => {
      there.set(number, sealed.part.digest);
      log.push(`put ${number}`);
    },
    save: async (s) => {
      state = s;
    },
    wait: async () => undefined,
    ...over,
  };
  return { calls, there, log, saved: () => state };
}

describe("a transfer", () => {
  it("sends all parts, of several files, in the order in which the statement names them", async () => {
    const m = mesh();
    const told: number[] = [];
    const out = await transfer(begun(), [new Blob([rows]), new Blob([rows.slice(0, 5)])], "l", m.calls, never, (p) =>
      told.push(p.done),
    );
    expect(out.parts.map((p) => p?.plain)).toEqual([4, 4, 2, 4, 1]);
    expect(out.parts.map((p) => p?.digest)).toEqual([1, 2, 3, 4, 5].map((n) => m.there.get(n)));
    expect(out.target).toMatchObject({ ledger: "l", version: 3, upload: "u-k1" });
    expect(told.at(-1)).toBe(15);
    expect(m.saved().parts).toHaveLength(5);
  });

  it("goes on with what is missing, and reads again what is there", async () => {
    const m = mesh();
    const whole = await transfer(begun(), [new Blob([rows])], "l", m.calls, never, () => undefined);
    m.there.delete(2);
    m.log.length = 0;
    const seen: number[] = [];
    const again = await transfer(whole, [new Blob([rows])], "l", m.calls, never, (p) => seen.push(p.resumed));
    expect(m.log).toEqual(["seal 2", "put 2"]);
    expect(seen.at(-1)).toBe(6);
    expect(again.parts).toEqual(whole.parts);
  });

  it("sends nothing again that is there beside an earlier try", async () => {
    const m = mesh();
    const whole = await transfer(begun(), [new Blob([rows])], "l", m.calls, never, () => undefined);
    const { parts } = await m.calls.status("");
    m.calls.status = async () => ({ state: "open", parts: [...parts, { number: 1, digest: "sha256:earlier" }] });
    m.log.length = 0;
    await transfer(whole, [new Blob([rows])], "l", m.calls, never, () => undefined);
    expect(m.log).toEqual([]);
  });

  it("notices another file, another upload, and one that is gone", async () => {
    const m = mesh();
    const whole = await transfer(begun(), [new Blob([rows])], "l", m.calls, never, () => undefined);
    const other = new Blob(["0123x56789"]);
    await expect(transfer(whole, [other], "l", m.calls, never, () => undefined)).rejects.toThrow("not the one");
    const opened = mesh({ open: async () => ({ uploadId: "u-other", version: 4, recipient: new Uint8Array() }) });
    await expect(transfer(whole, [new Blob([rows])], "l", opened.calls, never, () => undefined)).rejects.toThrow(
      GoneError,
    );
    const closed = mesh({ status: async () => ({ state: "closed", parts: [] }) });
    await expect(transfer(begun(), [new Blob([rows])], "l", closed.calls, never, () => undefined)).rejects.toThrow(
      "closed",
    );
    expect(await transfer(whole, [new Blob([rows])], "l", closed.calls, never, () => undefined)).toEqual(whole);
  });

  it("tries again what may pass, waits longer each time, and gives up on what does not", async () => {
    const waits: number[] = [];
    let failures = 3;
    const put: Calls["put"] = async () => {
      if (failures-- > 0) throw new PassingError("busy");
    };
    const m = mesh({ put, wait: async (ms) => void waits.push(ms) });
    await transfer(begun({ partSize: 100 }), [new Blob([rows])], "l", m.calls, never, () => undefined);
    expect(waits).toEqual([500, 1000, 2000]);
    const refused = mesh({
      put: async () => {
        throw new Error("the part is refused");
      },
    });
    await expect(transfer(begun(), [new Blob([rows])], "l", refused.calls, never, () => undefined)).rejects.toThrow(
      "refused",
    );
    const away = mesh({
      put: async () => {
        throw new PassingError("busy");
      },
    });
    await expect(transfer(begun(), [new Blob([rows])], "l", away.calls, never, () => undefined)).rejects.toThrow(
      "busy",
    );
  });

  it("stops when it is told to, and keeps what was sent", async () => {
    const stop = new AbortController();
    const m = mesh();
    const put: Calls["put"] = async (...args) => {
      await m.calls.put(...args);
      if (m.there.size === 2) stop.abort();
    };
    const long = new Blob(["x".repeat(100)]);
    await expect(transfer(begun(), [long], "l", { ...m.calls, put }, stop.signal, () => undefined)).rejects.toThrow();
    expect(m.saved().parts.filter((p) => p !== null).length).toBeGreaterThanOrEqual(2);
    expect(m.there.size).toBeLessThan(25);
  });

  it("never sends to a recipient that was not verified", async () => {
    const m = mesh({
      verify: async () => {
        throw new Error("the root certificate is another");
      },
    });
    await expect(transfer(begun(), [new Blob([rows])], "l", m.calls, never, () => undefined)).rejects.toThrow(
      "root certificate",
    );
    expect(m.log).toEqual([]);
  });
});

it("cuts files so that any fits", () => {
  expect(partSize(10)).toBe(4 << 20);
  expect(partSize(480 << 20)).toBe(20 << 20);
  expect(partSize(2 ** 40)).toBe(64 << 20);
  expect(partCounts([{ size: 10 }, { size: 4 }], 4)).toEqual([3, 1]);
});

it("measures the last seconds", () => {
  const r = new Rate(1000);
  expect(r.perSecond).toBe(0);
  r.note(0, 0);
  r.note(500, 100);
  expect(r.perSecond).toBe(200);
  for (let t = 1000; t <= 4000; t += 500) r.note(t, 100);
  expect(r.perSecond).toBe(0);
});
