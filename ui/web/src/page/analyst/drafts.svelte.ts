import { definitionsFor, type Parameter } from "../../lib/sql/parameter";

/** A text that is being written, with the values of its parameters. Results are never kept. */
export interface Draft {
  id: string;
  name: string;
  sql: string;
  /** A lower price for each aggregate than the policies say; empty: theirs. */
  rho: string;
  parameters: readonly Parameter[];
  values: Record<string, string>;
  /** The saved query that it came from. */
  saved: string;
}

const settle = 300; // ms from the last change to keeping it
const most = 12;

/** The drafts of one person in one collaboration, kept in this browser alone. */
export class Drafts {
  list: Draft[] = $state([]);
  chosen = $state("");
  /** Why nothing is kept, if the browser does not let us. */
  fault = $state("");
  #key: string;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(collaboration: string, person: string) {
    this.#key = `concordat-drafts/${collaboration}/${person}`;
    this.list = this.#read();
    if (this.list.length === 0) this.list = [empty("Query 1")];
    this.chosen = localStorage.getItem(`${this.#key}/chosen`) ?? "";
    if (!this.list.some((d) => d.id === this.chosen)) this.chosen = this.list[0]?.id ?? "";
  }

  get current(): Draft {
    return this.list.find((d) => d.id === this.chosen) ?? (this.list[0] as Draft);
  }

  /** Adds a draft and chooses it. One that is still empty is taken for it. */
  add(content: Partial<Draft> = {}): Draft {
    const blank = this.list.find((d) => d.sql.trim() === "");
    const draft = { ...empty(content.name || this.#freeName()), ...content, id: blank?.id ?? crypto.randomUUID() };
    draft.name ||= this.#freeName();
    if (blank) this.list = this.list.map((d) => (d === blank ? draft : d));
    else this.list = [...this.list, draft].slice(-most);
    this.chosen = draft.id;
    this.keep();
    return this.current;
  }

  remove(id: string): void {
    const at = this.list.findIndex((d) => d.id === id);
    this.list = this.list.filter((d) => d.id !== id);
    if (this.list.length === 0) this.list = [empty("Query 1")];
    if (this.chosen === id) this.chosen = this.list[Math.min(at, this.list.length - 1)]?.id ?? "";
    this.flush([id]);
  }

  /** Keeps what has changed, a moment later. */
  keep(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.flush(), settle);
  }

  /** Keeps it now. Drafts that other windows added stay, those that were removed here go. */
  flush(removed: readonly string[] = []): void {
    clearTimeout(this.#timer);
    const ours = new Set(this.list.map((d) => d.id));
    const others = this.#read().filter((d) => !ours.has(d.id) && !removed.includes(d.id) && d.sql.trim() !== "");
    try {
      localStorage.setItem(this.#key, JSON.stringify([...this.list, ...others].slice(0, most)));
      localStorage.setItem(`${this.#key}/chosen`, this.chosen);
      this.fault = "";
    } catch {
      this.fault = "This browser keeps no drafts: its storage is full or switched off. Copy what you want to keep.";
    }
  }

  #freeName(): string {
    let n = 1;
    while (this.list.some((d) => d.name === `Query ${n}`)) n++;
    return `Query ${n}`;
  }

  #read(): Draft[] {
    try {
      const list: unknown = JSON.parse(localStorage.getItem(this.#key) ?? "[]");
      return Array.isArray(list) ? list.flatMap((d) => readDraft(d) ?? []) : [];
    } catch {
      return [];
    }
  }
}

function empty(name: string): Draft {
  return { id: crypto.randomUUID(), name, sql: "", rho: "", parameters: [], values: {}, saved: "" };
}

// What an older build kept may have another shape.
function readDraft(raw: unknown): Draft | undefined {
  if (typeof raw !== "object" || raw === null) return undefined;
  const d = raw as Partial<Draft>;
  if (typeof d.id !== "string" || typeof d.sql !== "string") return undefined;
  const parameters = Array.isArray(d.parameters) ? definitionsFor(d.sql, d.parameters) : [];
  return {
    ...empty(String(d.name ?? "Query")),
    id: d.id,
    sql: d.sql,
    rho: String(d.rho ?? ""),
    parameters,
    values: d.values ?? {},
    saved: String(d.saved ?? ""),
  };
}

/** The address that opens a text in the editor. Browsers send what follows the # to nobody. */
export function shareLink(origin: string, path: string, sql: string): string {
  return `${origin}${path}#sql=${encodeURIComponent(sql)}`;
}

/** The text of such an address. */
export function sharedText(hash: string): string | undefined {
  if (!hash.startsWith("#sql=")) return undefined;
  try {
    return decodeURIComponent(hash.slice("#sql=".length));
  } catch {
    return undefined;
  }
}
