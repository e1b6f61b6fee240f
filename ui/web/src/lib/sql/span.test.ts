import { describe, expect, it } from "vitest";
import { byteLength, rangeOf, spanOf } from "./span";

describe("spans of bytes", () => {
  const text = "SELECT 'Grüße 🙂 日本' AS \"naïve\", id";

  it("lie where the same bytes lie", () => {
    for (const part of ["SELECT", "Grüße", "🙂", "日本", '"naïve"', "id"]) {
      const start = text.indexOf(part);
      const range = { start, end: start + part.length };
      const span = spanOf(text, range);
      expect(new TextDecoder().decode(new TextEncoder().encode(text).slice(span.start, span.end))).toBe(part);
      expect(rangeOf(text, span)).toEqual(range);
    }
  });

  it("stay inside the text, whatever they say", () => {
    expect(rangeOf("ab", { start: 1, end: 99 })).toEqual({ start: 1, end: 2 });
    expect(rangeOf("ab", { start: 5, end: 3 })).toEqual({ start: 2, end: 2 });
    expect(rangeOf("🙂x", { start: 2, end: 5 })).toEqual({ start: 2, end: 3 });
    expect(rangeOf("", { start: 0, end: 1 })).toEqual({ start: 0, end: 0 });
  });

  it("count bytes as UTF-8 does", () => {
    expect(byteLength("aü🙂")).toBe(7);
  });
});
