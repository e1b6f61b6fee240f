// Encryption in Chromium as the upload portal does it: what comes out opens again, and how fast it was. The figure is printed, not judged:
// the goal is 60 MB/s on a quiet machine, as the median of five.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Browser } from "playwright-core";
import { createServer, type ViteDevServer } from "vite";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openPart, type PartHeader } from "../src/lib/age/part";
import { launch } from "./chromium";

interface Vector {
  readonly identity: string;
  readonly recipient: string;
  readonly header: PartHeader;
}

const vectors = resolve(import.meta.dirname, "../../../protocol/testdata/part.json");
const rounds = 5;
const parts = 4;
const size = 16 << 20;
let server: ViteDevServer;
let browser: Browser;

beforeAll(async () => {
  server = await createServer({
    root: resolve(import.meta.dirname, ".."),
    server: { port: 0, host: "127.0.0.1" },
    logLevel: "error",
  });
  await server.listen();
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

it("seals parts in Web Workers", async () => {
  const [{ identity, recipient, header }] = JSON.parse(readFileSync(vectors, "utf8")) as [Vector];
  const page = await browser.newPage();
  await page.goto(`${server.resolvedUrls?.local[0]}?as=dana`);
  await page.getByRole("heading", { level: 1 }).waitFor();
  const content = 'import { Sealer } from "/src/lib/age/sealer.ts"; globalThis.Sealer = Sealer;';
  await page.addScriptTag({ type: "module", content });
  await page.waitForFunction(() => "Sealer" in globalThis);
  const measured = await page.evaluate(
    async ({ recipient, header, rounds, parts, size }) => {
      const { Sealer } = globalThis as unknown as typeof import("../src/lib/age/sealer");
      const sealer = new Sealer();
      const rows = new Blob([new Uint8Array(size).map((_, i) => (i * 31) & 0xff)]);
      const rates: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const begun = performance.now();
        await Promise.all(
          Array.from({ length: parts }, (_, i) => sealer.seal(rows, recipient, { ...header, number: i + 1 })),
        );
        rates.push((parts * size) / 1000 / (performance.now() - begun));
      }
      const small = await sealer.seal(rows.slice(0, 100_000), recipient, header);
      const { workers } = sealer;
      sealer.close();
      return { rates, workers, small: [...small.ciphertext] };
    },
    { recipient, header, rounds, parts, size },
  );
  const rows = await openPart(identity, header, Uint8Array.from(measured.small));
  expect(rows).toEqual(new Uint8Array(100_000).map((_, i) => (i * 31) & 0xff));
  const median = measured.rates.toSorted((a, b) => a - b)[Math.floor(rounds / 2)] ?? 0;
  console.info(
    `sealing in Chromium: ${median.toFixed(0)} MB/s with ${measured.workers} worker(s), median of ${rounds}`,
  );
});
