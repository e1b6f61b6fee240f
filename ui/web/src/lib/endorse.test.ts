import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fromBase64 } from "./base64";
import { digest } from "./canon";
import { parseCertificate, verifyChain } from "./certificate";
import { readEndorsement, verifyEndorsement } from "./endorse";

const [vector] = JSON.parse(readFileSync("../../protocol/testdata/receipt.json", "utf8")) as { receipt: string }[];
const receipt = JSON.parse(vector?.receipt ?? "") as { body: Record<string, unknown>; root: string };
const body = readEndorsement(receipt.body);
const root = fromBase64(receipt.root);
const pinned = await digest(root);
const changed = (bytes: Uint8Array<ArrayBuffer>, at: number) => bytes.map((b, i) => (i === at ? b ^ 1 : b));

describe("endorsements", () => {
  it("is accepted below the pinned root, by the right kind of marble", async () => {
    expect(await verifyEndorsement(body, body.payloadType, pinned, root, "worker")).toEqual(body.payload);
  });

  it("is refused for anything else", async () => {
    const refused = (e: typeof body, say: string | RegExp, pin: string = pinned, type = body.payloadType) =>
      expect(verifyEndorsement(e, type, pin, root, "worker")).rejects.toThrow(say);
    await refused(body, "payload is", pinned, "application/other");
    await refused(body, "pins", `sha256:${"0".repeat(64)}`);
    await refused({ ...body, payload: changed(body.payload, 5) }, "signature does not verify");
    await refused({ ...body, chain: body.chain.slice(1) }, "leaf is not");
    await refused({ ...body, chain: body.chain.slice(0, 1) }, "another issuer");
    await refused({ ...body, chain: [] }, "chain of 0");
    await expect(verifyEndorsement(body, body.payloadType, pinned, root, "coordinator")).rejects.toThrow(
      "not a coordinator",
    );
  });

  it("notices every changed byte of the leaf", async () => {
    const [leaf, ...issuers] = body.chain as Uint8Array<ArrayBuffer>[];
    if (!leaf) throw new Error("the vector has no leaf");
    for (let i = 0; i < leaf.length; i += 7)
      await expect(verifyChain([changed(leaf, i), ...issuers], pinned, root), `byte ${i}`).rejects.toThrow();
    await expect(verifyChain([leaf.subarray(0, -1), ...issuers], pinned, root)).rejects.toThrow();
  });

  it("reads the type of the marble", () => {
    expect(parseCertificate(body.chain[0] as Uint8Array<ArrayBuffer>).types).toEqual(["worker"]);
    expect(parseCertificate(root)).toMatchObject({ ca: true, types: [] });
  });
});
