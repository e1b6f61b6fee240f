import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { normaliser, type Rules } from "./normalise";

interface Vector {
  readonly rules: Rules;
  readonly input: string;
  readonly output: string | null;
}

const vectors = JSON.parse(readFileSync("../../protocol/testdata/normalize.json", "utf8")) as Vector[];

describe("normal forms", () => {
  it.each(vectors)("$rules $input", async ({ rules, input, output }) => {
    expect(await (await normaliser(rules))(input)).toBe(output);
  });

  it.each<Rules>([
    { version: 2 },
    { normalize: "soundex" },
    { prehashed: "md5" },
    { normalize: "email", options: ["dots"] },
  ])("refuses rules that it does not know: %j", async (rules) => {
    await expect(normaliser(rules)).rejects.toThrow("unknown");
  });
});
