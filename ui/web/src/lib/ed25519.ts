// Public keys of organisations and people in text, and their signatures, as protocol/key in Go: "ed25519:…" or "ssh-ed25519 …".
import { concatBytes, equalBytes, fromBase64, toBase64, toHex } from "./base64";

const plain = "ed25519:";
const ssh = "ssh-ed25519 ";
const sshType = "ssh-ed25519";
const sshHash = "sha512";
const encoder = new TextEncoder();

export interface PublicKey {
  readonly text: string; // as documents name it
  readonly raw: Uint8Array<ArrayBuffer>; // 32 bytes, RFC 8032 section 5.1.5
  readonly ssh: boolean;
}

// The points of order 1, 2, 4 and 8 without their sign: signatures verify under them for every message.
const smallOrder = new Set([
  `01${"00".repeat(31)}`,
  "00".repeat(32),
  `ec${"ff".repeat(30)}7f`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]);

/** Reads a key; throws on any other form of text, and on keys under which anyone could sign. */
export function parseKey(text: string): PublicKey {
  if (text.startsWith(ssh)) return parseSSH(text);
  if (!text.startsWith(plain)) throw new Error(`not a key: ${text.slice(0, 60)}`);
  return { text, raw: checked(fromBase64(text.slice(plain.length))), ssh: false };
}

function parseSSH(text: string): PublicKey {
  const wire = fromBase64(text.slice(ssh.length));
  const raw = checked(wire.slice(-32));
  if (!equalBytes(wire, sshWire(raw))) throw new Error("not an SSH key of type ed25519");
  return { text, raw, ssh: true };
}

function checked(raw: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (raw.length !== 32) throw new Error(`a key of ${raw.length} bytes, not 32`);
  const y = raw.slice();
  y[31] = (y[31] ?? 0) & 0x7f;
  // y of p or more is the second form of a point: p is 2^255 - 19.
  const high = y[31] === 0x7f && y.subarray(1, 31).every((b) => b === 0xff) && (y[0] ?? 0) >= 0xed;
  if (high || smallOrder.has(toHex(y))) throw new Error("a point of small order, or not in its one form");
  return raw;
}

/** The text of a key from its 32 bytes. */
export const keyText = (raw: Uint8Array): string => plain + toBase64(raw);

let native: boolean | undefined;

/** Verifies a 64 byte signature, by the browser where it knows Ed25519, else by @noble/curves. */
export async function verifyEd25519(
  key: PublicKey,
  message: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  if (signature.length !== 64) return false;
  if (native !== false) {
    try {
      const imported = await crypto.subtle.importKey("raw", key.raw, "Ed25519", false, ["verify"]);
      const ok = await crypto.subtle.verify("Ed25519", imported, signature, message);
      native = true;
      return ok;
    } catch (cause) {
      if (native === true || !(cause instanceof DOMException && cause.name === "NotSupportedError")) return false;
      native = false;
    }
  }
  const { ed25519 } = await import("@noble/curves/ed25519.js");
  try {
    return ed25519.verify(signature, message, key.raw, { zip215: false });
  } catch {
    return false;
  }
}

/** What `ssh-keygen -Y sign` makes for message in a namespace, without its armor (OpenSSH's PROTOCOL.sshsig). */
export async function verifySSH(
  key: PublicKey,
  namespace: string,
  message: Uint8Array<ArrayBuffer>,
  blob: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const head = concatBytes(
    encoder.encode("SSHSIG"),
    new Uint8Array([0, 0, 0, 1]),
    field(sshWire(key.raw)),
    field(encoder.encode(namespace)),
    field(new Uint8Array()),
    field(encoder.encode(sshHash)),
    uint32(4 + sshType.length + 4 + 64),
    field(encoder.encode(sshType)),
    uint32(64),
  );
  if (!equalBytes(blob.subarray(0, head.length), head)) return false;
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-512", message));
  const signed = concatBytes(
    encoder.encode("SSHSIG"),
    field(encoder.encode(namespace)),
    field(new Uint8Array()),
    field(encoder.encode(sshHash)),
    field(sum),
  );
  return verifyEd25519(key, signed, blob.slice(head.length));
}

const sshWire = (raw: Uint8Array) => concatBytes(field(encoder.encode(sshType)), field(raw));

/** A string of the SSH protocol (RFC 4251 section 5). */
function field(bytes: Uint8Array): Uint8Array {
  return concatBytes(uint32(bytes.length), bytes);
}

function uint32(n: number): Uint8Array {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, n);
  return out;
}
