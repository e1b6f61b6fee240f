import { defineConfig } from "vitest/config";

// Browser tests: one file after the other, each with a mesh of its own (browser/mesh.ts). `make build` comes first.
export default defineConfig({
  test: {
    include: ["browser/**/*.test.ts"],
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 300_000,
  },
});
