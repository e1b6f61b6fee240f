// Standard base64 with padding (RFC 4648 section 4), in which signed objects carry bytes, and hex digits.

const alphabet = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const slice = 0x8000; // arguments that fromCharCode takes at once

/** Reads standard base64; throws unless text is the one form that toBase64 writes. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  if (!alphabet.test(text)) throw new Error(`not standard base64 with padding: ${text.slice(0, 40)}`);
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  if (!ownTail(bytes, text)) throw new Error("base64 whose last digits carry more than the bytes");
  return bytes;
}

// The last group alone can be written in several ways.
function ownTail(bytes: Uint8Array, text: string): boolean {
  const rest = bytes.length % 3;
  return rest === 0 || toBase64(bytes.subarray(bytes.length - rest)) === text.slice(-4);
}

export function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (let i = 0; i < bytes.length; i += slice) binary += String.fromCharCode(...bytes.subarray(i, i + slice));
  return btoa(binary);
}

export function toHex(bytes: Uint8Array): string {
  let hex = "";
  for (const b of bytes) hex += b.toString(16).padStart(2, "0");
  return hex;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}
