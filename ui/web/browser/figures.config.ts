import { defineConfig } from "vitest/config";

// Figures of the pages, measured when the machine is quiet; never a test.
export default defineConfig({
  test: { include: ["browser/**/*.figures.ts"], fileParallelism: false, testTimeout: 120_000, hookTimeout: 300_000 },
});
