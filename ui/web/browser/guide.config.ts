import { defineConfig } from "vitest/config";

// The screenshots of docs/GUIDE.md, taken anew by `npm run guide`; never a test.
export default defineConfig({
  test: { include: ["browser/**/*.guide.ts"], fileParallelism: false, testTimeout: 240_000, hookTimeout: 300_000 },
});
