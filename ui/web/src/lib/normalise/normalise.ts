// Normal forms of identifiers, as worker/token in Go computes them in the enclave; held by protocol/testdata/normalize.json. Version 1.
import { digest } from "../canon";

/** The rules of one identifier as a signed manifest has them under namespaces. */
export interface Rules {
  readonly normalize?: string;
  readonly version?: number;
  readonly options?: readonly string[];
  readonly region?: string;
  readonly prehashed?: string;
}

/** Gives the normal form, or null when the identifier has none and its row is dropped. */
export type Normaliser = (identifier: string) => Promise<string | null>;

const emailOptions = ["gmail_dots", "googlemail", "plus_tags", "plus_tags_everywhere"];
const taggers = new Set(
  "gmail.com googlemail.com outlook.com hotmail.com live.com icloud.com me.com mac.com fastmail.com proton.me protonmail.com pm.me".split(
    " ",
  ),
); // providers that deliver name+tag to name
const hashForm = /^[0-9a-fA-F]{64}$/;

/** The rule of an identifier. Throws on rules that this build does not know; loads what it needs for phone numbers. */
export async function normaliser(rules: Rules): Promise<Normaliser> {
  if ((rules.version ?? 1) !== 1) throw new Error(`normalisation of version ${rules.version} is unknown here`);
  const normalise = await wellFormed(rules);
  // No identifier is the empty text, whatever the rules: a missing value names nobody.
  return async (identifier) => (identifier === "" ? null : (await normalise(identifier)) || null);
}

async function wellFormed(rules: Rules): Promise<Normaliser> {
  switch (rules.prehashed ?? "") {
    case "":
      return plain(rules);
    case "sha256_hex":
      return async (id) => hashOf(id);
    case "sha256_hex_or_plain": {
      const inner = await plain(rules);
      return async (id) => {
        const given = hashOf(id);
        if (given !== null) return given;
        const normal = await inner(id);
        return normal === null ? null : (await digest(new TextEncoder().encode(normal))).slice("sha256:".length);
      };
    }
    default:
      throw new Error(`prehashed: ${rules.prehashed} is unknown here`);
  }
}

async function plain(rules: Rules): Promise<Normaliser> {
  const unknown = rules.options?.find((o) => !emailOptions.includes(o));
  if (unknown !== undefined) throw new Error(`option ${unknown} is unknown here`);
  switch (rules.normalize ?? "none") {
    case "none":
      return async (id) => id;
    case "trim":
      return async (id) => trim(id);
    case "lower":
      return async (id) => lower(id);
    case "email":
      return async (id) => email(id, rules.options ?? []);
    case "phone_e164":
      return phone(rules.region);
    default:
      throw new Error(`normalize: ${rules.normalize} is unknown here`);
  }
}

// Unicode's White_Space and the byte order mark; not JavaScript's trim, which lacks U+0085.
const spaceAtEnds = /^[\p{White_Space}\ufeff]+|[\p{White_Space}\ufeff]+$/gu;

const trim = (id: string): string => id.replace(spaceAtEnds, "");

/** Trims and maps each code point to its simple lower case: no context, no language. */
function lower(id: string): string {
  let out = "";
  for (const c of trim(id)) {
    out += String.fromCodePoint(c.toLowerCase().codePointAt(0) ?? 0); // of İ, whose full mapping has two code points, the first
  }
  return out;
}

function hashOf(id: string): string | null {
  const text = trim(id);
  return hashForm.test(text) ? text.toLowerCase() : null;
}

function email(id: string, options: readonly string[]): string | null {
  const text = lower(id);
  const [name, domain, ...more] = text.split("@");
  const bytes = new TextEncoder().encode(text).length;
  if (!name || domain === undefined || more.length > 0 || bytes > 254 || forbidden(text)) return null;
  const dot = domain.lastIndexOf(".");
  if (dot <= 0 || dot === domain.length - 1 || domain.startsWith(".")) return null;
  return provider(name, domain, options);
}

// What no address holds: controls and space up to U+0020, delete, and what lists of addresses are made of.
function forbidden(text: string): boolean {
  return [...text].some((c) => c <= " " || c === "\u007f" || ",;<>".includes(c));
}

/** The rules of providers, where the namespace says so. A tag goes before dots do. */
function provider(name: string, domain: string, options: readonly string[]): string | null {
  const google = domain === "gmail.com" || domain === "googlemail.com";
  let user = name;
  if (options.includes("plus_tags_everywhere") || (options.includes("plus_tags") && taggers.has(domain))) {
    const plus = user.indexOf("+");
    if (plus > 0) user = user.slice(0, plus);
  }
  if (google && options.includes("gmail_dots")) user = user.replaceAll(".", "");
  if (user === "") return null;
  return `${user}@${google && options.includes("googlemail") ? "gmail.com" : domain}`;
}

/** E.164. Without a region only numbers with their country code are taken: a national number means another person in another country. */
async function phone(region: string | undefined): Promise<Normaliser> {
  const { parsePhoneNumberFromString } = await import("libphonenumber-js/max");
  type Country = NonNullable<Parameters<typeof parsePhoneNumberFromString>[1]>;
  return async (id) => {
    let text = trim(id);
    if (new TextEncoder().encode(text).length > 64) return null;
    if (text.length > 2 && text.startsWith("00")) text = `+${text.slice(2)}`;
    const number = parsePhoneNumberFromString(text, region as Country | undefined);
    return number?.isValid() && !number.ext ? number.number : null;
  };
}
