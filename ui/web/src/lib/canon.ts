// Canonical JSON (RFC 8785), the one form of bytes that signed and hashed objects have, and their digests. As protocol/canon in Go:
// parseCanonical accepts exactly the bytes that canonical would write for the value that it read.

/** "sha256:" and 64 lower-case hex digits. */
export type Digest = `sha256:${string}`;

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json | undefined };

const maxDepth = 64;
const half = /\p{Surrogate}/u; // of a pair, alone

/** Says why text is not JSON, or not the canonical form of it. */
export class CanonError extends Error {
  override readonly name = "CanonError";
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The canonical JSON of a value as bytes. Fields that are undefined are left out. */
export function canonical(value: unknown): Uint8Array<ArrayBuffer> {
  return encoder.encode(write(value, 0));
}

export function canonicalText(value: unknown): string {
  return write(value, 0);
}

/** Brings JSON into canonical form. Repeated names, lone surrogates and numbers that a double does not carry are refused. */
export function transform(text: string): string {
  return write(parseStrict(text), 0);
}

/** Reads canonical JSON; anything that would be written differently is refused. */
export function parseCanonical<T>(bytes: Uint8Array): T {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    throw new CanonError("not UTF-8");
  }
  const value = parseStrict(text);
  const again = write(value, 0);
  if (again !== text)
    throw new CanonError(`not canonical JSON (RFC 8785): differs from its own form at ${differ(text, again)}`);
  return value as T;
}

/** SHA-256 in text. */
export async function digest(bytes: Uint8Array<ArrayBuffer> | ArrayBuffer): Promise<Digest> {
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return `sha256:${Array.from(sum, (b) => b.toString(16).padStart(2, "0")).join("")}`;
}

export function isDigest(text: unknown): text is Digest {
  return typeof text === "string" && /^sha256:[0-9a-f]{64}$/.test(text);
}

function differ(a: string, b: string): number {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return i;
}

function write(value: unknown, depth: number): string {
  if (depth > maxDepth) throw new CanonError("nested too deeply");
  switch (typeof value) {
    case "string":
      if (half.test(value)) throw new CanonError("text with half of a surrogate pair");
      return JSON.stringify(value);
    case "number":
      if (!Number.isFinite(value)) throw new CanonError("a number that JSON does not have");
      return JSON.stringify(value); // ECMAScript's form of numbers is RFC 8785's
    case "boolean":
      return value ? "true" : "false";
    case "object":
      if (value === null) return "null";
      if (Array.isArray(value)) return `[${value.map((v) => write(v, depth + 1)).join(",")}]`;
      return writeObject(value as Record<string, unknown>, depth);
    default:
      throw new CanonError(`a ${typeof value} has no JSON`);
  }
}

function writeObject(object: Record<string, unknown>, depth: number): string {
  const names = Object.keys(object).filter((name) => object[name] !== undefined);
  names.sort(); // by UTF-16 code units, as RFC 8785 section 3.2.3 says
  return `{${names.map((name) => `${write(name, depth)}:${write(object[name], depth + 1)}`).join(",")}}`;
}

/** Reads JSON as RFC 8259 has it, and refuses what JSON.parse lets pass: names that come twice, digits that a double does not keep. */
export function parseStrict(text: string): Json {
  const parser = new Parser(text);
  const value = parser.value(0);
  parser.end();
  return value;
}

// The shortest digits that name a double, without an exponent.
function digits(n: number): string {
  const [mantissa = "", exponent] = String(n).split("e+");
  if (exponent === undefined) return mantissa;
  const [whole = "", fraction = ""] = mantissa.split(".");
  return whole + fraction.padEnd(Number(exponent), "0");
}

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const text = /"(?:[^"\\]|\\.)*"/sy;
const space = /[ \t\n\r]*/y;

class Parser {
  #at = 0;
  readonly #in: string;

  constructor(input: string) {
    this.#in = input;
  }

  value(depth: number): Json {
    if (depth > maxDepth) throw this.#wrong("nested too deeply");
    this.#match(space);
    switch (this.#in[this.#at]) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#array(depth);
      case '"':
        return this.#string();
      case "t":
        return this.#word("true", true);
      case "f":
        return this.#word("false", false);
      case "n":
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  end(): void {
    this.#match(space);
    if (this.#at < this.#in.length) throw this.#wrong("bytes after the value");
  }

  #object(depth: number): Json {
    const out: Record<string, Json> = Object.create(null) as Record<string, Json>;
    this.#list("}", () => {
      this.#match(space);
      const name = this.#string();
      if (name in out) throw this.#wrong(`the name ${JSON.stringify(name)} comes twice`);
      this.#expect(":");
      out[name] = this.value(depth + 1);
    });
    return out;
  }

  #array(depth: number): Json {
    const out: Json[] = [];
    this.#list("]", () => out.push(this.value(depth + 1)));
    return out;
  }

  #list(end: string, item: () => void): void {
    this.#at++;
    this.#match(space);
    if (this.#in[this.#at] === end) {
      this.#at++;
      return;
    }
    for (;;) {
      item();
      this.#match(space);
      const c = this.#in[this.#at++];
      if (c === end) return;
      if (c !== ",") throw this.#wrong(`neither , nor ${end}`);
    }
  }

  #string(): string {
    const raw = this.#match(text);
    if (raw === undefined) throw this.#wrong("no text in quotes");
    let out: string;
    try {
      out = JSON.parse(raw) as string;
    } catch {
      throw this.#wrong("text with a character that has to be escaped");
    }
    if (half.test(out)) throw this.#wrong("half of a surrogate pair");
    return out;
  }

  #number(): number {
    const raw = this.#match(number);
    if (raw === undefined) throw this.#wrong("no JSON value");
    const n = Number(raw);
    if (!Number.isFinite(n)) throw this.#wrong("a number that does not fit a double");
    // An integer counts only with all its digits: 9007199254740993 would silently become another one.
    if (/^-?\d+$/.test(raw) && raw !== "-0" && digits(n) !== raw)
      throw this.#wrong("an integer that loses digits as a double");
    return n;
  }

  #word<T>(word: string, value: T): T {
    if (!this.#in.startsWith(word, this.#at)) throw this.#wrong("no JSON value");
    this.#at += word.length;
    return value;
  }

  #expect(c: string): void {
    this.#match(space);
    if (this.#in[this.#at++] !== c) throw this.#wrong(`no ${c}`);
  }

  #match(form: RegExp): string | undefined {
    form.lastIndex = this.#at;
    const found = form.exec(this.#in)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #wrong(what: string): CanonError {
    return new CanonError(`JSON at character ${this.#at}: ${what}`);
  }
}
