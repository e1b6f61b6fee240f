type Scheme = "system" | "light" | "dark";

const name = "concordat-scheme";

/** Light, dark, or as the system says; kept in this browser. */
class ColourScheme {
  chosen: Scheme = $state((localStorage.getItem(name) as Scheme | null) ?? "system");

  constructor() {
    this.#apply();
  }

  choose(scheme: Scheme): void {
    this.chosen = scheme;
    localStorage.setItem(name, scheme);
    this.#apply();
  }

  #apply(): void {
    if (this.chosen === "system") document.documentElement.removeAttribute("data-scheme");
    else document.documentElement.setAttribute("data-scheme", this.chosen);
  }
}

export const scheme = new ColourScheme();
