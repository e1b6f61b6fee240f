/** How fast something goes, over the last seconds, so that a stall shows and a pause does not count. */
export class Rate {
  readonly #window: number;
  #points: { readonly at: number; readonly done: number }[] = [];

  constructor(window = 8_000) {
    this.#window = window;
  }

  /** Notes that `done` were done at `at` (ms). */
  note(at: number, done: number): void {
    this.#points.push({ at, done });
    const first = this.#points.findLastIndex((p) => p.at <= at - this.#window);
    if (first > 0) this.#points = this.#points.slice(first);
  }

  /** Forgets what was, as after a pause. */
  reset(): void {
    this.#points = [];
  }

  /** A second, or 0 while nothing can be said. */
  get perSecond(): number {
    const [first, last] = [this.#points[0], this.#points.at(-1)];
    if (!first || !last || last.at === first.at) return 0;
    return ((last.done - first.done) * 1000) / (last.at - first.at);
  }
}
