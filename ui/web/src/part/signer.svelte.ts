import type { ToSign } from "../lib/sign";

type Envelope = Uint8Array<ArrayBuffer> | undefined;

/** One question at a time whether somebody signs; SignDialog shows it. */
export class Signer {
  asked: ToSign | undefined = $state.raw();
  #signed: Envelope;
  #answer: ((envelope: Envelope) => void) | undefined;

  /** The DSSE envelope, or undefined when it was not signed here. */
  ask(what: ToSign): Promise<Envelope> {
    this.#answer?.(undefined);
    this.#signed = undefined;
    this.asked = what;
    return new Promise((resolve) => {
      this.#answer = resolve;
    });
  }

  /** Ends the question; the answer is given once the dialog has closed, so that the next question finds it closed. */
  close(signed: Envelope): void {
    this.#signed = signed;
    this.asked = undefined;
  }

  /** The dialog has closed, by whatever way. */
  closed(): void {
    this.asked = undefined;
    this.#answer?.(this.#signed);
    this.#answer = undefined;
  }
}
