import { describe, expect, it } from "vitest";
import {
  asCSV,
  asJSONLines,
  byTime,
  fits,
  fromHistory,
  fromLog,
  type Happening,
  type LogEntry,
  namesOf,
} from "./activity";

const leaf = (kind: string, detail?: object): LogEntry => ({
  index: 7,
  at: "2026-11-23T10:00:00Z",
  kind,
  leaf: "",
  ...(detail ? { body: btoa(JSON.stringify({ detail })) } : {}),
});
const query = fromHistory({
  query: "00",
  at: "2026-11-23T11:00:00Z",
  person: "ana@clinic.example",
  participant: "clinic",
  status: "refused",
  operation: "query",
  sql: 'SELECT id, "case.id" FROM clinic.patients',
  datasets: ["clinic.patients"],
  rho: 0,
  manifest_version: 1,
  reason: "identifier_use",
  price: [],
});

describe("timeline", () => {
  it("says events in words, and leaves queries to the history", () => {
    expect(fromLog(leaf("dataset", { dataset: "clinic.patients", version: 2, by: "dana" }))).toMatchObject({
      kind: "data version",
      who: "dana",
      what: "clinic.patients version 2",
    });
    expect(fromLog(leaf("reject", { version: 3, by: "otto", reason: "bounds" }))?.what).toBe(
      "manifest version 3: bounds",
    );
    expect(fromLog(leaf("budget_level", { owner: "clinic", namespace: "patient", level: 0.5 }))?.what).toBe(
      "clinic, patient: 50 % used",
    );
    expect(fromLog(leaf("release"))).toBeUndefined();
    expect(fromLog(leaf("some_new_kind"))?.kind).toBe("some new kind");
  });

  it("is searched by text, kind and day", () => {
    const all = { text: "", kind: "", since: "", until: "" };
    expect(fits(query, { ...all, text: "CASE.ID" })).toBe(true);
    expect(fits(query, { ...all, text: "weight" })).toBe(false);
    expect(fits(query, { ...all, since: "2026-11-24" })).toBe(false);
    expect(fits(query, { ...all, until: "2026-11-23" })).toBe(true);
    expect(fits(query, { ...all, kind: "query released" })).toBe(false);
  });

  it("leaves as CSV that no spreadsheet runs, and as JSON lines", () => {
    const evil: Happening = { ...query, who: "=HYPERLINK(1)", what: 'a "b", c' };
    expect(asCSV([evil])).toContain(',\'=HYPERLINK(1),"a ""b"", c",');
    expect(JSON.parse(asJSONLines([evil]))).toEqual({ ...evil, index: undefined });
  });
});

describe("who and when", () => {
  it("names keys by the manifest, and orders one second by the log", () => {
    const nameOf = namesOf({ participants: [{ id: "clinic", name: "", keys: ["ed25519:A"] }], people: [] } as never);
    expect(fromLog(leaf("approve", { version: 1, by: "ed25519:A" }), nameOf)?.who).toBe("clinic");
    expect(fromLog(leaf("approve", { version: 1, by: "ed25519:B" }), nameOf)?.who).toBe("ed25519:B");
    const at = (index: number | undefined): Happening => ({ ...query, at: "2026-11-23T10:00:00Z", index });
    expect([at(1), at(3), at(undefined), query, at(2)].sort(byTime).map((h) => h.index)).toEqual([
      undefined,
      undefined,
      3,
      2,
      1,
    ]);
  });
});
