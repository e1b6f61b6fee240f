// Released numbers as people read them: with as many digits as their interval means. Pure.
import type { Cell, Interval } from "../../api/json";

export interface Released {
  readonly value: string;
  /** "± 34", where both sides are alike; else empty. */
  readonly spread: string;
  /** "8,193 to 8,261"; empty without an interval. */
  readonly range: string;
}

/** A value of a release with its interval. Keys have none. */
export function released(value: Cell, interval: Interval, locale: string): Released {
  if (typeof value !== "number") return { value: value === null ? "" : String(value), spread: "", range: "" };
  if (!interval) return { value: write(value, Number.isInteger(value) ? 0 : 4, locale), spread: "", range: "" };
  const [low, high] = interval;
  const half = (high - low) / 2;
  const digits = Number.isInteger(value) && Number.isInteger(low) && Number.isInteger(high) ? 0 : digitsFor(half);
  const even = Math.abs((high + low) / 2 - value) <= half * 0.02;
  return {
    value: write(value, digits, locale),
    spread: even ? `± ${write(half, digits, locale)}` : "",
    range: `${write(low, digits, locale)} to ${write(high, digits, locale)}`,
  };
}

/** Decimal places that give a width two significant digits. */
export function digitsFor(width: number): number {
  if (!(width > 0) || !Number.isFinite(width)) return 4;
  return Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(width))));
}

function write(value: number, digits: number, locale: string): string {
  return new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}
