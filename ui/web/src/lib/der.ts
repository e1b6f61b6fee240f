// Strict reading of DER (X.690), as far as certificates need it: definite lengths in their shortest form, nothing after the value.

export interface Element {
  readonly tag: number;
  readonly content: Uint8Array<ArrayBuffer>;
  /** The element with its tag and length: what signatures are over. */
  readonly whole: Uint8Array<ArrayBuffer>;
}

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  sequence: 0x30,
} as const;

/** Reads all elements of a constructed value. */
export function elements(bytes: Uint8Array<ArrayBuffer>): Element[] {
  const out: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] as number;
    if ((tag & 0x1f) === 0x1f) throw new Error("DER: a tag of several bytes");
    const [length, head] = lengthAt(bytes, at + 1);
    const end = at + 1 + head + length;
    if (end > bytes.length) throw new Error("DER: cut off");
    out.push({ tag, content: bytes.subarray(at + 1 + head, end), whole: bytes.subarray(at, end) });
    at = end;
  }
  return out;
}

function lengthAt(bytes: Uint8Array, at: number): [length: number, head: number] {
  const first = bytes[at];
  if (first === undefined) throw new Error("DER: cut off");
  if (first < 0x80) return [first, 1];
  const count = first & 0x7f;
  if (count === 0 || count > 3) throw new Error("DER: a length that certificates do not have");
  let length = 0;
  for (let i = 1; i <= count; i++) {
    const b = bytes[at + i];
    if (b === undefined) throw new Error("DER: cut off");
    length = length * 256 + b;
  }
  if (length < 0x80 || length < 256 ** (count - 1)) throw new Error("DER: a length that is not in its shortest form");
  return [length, 1 + count];
}

/** The one element in bytes, of this tag. */
export function single(bytes: Uint8Array<ArrayBuffer>, tag: number): Element {
  const [only, ...more] = elements(bytes);
  if (!only || more.length > 0 || only.tag !== tag) throw new Error(`DER: want one element of tag ${tag}`);
  return only;
}

/** The next element of a list that has to be of this tag. */
export function take(list: Element[], tag: number): Element {
  const next = list.shift();
  if (next?.tag !== tag) throw new Error(`DER: tag ${next?.tag ?? "none"}, want ${tag}`);
  return next;
}

/** An object identifier in dots. */
export function oid(content: Uint8Array): string {
  const numbers: number[] = [];
  let n = 0;
  for (const [i, b] of content.entries()) {
    if (n === 0 && b === 0x80) throw new Error("DER: an object identifier that is not in its shortest form");
    n = n * 128 + (b & 0x7f);
    if (n > Number.MAX_SAFE_INTEGER) throw new Error("DER: an object identifier that is too long");
    if ((b & 0x80) === 0) {
      if (numbers.length === 0) numbers.push(Math.min(2, Math.floor(n / 40)), n - 40 * Math.min(2, Math.floor(n / 40)));
      else numbers.push(n);
      n = 0;
    } else if (i === content.length - 1) throw new Error("DER: cut off");
  }
  return numbers.join(".");
}

/** The bytes of a bit string of whole bytes. */
export function bits(element: Element): Uint8Array<ArrayBuffer> {
  if (element.tag !== tags.bitString || element.content[0] !== 0)
    throw new Error("DER: not a bit string of whole bytes");
  return element.content.subarray(1);
}
