// Times and numbers as the reader's own language writes them.

const locale = typeof navigator === "undefined" ? "en" : navigator.language;
const numbers = new Intl.NumberFormat(locale, { maximumFractionDigits: 4 });
const integers = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const percents = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });
const moments = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const days = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeZone: "UTC" });
const sizes = ["B", "kB", "MB", "GB", "TB"] as const;

export const formatNumber = (value: number): string => numbers.format(value);
export const formatInteger = (value: number): string => integers.format(value);
export const formatPercent = (share: number): string => percents.format(share);

/** A moment in RFC 3339, in local time; text that is none stays as it is. */
export function formatMoment(text: string): string {
  const at = Date.parse(text);
  return Number.isNaN(at) ? text : moments.format(at);
}

/** A day as YYYY-MM-DD. */
export function formatDay(text: string): string {
  const at = Date.parse(text);
  return Number.isNaN(at) ? text : days.format(at);
}

/** A size in bytes, in powers of 1000. */
export function formatBytes(size: number): string {
  let unit = 0;
  let value = size;
  while (value >= 1000 && unit < sizes.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0 }).format(value)} ${sizes[unit]}`;
}

/** Seconds as words, for instance "1 min 20 s". */
export function formatDuration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

/** A digest shortened for reading; the whole one belongs into a title or beside a copy button. */
export function shortDigest(digest: string): string {
  const hex = digest.replace(/^sha256:/, "");
  return hex.length > 16 ? `${hex.slice(0, 8)}…${hex.slice(-4)}` : hex;
}

/** A number with its noun, for instance "1 check" or "3 checks". */
export function count(n: number, noun: string): string {
  return `${formatInteger(n)} ${noun}${n === 1 ? "" : "s"}`;
}
