// Spans of refusals count bytes of UTF-8; editors count units of UTF-16. Pure.
import type { Span } from "../../api/json";

/** A stretch of text in units of UTF-16, end exclusive. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Where a span of bytes lies in a text. Offsets beyond the text, or inside a character, move to its nearest border. */
export function rangeOf(text: string, span: Span): Range {
  const start = unitAt(text, span.start);
  return { start, end: Math.max(start, unitAt(text, span.end)) };
}

function unitAt(text: string, bytes: number): number {
  let seen = 0;
  let at = 0;
  while (at < text.length && seen < bytes) {
    const point = text.codePointAt(at) ?? 0;
    seen += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    at += point > 0xffff ? 2 : 1;
  }
  return at;
}

/** The bytes of a stretch of text. */
export function spanOf(text: string, range: Range): Span {
  const start = byteLength(text.slice(0, range.start));
  return { start, end: start + byteLength(text.slice(range.start, range.end)) };
}

export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
