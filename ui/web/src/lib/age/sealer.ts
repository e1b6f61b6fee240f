import type { PartHeader, SealedPart } from "./part";
import type { SealAnswer, SealRequest } from "./worker";

interface Waiting {
  readonly resolve: (sealed: SealedPart) => void;
  readonly reject: (cause: unknown) => void;
}

/** Encrypts parts in Web Workers, as many at once as there are workers. close() ends them and with them what is under way. */
export class Sealer {
  readonly #workers: Worker[] = [];
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;

  constructor(workers = Math.max(1, Math.min(2, navigator.hardwareConcurrency - 1))) {
    for (let i = 0; i < workers; i++) {
      const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "concordat-seal" });
      worker.addEventListener("message", (event: MessageEvent<SealAnswer>) => this.#answer(event.data));
      worker.addEventListener("error", (event) =>
        this.#fail(new Error(event.message || "The encryption could not be started.")),
      );
      this.#workers.push(worker);
    }
  }

  get workers(): number {
    return this.#workers.length;
  }

  seal(piece: Blob, recipient: string, header: PartHeader): Promise<SealedPart> {
    const id = this.#next++;
    const worker = this.#workers[id % this.#workers.length];
    return new Promise((resolve, reject) => {
      if (!worker) {
        reject(new Error("the sealer is closed"));
        return;
      }
      this.#waiting.set(id, { resolve, reject });
      worker.postMessage({ id, piece, recipient, header } satisfies SealRequest);
    });
  }

  close(): void {
    for (const w of this.#workers.splice(0)) w.terminate();
    this.#fail(new DOMException("the upload was stopped", "AbortError"));
  }

  #answer(answer: SealAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ("sealed" in answer) waiting?.resolve(answer.sealed);
    else waiting?.reject(new Error(answer.fault));
  }

  #fail(cause: unknown): void {
    for (const w of this.#waiting.values()) w.reject(cause);
    this.#waiting.clear();
  }
}
