import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { toBase64 } from "./base64";
import { canonicalText } from "./canon";
import { pae, parseEnvelope, payloadTypes, verifyEnvelope, writeEnvelope } from "./dsse";
import { keyText, parseKey } from "./ed25519";

interface Vector {
  readonly statement: Record<string, unknown>;
  readonly envelope: string;
}

const vectors = JSON.parse(readFileSync("../../protocol/testdata/statement.json", "utf8")) as Vector[];
const bytes = (text: string) => new TextEncoder().encode(text);

describe("DSSE", () => {
  it.each(vectors)("statement $statement.action", async ({ statement, envelope }) => {
    const e = parseEnvelope(bytes(envelope));
    const named = e.signatures.map((s) => parseKey(s.keyid));
    expect(await verifyEnvelope(e, payloadTypes.statement, named)).toEqual(named.map((k) => k.text));
    expect(new TextDecoder().decode(e.payload)).toBe(canonicalText(statement));
    expect(new TextDecoder().decode(writeEnvelope(e))).toBe(envelope);
    const other = { ...e, payload: e.payload.map((b, i) => (i === 0 ? b ^ 1 : b)) };
    await expect(verifyEnvelope(other, payloadTypes.statement, named)).rejects.toThrow("does not verify");
    await expect(verifyEnvelope(e, payloadTypes.upload, named)).rejects.toThrow("payload is");
    await expect(verifyEnvelope(e, payloadTypes.statement, [])).rejects.toThrow("no valid signature");
  });

  it("encodes type and payload with their lengths in bytes", () => {
    expect(new TextDecoder().decode(pae("ä", bytes("hello")))).toBe("DSSEv1 2 ä 5 hello");
  });
});

describe("keys", () => {
  it.each([
    ["small order", keyText(new Uint8Array(32))],
    ["small order with a sign", keyText(new Uint8Array(32).fill(0x80, 31))],
    ["second form", keyText(new Uint8Array(32).fill(0xff).fill(0x7f, 31))],
    ["short", "ed25519:AAAA"],
    ["no base64", "ed25519:%%%"],
    ["other", "rsa:AAAA"],
    ["other padding", `ed25519:${toBase64(new Uint8Array(32).fill(9)).replace(/.=$/, "l=")}`],
  ])("refuses a key: %s", (_, text) => {
    expect(() => parseKey(text)).toThrow();
  });
});
