// The pages against the made-up mesh of src/mock, served by Vite: for what needs no mesh, such as how states look and axe.
import { resolve } from "node:path";
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "playwright-core";
import { createServer, type ViteDevServer } from "vite";

export interface Pages {
  readonly origin: string;
  stop(): Promise<void>;
}

export async function servePages(): Promise<Pages> {
  const root = resolve(import.meta.dirname, "..");
  const server: ViteDevServer = await createServer({
    root,
    configFile: resolve(root, "vite.config.ts"),
    cacheDir: resolve(root, "node_modules/.vite-browser"),
    server: { host: "127.0.0.1", port: 0, hmr: false, watch: null },
    logLevel: "error",
  });
  await server.listen();
  const address = server.httpServer?.address();
  if (!address || typeof address === "string") throw new Error("the pages have no port");
  return { origin: `http://127.0.0.1:${address.port}`, stop: () => server.close() };
}

export const schemes = ["light", "dark"] as const;
export const sizes = [
  { width: 1280, height: 900 },
  { width: 390, height: 844 },
] as const;

/** What axe finds wrong by WCAG 2.2 AA, a line each. */
export async function violations(page: Page): Promise<string[]> {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const found = await new AxeBuilder({ page }).withTags(tags).analyze();
  return found.violations.flatMap((v) =>
    v.nodes.map((n) => `${v.id}: ${n.target.join(" ")}: ${n.failureSummary ?? v.help}`),
  );
}

/** Whether the page scrolls sideways, which it never should. */
export function overflows(page: Page): Promise<boolean> {
  return page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
}
