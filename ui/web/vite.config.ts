import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// The build is embedded in the coordinator's binary and so in its measurement: nothing here may depend on time, place or machine.
export default defineConfig({
  plugins: [svelte()],
  build: {
    target: "es2023",
    outDir: "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0, // the content security policy admits no data: scripts, styles or fonts
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
  },
  worker: { format: "es" },
  server: { host: "127.0.0.1" },
  test: { include: ["src/**/*.test.ts"] },
});
