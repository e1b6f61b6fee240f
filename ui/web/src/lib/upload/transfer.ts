// The way of a file's parts: cut, encrypted in a worker, sent in parallel with retries, and taken up again after an interruption. Pure of
// the page: what it calls is handed in.
import type { SealedPart } from "../age/part";
import { digest } from "../canon";
import { maxParts, type Target } from "./statement";
import type { SentPart, UploadState } from "./store";

export interface Calls {
  open(key: string): Promise<{ readonly uploadId: string; readonly version: number; readonly recipient: Uint8Array }>;
  status(uploadId: string): Promise<{
    readonly state: string;
    readonly parts: readonly { readonly number: number; readonly digest: string }[];
  }>;
  put(uploadId: string, number: number, sealed: SealedPart, signal: AbortSignal): Promise<void>;
  seal(piece: Blob, recipient: string, target: Target, number: number): Promise<SealedPart>;
  /** Checks the offer and gives the recipient. */
  verify(offer: Uint8Array, target: Target): Promise<string>;
  save(state: UploadState): Promise<void>;
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export interface Progress {
  readonly done: number; // bytes of plaintext that are there
  readonly resumed: number; // of these, sent before
  readonly total: number;
  /** Waiting to try again, and why. */
  readonly waiting: string;
}

/** The upload that was begun cannot go on: another one was opened since, it was swept, or its file changed. */
export class GoneError extends Error {
  override readonly name = "GoneError";
}

/** A failure that may pass: the connection, or a server that is busy. */
export class PassingError extends Error {
  override readonly name = "PassingError";
}

export const parallel = 3; // parts under way: one is encrypted while others are sent
const smallest = 4 << 20;
const largest = 64 << 20;
const attempts = 9;
const firstWait = 500; // ms, doubled after each attempt
const longestWait = 30_000;

/** The size of parts: small enough that progress shows and an interruption costs little, large enough for any file. */
export function partSize(total: number): number {
  return Math.min(largest, Math.max(smallest, Math.ceil(total / 24)));
}

interface Piece {
  readonly file: Blob;
  readonly from: number;
  readonly to: number;
}

/** How many parts each file has. */
export function partCounts(files: readonly { readonly size: number }[], size: number): number[] {
  return files.map((f) => Math.ceil(f.size / size));
}

function piecesOf(files: readonly Blob[], size: number): Piece[] {
  const out: Piece[] = [];
  for (const file of files)
    for (let from = 0; from < file.size; from += size) out.push({ file, from, to: Math.min(file.size, from + size) });
  return out;
}

/** Opens the upload, or the one that was begun, and sends the parts that are not there yet. */
export async function transfer(
  state: UploadState,
  files: readonly Blob[],
  ledger: string,
  calls: Calls,
  signal: AbortSignal,
  report: (progress: Progress) => void,
): Promise<UploadState> {
  const pieces = piecesOf(files, state.partSize);
  if (pieces.length > maxParts)
    throw new Error(`The file has ${pieces.length} parts; at most ${maxParts} fit into one upload.`);
  const opened = await retrying(
    () => calls.open(state.key),
    calls,
    signal,
    () => undefined,
  );
  const target = targetOf(state, ledger, opened);
  if (state.target && state.target.upload !== target.upload)
    throw new GoneError("another upload of this dataset was opened since");
  const recipient = await calls.verify(opened.recipient, target);
  const parts: (SentPart | null)[] = pieces.map((_, i) => state.parts[i] ?? null);
  const now: UploadState = { ...state, target, parts };
  await calls.save(now);
  const status = await retrying(
    () => calls.status(target.upload),
    calls,
    signal,
    () => undefined,
  );
  if (status.state !== "open") {
    if (parts.every((p) => p !== null)) return now; // it was completed, and the answer got lost: completing again gives the report
    throw new GoneError(`the upload is ${status.state}`);
  }
  const there = new Set(status.parts.map((p) => `${p.number} ${p.digest}`)); // a number may be there with several digests
  const run = new Run(now, parts, pieces, recipient, there, calls, signal, report);
  await run.all();
  return { ...now, parts: [...parts] };
}

function targetOf(state: UploadState, ledger: string, opened: { uploadId: string; version: number }): Target {
  return {
    ledger,
    collaboration: state.collaboration,
    manifest: state.manifest,
    dataset: state.dataset,
    version: opened.version,
    upload: opened.uploadId,
  };
}

class Run {
  #done = 0;
  #resumed = 0;
  #waiting = "";
  #next = 0;
  readonly #total: number;

  constructor(
    private readonly state: UploadState,
    private readonly parts: (SentPart | null)[],
    private readonly pieces: readonly Piece[],
    private readonly recipient: string,
    private readonly there: ReadonlySet<string>,
    private readonly calls: Calls,
    private readonly signal: AbortSignal,
    private readonly report: (progress: Progress) => void,
  ) {
    this.#total = pieces.reduce((n, p) => n + p.to - p.from, 0);
  }

  async all(): Promise<void> {
    this.#tell();
    const lanes = Array.from({ length: Math.min(parallel, this.pieces.length) }, () => this.#lane());
    const failed = (await Promise.allSettled(lanes)).find((lane) => lane.status === "rejected");
    if (failed) throw failed.reason;
  }

  #broken = false;

  async #lane(): Promise<void> {
    try {
      while (this.#next < this.pieces.length && !this.#broken) await this.#part(this.#next++);
    } catch (cause) {
      this.#broken = true;
      throw cause;
    }
  }

  async #part(i: number): Promise<void> {
    this.signal.throwIfAborted();
    const { file, from, to } = this.pieces[i] as Piece;
    const known = this.parts[i];
    const piece = file.slice(from, to);
    if (known && this.there.has(`${i + 1} ${known.digest}`)) {
      if ((await digest(await piece.arrayBuffer())) === known.rows) {
        this.#add(to - from, true);
        return;
      }
      throw new GoneError("the file is not the one that was begun");
    }
    const target = this.state.target as Target;
    const sealed = await this.calls.seal(piece, this.recipient, target, i + 1);
    const busy = (why: string) => {
      this.#waiting = why;
      this.#tell();
    };
    await retrying(() => this.calls.put(target.upload, i + 1, sealed, this.signal), this.calls, this.signal, busy);
    this.#waiting = "";
    this.parts[i] = { ...sealed.part, rows: sealed.plain };
    await this.calls.save({ ...this.state, parts: [...this.parts] });
    this.#add(to - from, false);
  }

  #add(bytes: number, resumed: boolean): void {
    this.#done += bytes;
    if (resumed) this.#resumed += bytes;
    this.#tell();
  }

  #tell(): void {
    this.report({ done: this.#done, resumed: this.#resumed, total: this.#total, waiting: this.#waiting });
  }
}

/** Tries again what may pass, with growing waits. */
export async function retrying<T>(
  attempt: () => Promise<T>,
  { wait }: Pick<Calls, "wait">,
  signal: AbortSignal,
  busy: (why: string) => void,
): Promise<T> {
  for (let n = 1; ; n++) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (cause) {
      if (!(cause instanceof PassingError) || n === attempts) throw cause;
      busy(cause.message);
    }
    await wait(Math.min(longestWait, firstWait * 2 ** (n - 1)), signal);
  }
}
