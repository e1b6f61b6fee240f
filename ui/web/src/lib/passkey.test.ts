import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { canonical } from "./canon";
import { parseEnvelope, payloadTypes, verifyEnvelope } from "./dsse";
import { parsePasskey, passkeyVerifier } from "./passkey";

interface Vector {
  readonly name: string;
  readonly key: string;
  readonly envelope: unknown;
  readonly valid: boolean;
}

const vectors = JSON.parse(readFileSync("../../protocol/testdata/webauthn.json", "utf8")) as readonly Vector[];

describe("passkeys", () => {
  for (const v of vectors)
    it(`judge as Go does: ${v.name}`, async () => {
      const verified = (async () => {
        const key = passkeyVerifier(parsePasskey(v.key));
        return verifyEnvelope(parseEnvelope(canonical(v.envelope)), payloadTypes.statement, [key]);
      })();
      if (v.valid) expect(await verified).toEqual([v.key]);
      else await expect(verified).rejects.toThrow();
    });

  it("have one form of text", () => {
    const good = vectors[0]?.key ?? "";
    expect(parsePasskey(good).text).toBe(good);
    for (const bad of [
      good.replace("webauthn:", ""),
      good.replace("room.example", "Room.example"),
      good.replace("room.example", "10.0.0.1"),
      `${good}=`,
      good.replace(":B", ":A"),
    ])
      expect(() => parsePasskey(bad), bad).toThrow();
  });
});
