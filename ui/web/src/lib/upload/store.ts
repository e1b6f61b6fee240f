// What an interrupted upload needs to go on after a reload, in IndexedDB: which files they were, under which name it was opened, what was
// sent, and what opens its ingest report. No rows.
import type { Part } from "../age/part";
import type { Digest } from "../canon";
import type { Dialect, Format, Target, Tolerance } from "./statement";

export interface SourceFile {
  readonly name: string;
  readonly size: number;
  readonly modified: number; // ms since 1970
  readonly start: Digest; // of its first MiB
}

export interface SentPart extends Part {
  readonly rows: Digest; // of the plaintext
}

export interface UploadState {
  readonly id: string; // collaboration/dataset
  readonly key: string; // idempotency key of the upload
  readonly begun: string; // RFC 3339
  readonly collaboration: string;
  readonly dataset: string;
  readonly manifest: Digest;
  readonly files: readonly SourceFile[];
  readonly partSize: number;
  readonly format: Format;
  readonly dialect: Dialect;
  readonly columns: readonly string[]; // of the file as it is sent
  /** Of a text whose columns have other names than the policy's: the header that is sent in place of its own. */
  readonly header: { readonly text: string; readonly skip: number } | null;
  readonly tolerate: Tolerance | null;
  readonly report: { readonly identity: string; readonly recipient: string };
  readonly target: Target | null;
  readonly parts: readonly (SentPart | null)[];
}

/** The report of one version and the identity that opens it. It names the values of the first errors, which are the owner's own. */
export interface ReportKey {
  readonly id: string; // collaboration/dataset/version
  readonly identity: string;
  readonly sealed: string; // base64 of an age file; empty until it came
  readonly at: number;
}

const names = { uploads: "uploads", reports: "reports" } as const;
const keptReports = 90 * 24 * 3600 * 1000; // ms

export class UploadStore {
  readonly #db: Promise<IDBDatabase>;

  constructor(name = "concordat") {
    this.#db = new Promise((resolve, reject) => {
      const request = indexedDB.open(name, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(names.uploads, { keyPath: "id" });
        request.result.createObjectStore(names.reports, { keyPath: "id" });
      };
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error ?? new Error("the browser keeps nothing for this page"));
    });
  }

  uploads(): Promise<UploadState[]> {
    return this.#run(names.uploads, "readonly", (s) => s.getAll() as IDBRequest<UploadState[]>);
  }

  async save(state: UploadState): Promise<void> {
    await this.#run(names.uploads, "readwrite", (s) => s.put(state));
  }

  async remove(id: string): Promise<void> {
    await this.#run(names.uploads, "readwrite", (s) => s.delete(id));
  }

  async saveReport(key: ReportKey): Promise<void> {
    await this.#run(names.reports, "readwrite", (s) => s.put(key));
    for (const old of await this.#run(names.reports, "readonly", (s) => s.getAll() as IDBRequest<ReportKey[]>))
      if (old.at < key.at - keptReports) await this.#run(names.reports, "readwrite", (s) => s.delete(old.id));
  }

  /** Ids of the reports that open here, also those that did not come: a coordinator keeps them for a week. */
  async reports(): Promise<string[]> {
    const all = await this.#run(names.reports, "readonly", (s) => s.getAll() as IDBRequest<ReportKey[]>);
    return all.map((r) => r.id);
  }

  report(id: string): Promise<ReportKey | undefined> {
    return this.#run(names.reports, "readonly", (s) => s.get(id) as IDBRequest<ReportKey | undefined>);
  }

  async #run<T>(name: string, mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const db = await this.#db;
    return new Promise((resolve, reject) => {
      const transaction = db.transaction(name, mode);
      const request = ask(transaction.objectStore(name));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = () => reject(transaction.error ?? request.error);
      transaction.onabort = () => reject(transaction.error ?? new Error("the browser gave the storage up"));
    });
  }
}
