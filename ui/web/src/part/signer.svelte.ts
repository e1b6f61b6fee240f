import type { ToSign } from "../lib/sign";

/** One question at a time whether somebody signs; SignDialog shows it. */
export class Signer {
  asked: ToSign | undefined = $state.raw();
  #answer: ((envelope: Uint8Array<ArrayBuffer> | undefined) => void) | undefined;

  /** The DSSE envelope, or undefined when it was not signed here. */
  ask(what: ToSign): Promise<Uint8Array<ArrayBuffer> | undefined> {
    this.answer(undefined);
    this.asked = what;
    return new Promise((resolve) => {
      this.#answer = resolve;
    });
  }

  answer(envelope: Uint8Array<ArrayBuffer> | undefined): void {
    this.asked = undefined;
    this.#answer?.(envelope);
    this.#answer = undefined;
  }
}
