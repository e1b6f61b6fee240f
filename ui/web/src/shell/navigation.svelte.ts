import { parseRoute, type Route } from "../route";

/** Where the browser is. Links are ordinary <a href>; follow() takes them without loading the page anew. */
class Navigation {
  route: Route = $state(parseRoute(location.pathname));
  query: URLSearchParams = $state.raw(new URLSearchParams(location.search));

  constructor() {
    addEventListener("popstate", () => this.#read());
    document.addEventListener("click", (event) => this.#follow(event));
  }

  go(path: string, { replace = false } = {}): void {
    if (replace) history.replaceState(null, "", path);
    else history.pushState(null, "", path);
    this.#read();
    scrollTo(0, 0);
    // Screen readers and keyboards go on at the new page, as after a load.
    requestAnimationFrame(() => document.getElementById("page")?.focus({ preventScroll: true }));
  }

  #read(): void {
    this.route = parseRoute(location.pathname);
    this.query = new URLSearchParams(location.search);
  }

  #follow(event: MouseEvent): void {
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    const link = (event.target as Element | null)?.closest?.("a");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.hasAttribute("data-reload") || link.hash !== "" || parseRoute(link.pathname).page === "missing") return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }
}

export const navigation = new Navigation();
