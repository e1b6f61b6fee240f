import type { Seen } from "../../lib/mesh";

const prefix = "concordat-log-";

/** What this browser saw of a ledger's log, if anything. */
export function readSeen(ledger: string): Seen | undefined {
  const text = localStorage.getItem(prefix + ledger);
  if (!text) return undefined;
  const seen = JSON.parse(text) as Partial<Seen>;
  return typeof seen.size === "number" && typeof seen.root === "string"
    ? { size: seen.size, root: seen.root }
    : undefined;
}

export function writeSeen(ledger: string, seen: Seen): void {
  localStorage.setItem(prefix + ledger, JSON.stringify(seen));
}
