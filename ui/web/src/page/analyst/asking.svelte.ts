import { api } from "../../api/clients";
import { isCancelled } from "../../api/fault";
import { type Answer, readJson } from "../../api/json";

export const phases = ["analyse", "reserve", "execute", "record"] as const;
export type Phase = (typeof phases)[number];

export interface Question {
  readonly collaboration: string;
  readonly sql: string;
  readonly rho: number;
}

/** One run of a query, from the click to the answer, and what came of it. */
export class Asking {
  state: "idle" | "running" | "answered" | "cancelled" | "fault" = $state("idle");
  phase: Phase | undefined = $state();
  begun = $state(0); // ms since the page was loaded
  took = $state(0); // ms
  question: Question | undefined = $state.raw();
  answer: Answer | undefined = $state.raw();
  /** The answer and the receipt as they came. */
  bytes: Uint8Array = $state.raw(new Uint8Array());
  receipt: Uint8Array = $state.raw(new Uint8Array());
  fault: unknown = $state.raw();
  #key = "";
  #call: AbortController | undefined;

  async run(question: Question): Promise<void> {
    this.#key = crypto.randomUUID();
    await this.#ask(question);
  }

  /** Asks again under the same key: to the mesh it is the same request, which is paid once. */
  async again(): Promise<void> {
    if (this.question) await this.#ask(this.question);
  }

  cancel(): void {
    if (this.state !== "running") return;
    this.#call?.abort();
    this.state = "cancelled";
  }

  /** Whether the price may have been reserved when the run ended early. */
  get maybePaid(): boolean {
    return this.phase !== undefined && this.phase !== "analyse";
  }

  async #ask(question: Question): Promise<void> {
    this.#call?.abort();
    const call = new AbortController();
    this.#call = call;
    Object.assign(this, { question, state: "running", phase: undefined, fault: undefined, begun: performance.now() });
    try {
      const request = { ...question, idempotencyKey: this.#key };
      for await (const event of api.analyst.query(request, { signal: call.signal })) {
        if (call.signal.aborted) return;
        if (event.event.case === "phase") this.phase = phases.find((p) => p === event.event.value) ?? this.phase;
        if (event.event.case === "answer") this.#take(event.event.value, event.receipt);
      }
      if (this.state === "running") throw new TypeError("network: the answer broke off");
    } catch (cause) {
      if (call.signal.aborted || isCancelled(cause)) return;
      this.fault = cause;
      this.state = "fault";
    }
  }

  #take(bytes: Uint8Array, receipt: Uint8Array): void {
    this.answer = readJson<Answer>(bytes);
    this.bytes = bytes;
    this.receipt = receipt;
    this.took = performance.now() - this.begun;
    this.state = "answered";
  }
}
