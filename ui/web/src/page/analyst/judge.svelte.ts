import { api } from "../../api/clients";
import { isCancelled } from "../../api/fault";
import { type Answer, readJson } from "../../api/json";

const pause = 250; // ms without a key before the text is judged

/** The verdict on a text while it is being written. Each question ends the one before. */
export class Judge {
  /** What was judged; the answer is about this text and no other. */
  sql = $state("");
  answer: Answer | undefined = $state.raw();
  fault: unknown = $state.raw();
  busy = $state(false);
  #collaboration: string;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #call: AbortController | undefined;

  constructor(collaboration: string) {
    this.#collaboration = collaboration;
  }

  /** Asks about a text, a moment later. */
  ask(sql: string, rho: number, soon = false): void {
    this.stop();
    if (sql.trim() === "") {
      this.answer = undefined;
      this.fault = undefined;
      return;
    }
    this.busy = true;
    this.#timer = setTimeout(() => void this.#judge(sql, rho), soon ? 0 : pause);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#call?.abort();
    this.busy = false;
  }

  async #judge(sql: string, rho: number): Promise<void> {
    const call = new AbortController();
    this.#call = call;
    try {
      const request = { collaboration: this.#collaboration, sql, rho, explain: true };
      for await (const event of api.analyst.query(request, { signal: call.signal })) {
        if (event.event.case !== "answer" || call.signal.aborted) continue;
        this.answer = readJson<Answer>(event.event.value);
        this.sql = sql;
        this.fault = undefined;
      }
    } catch (cause) {
      if (!isCancelled(cause) && !call.signal.aborted) {
        this.fault = cause;
        this.answer = undefined;
      }
    } finally {
      if (this.#call === call) this.busy = false;
    }
  }
}
