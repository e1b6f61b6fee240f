// Every state of the analyst's pages against the made-up mesh: readable for all (axe, WCAG 2.2 AA), in both schemes, at both widths; names and
// texts of others stay text.
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launch } from "./chromium";
import { overflows, type Pages, schemes, servePages, sizes, violations } from "./pages";

let pages: Pages;
let browser: Browser;

beforeAll(async () => {
  pages = await servePages();
  browser = await launch();
  const page = await open("query", "SELECT count(*)"); // Vite gathers its dependencies
  await runIt(page);
  await page.getByRole("tab", { name: "Receipt" }).click();
  await page.waitForTimeout(1000);
  await page.context().close();
});
afterAll(async () => {
  await browser?.close();
  await pages?.stop();
});

const good = `SELECT c.male, l.test, count(DISTINCT c.id) AS patients, avg(l.value) AS mean
FROM clinic.patients c JOIN laboratory.results l ON c.id = l.id GROUP BY 1, 2`;

async function open(name: string, sql: string): Promise<Page> {
  const context = await browser.newContext({
    viewport: sizes[0],
    locale: "en-GB",
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(`${pages.origin}/c/nafld-outcomes/${name}?as=ana${sql ? `#sql=${encodeURIComponent(sql)}` : ""}`);
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.getByRole("link", { name: "Evidence" }).waitFor();
  return page;
}

async function runIt(page: Page) {
  await page.getByRole("button", { name: /^Run/ }).click();
}
const tab = (name: string, wait: string) => async (page: Page) => {
  await runIt(page);
  await page.getByRole("tab", { name }).click();
  await page.locator(wait).first().waitFor();
};
const said = (text: string) => async (page: Page) => {
  await runIt(page);
  await page.getByText(text).first().waitFor();
};

interface State {
  readonly name: string;
  readonly page: string;
  readonly sql?: string;
  readonly act: (page: Page) => Promise<unknown>;
}

const states: readonly State[] = [
  { name: "empty", page: "query", act: (p) => p.getByRole("button", { name: "Count by male" }).waitFor() },
  { name: "allowed", page: "query", sql: good, act: (p) => p.getByText("Allowed").waitFor() },
  {
    name: "refused",
    page: "query",
    sql: "SELECT male, c.id FROM clinic.patients c",
    act: (p) => p.getByText("Refused for 2 reasons").waitFor(),
  },
  {
    name: "template",
    page: "query",
    sql: `${good} -- \nLIMIT {{n}}`,
    act: (p) => p.getByLabel("n", { exact: true }).waitFor(),
  },
  { name: "running", page: "query", sql: `${good} -- MOCK_SLOW`, act: said("Reserve the price") },
  { name: "result", page: "query", sql: good, act: tab("Table", "td") },
  { name: "chart", page: "query", sql: good, act: tab("Chart", ".holder svg") },
  { name: "line", page: "query", sql: `${good} -- MOCK_TIME`, act: tab("Chart", ".holder svg") },
  { name: "receipt", page: "query", sql: good, act: tab("Receipt", "text=The release is in that log") },
  { name: "price", page: "query", sql: good, act: tab("Price and notes", "ul.notes li") },
  { name: "wide", page: "query", sql: `${good} -- MOCK_WIDE`, act: tab("Table", "td") },
  { name: "nothing", page: "query", sql: `${good} -- MOCK_EMPTY`, act: said("No group was released") },
  { name: "exhausted", page: "query", sql: `${good} -- MOCK_EXHAUSTED`, act: said("See what was spent") },
  { name: "failed", page: "query", sql: `${good} -- MOCK_FAILED`, act: said("The query failed") },
  { name: "lost", page: "query", sql: `${good} -- MOCK_LOST`, act: said("The connection to the mesh is lost") },
  { name: "expired", page: "query", sql: `${good} -- MOCK_EXPIRED`, act: said("Your session has ended") },
  {
    name: "policy",
    page: "query",
    act: (p) =>
      p
        .evaluate(() => document.querySelector("details.schema")?.setAttribute("open", ""))
        .then(() => p.getByRole("button", { name: /policy of clinic/ }).click()),
  },
  {
    name: "save",
    page: "query",
    sql: `${good} LIMIT {{n}}`,
    act: (p) => p.getByRole("button", { name: "Save…" }).click(),
  },
  { name: "saved", page: "saved", act: (p) => p.getByRole("heading", { name: "Patients of one test" }).waitFor() },
  {
    name: "history",
    page: "history",
    act: (p) =>
      p
        .getByRole("button", { name: /^Open in the editor/ })
        .first()
        .waitFor(),
  },
  {
    name: "history without",
    page: "history",
    act: (p) =>
      p
        .getByLabel("Search in the SQL")
        .fill("nothing like it")
        .then(() => p.getByText("No query fits").waitFor()),
  },
  {
    name: "history fault",
    page: "history",
    act: (p) =>
      p
        .getByLabel("Search in the SQL")
        .fill("mock_fault")
        .then(() => p.getByText("The history could not be read").waitFor()),
  },
];

it.each(states)("is readable for all: $name", async (state) => {
  const page = await open(state.page, state.sql ?? "");
  await state.act(page);
  const wrong: string[] = [];
  for (const size of sizes) {
    await page.setViewportSize(size);
    for (const colorScheme of schemes) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      const where = `${state.name}-${size.width}-${colorScheme}`.replaceAll(" ", "-");
      if (process.env["SHOTS"]) await page.screenshot({ path: `${process.env["SHOTS"]}/${where}.png`, fullPage: true });
      wrong.push(...(await violations(page)).map((v) => `${where}: ${v}`));
      if (await overflows(page)) wrong.push(`${where}: scrolls sideways`);
    }
  }
  expect(wrong).toEqual([]);
  await page.context().close();
});

it("shows what others wrote as text alone", async () => {
  const page = await open("query", `${good} -- MOCK_HOSTILE`);
  await page.getByText("Refused for one reason").waitFor();
  await page.locator(".cm-lintRange-error").hover();
  await page.locator(".cm-tooltip-lint").waitFor();
  await tab("Table", "td")(page);
  await page.getByRole("tab", { name: "Price and notes" }).click();
  await page.getByRole("tab", { name: "Chart" }).click();
  await page.locator(".holder svg").waitFor();
  expect(await page.locator("main img, main script, .cm-tooltip img").count()).toBe(0);
  expect(await page.evaluate(() => "pwned" in globalThis)).toBe(false);
  expect(await page.locator(".holder svg").textContent()).toContain("<img src=x");
  await page.context().close();
});

it("is worked by keyboard alone: completes, follows a suggestion, runs, cancels", async () => {
  const page = await open("query", "");
  await page.getByRole("textbox", { name: "SQL" }).focus();
  await page.keyboard.type("SELECT male, c. FROM clinic.patients c");
  for (let i = 0; i < " FROM clinic.patients c".length; i++) await page.keyboard.press("ArrowLeft");
  await page.keyboard.type("i");
  await page.getByRole("option", { name: /^id/ }).waitFor();
  await page.waitForTimeout(200); // the editor takes no completion that has only just appeared
  await page.keyboard.press("Tab");
  await page.locator(".cm-content", { hasText: "c.id" }).waitFor();
  await page.getByText("Refused for 2 reasons").waitFor();
  await page.keyboard.press("Tab"); // out of the editor, as the page's order has it
  const write = page.getByRole("button", { name: "Write count(DISTINCT c.id)" });
  for (let i = 0; i < 12 && !(await write.evaluate((e) => e === document.activeElement)); i++)
    await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByText("Allowed").waitFor();
  await page.keyboard.type(" /* MOCK_SLOW */");
  await page.keyboard.press("Control+Enter");
  await page.locator('[aria-current="step"]', { hasText: "Reserve" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByText("stays spent").waitFor();
  await page.context().close();
});
