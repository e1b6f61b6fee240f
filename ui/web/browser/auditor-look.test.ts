// The auditor's pages, the operator's, and those of nobody against the made-up mesh: readable for all (axe, WCAG 2.2 AA), in both schemes, at both
// widths, and by keyboard.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launch } from "./chromium";
import { overflows, type Pages, schemes, servePages, sizes, violations } from "./pages";

let pages: Pages;
let browser: Browser;
const file = resolve(import.meta.dirname, "../src/mock/data/receipt.json");
// As it was signed: the file in the repository is laid out for reading.
const receipt = {
  name: "receipt.json",
  mimeType: "application/json",
  buffer: Buffer.from(JSON.stringify(JSON.parse(readFileSync(file, "utf8")))),
};

beforeAll(async () => {
  pages = await servePages();
  browser = await launch();
  for (const path of ["/c/nafld-outcomes/review", "/c/nafld-outcomes/evidence", "/c/nafld-outcomes/receipt"]) {
    const page = await open(path); // Vite gathers its dependencies
    await page.waitForTimeout(1000);
    await page.context().close();
  }
});
afterAll(async () => {
  await browser?.close();
  await pages?.stop();
});

async function open(path: string, who = "otto"): Promise<Page> {
  const context = await browser.newContext({ viewport: sizes[0], locale: "en-GB", reducedMotion: "reduce" });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(`${pages.origin}${path}?as=${who}`);
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  return page;
}

interface State {
  readonly name: string;
  readonly path: string;
  readonly who?: string;
  readonly act?: (page: Page) => Promise<unknown>;
}

const collaboration = "/c/nafld-outcomes";
const states: readonly State[] = [
  {
    name: "review",
    path: `${collaboration}/review`,
    act: (p) => p.getByText("The digest is that of the documents").waitFor(),
  },
  {
    name: "documents",
    path: `${collaboration}/review`,
    act: (p) => p.getByText("Documents as they are signed").click(),
  },
  {
    name: "evidence",
    path: `${collaboration}/evidence`,
    act: (p) => p.getByText("All participants signed these bytes").waitFor(),
  },
  {
    name: "activity",
    path: `${collaboration}/activity`,
    act: (p) => p.getByRole("columnheader", { name: "When" }).waitFor(),
  },
  {
    name: "activity without",
    path: `${collaboration}/activity`,
    act: (p) =>
      p
        .getByLabel("Search")
        .fill("nothing like it")
        .then(() => p.getByText("Nothing fits").waitFor()),
  },
  { name: "no receipt yet", path: `${collaboration}/receipt` },
  {
    name: "receipt",
    path: "/receipt",
    act: (p) =>
      p
        .getByLabel("Receipt", { exact: true })
        .setInputFiles(receipt)
        .then(() => p.getByText("Verified, in mode simulation").waitFor()),
  },
  {
    name: "no receipt at all",
    path: "/receipt",
    act: (p) =>
      p
        .getByLabel("Receipt", { exact: true })
        .setInputFiles({
          name: "x.json",
          mimeType: "application/json",
          buffer: Buffer.from('{"a": "<img src=x onerror=alert(1)>"}'),
        })
        .then(() => p.getByText("Not verified", { exact: true }).waitFor()),
  },
  { name: "mesh", path: "/mesh", act: (p) => p.getByRole("columnheader", { name: "Worker" }).waitFor() },
  { name: "keys", path: "/keys" },
  { name: "sign in", path: "/signin", who: "nobody" },
  { name: "missing", path: "/nowhere", who: "ana" },
];

for (const state of states) {
  it(`is readable: ${state.name}`, async () => {
    const page = await open(state.path, state.who);
    await state.act?.(page);
    for (const scheme of schemes) {
      for (const size of sizes) {
        await page.emulateMedia({ colorScheme: scheme });
        await page.setViewportSize(size);
        expect(await violations(page), `${scheme}, ${size.width} wide`).toEqual([]);
        expect(await overflows(page), `${size.width} wide scrolls sideways`).toBe(false);
      }
    }
    await page.context().close();
  });
}

it("goes from the top to the page by keyboard", async () => {
  const page = await open(`${collaboration}/activity`);
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the page");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await expect.poll(() => page.evaluate(() => document.activeElement?.getAttribute("type"))).toBe("search");
  await page.context().close();
});
