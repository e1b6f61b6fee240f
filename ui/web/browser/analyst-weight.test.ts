import { expect, it } from "vitest";
import { weightOf } from "./weight";

it("loads the analyst's page within 250 kB", () => {
  const weight = weightOf("Query");
  expect(weight).toBeGreaterThan(100_000); // the editor is among it
  expect(weight).toBeLessThanOrEqual(250_000);
});
