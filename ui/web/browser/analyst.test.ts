// The analyst's journey against a mesh of the demo: from sign-in to a verified receipt, and what breaks on the way.
import { readFileSync } from "node:fs";
import type { Browser, BrowserContext, Download, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { launch } from "./chromium";
import { type Mesh, startMesh } from "./mesh";

let mesh: Mesh;
let browser: Browser;
let context: BrowserContext;
let page: Page;
const complaints: string[] = [];

beforeAll(async () => {
  mesh = await startMesh();
  browser = await launch();
  context = await browser.newContext({
    ignoreHTTPSErrors: true,
    acceptDownloads: true,
    viewport: { width: 1280, height: 900 },
    locale: "en-GB",
  });
  page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (said) => {
    if (/content security policy/i.test(said.text())) complaints.push(said.text());
  });
  await page.goto(mesh.hosted);
  await page.getByRole("link", { name: /^ana / }).click();
  await page.getByRole("heading", { name: "Query", level: 1 }).waitFor();
});

afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
});

beforeEach(() => {
  complaints.length = 0;
});

const editor = () => page.getByRole("textbox", { name: "SQL" });
const text = (part: string) => page.locator(".cm-content", { hasText: part });
const verdict = () => page.getByRole("region", { name: "Verdict" });
const run = () => page.getByRole("button", { name: /^Run/ });
const result = () => page.getByRole("region", { name: "Result" });

async function write(sql: string) {
  await editor().click();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.insertText(sql);
}

/** Saves in a format, and gives the two files that come: the answer and its receipt. */
async function save(format: string): Promise<Download[]> {
  const files: Download[] = [];
  const both = new Promise<void>((done) => {
    const take = (file: Download) => {
      files.push(file);
      if (files.length < 2) return;
      page.off("download", take);
      done();
    };
    page.on("download", take);
  });
  await result().getByLabel("Download").selectOption(format);
  await result().getByRole("button", { name: "Save with receipt" }).click();
  await both;
  return files;
}

const bytesOf = async (file: Download | undefined) => readFileSync((await file?.path()) ?? "");

it("writes, is refused, follows the suggestion, runs, charts, saves and verifies", async () => {
  await write(
    "SELECT c.male, count(DISTINCT c.id) AS patients, avg(c.bmi) AS bmi\nFROM clinic.patients c\nWHERE c.age = 57 -- Größe\nGROUP BY 1",
  );
  await verdict().getByText("Refused for one reason").waitFor();
  expect(await page.locator(".cm-lintRange-error").textContent()).toBe("c.age = 57");
  await verdict().getByRole("button", { name: "Write c.age >= 55 AND c.age < 60" }).click();
  await verdict().getByText("Allowed", { exact: true }).waitFor();
  expect(
    await verdict()
      .getByRole("row", { name: /clinic/ })
      .textContent(),
  ).toMatch(/rho 0\.015.*more like it/);
  expect(await verdict().textContent()).toMatch(/patients\s*± \d+/);

  await editor().press("ControlOrMeta+Enter");
  await result().getByRole("cell").first().waitFor();
  expect(await result().getByRole("row").count()).toBe(3);
  await result().getByRole("tab", { name: "Chart" }).click();
  await result()
    .getByRole("img", { name: /Bar chart of patients by male/ })
    .waitFor();

  const [csv, receipt] = await save("csv");
  expect((await bytesOf(csv)).toString().split("\n")[0]).toBe(
    "male,patients,patients_low,patients_high,bmi,bmi_low,bmi_high",
  );
  expect(JSON.parse((await bytesOf(receipt)).toString()).type).toBe("concordat.dev/receipt/v1");
  expect(mesh.run("ana", "receipt", "verify", (await receipt?.path()) ?? "")).toMatch(/verified|simulation/);
  expect((await bytesOf((await save("parquet"))[0])).subarray(0, 4).toString()).toBe("PAR1");
  expect((await bytesOf((await save("arrow"))[0])).length).toBeGreaterThan(200);

  await result().getByRole("tab", { name: "Receipt" }).click();
  await result().getByText("The release is in that log").waitFor();
  const checks = await result().getByRole("tabpanel").getByRole("listitem").allTextContents();
  expect(checks.filter((c) => /Failed|Not checked/.test(c))).toEqual([]);
  expect(checks.some((c) => /The result is the one that was released\s*Proved/.test(c))).toBe(true);
  expect(complaints).toEqual([]);
});

it("keeps drafts over a reload and results not", async () => {
  await page.reload();
  await text("c.age >= 55").waitFor();
  expect(await result().count()).toBe(0);
});

it("answers the same again for free", async () => {
  await run().click();
  await result().getByRole("cell").first().waitFor();
  await result().getByRole("tab", { name: "Price and notes" }).click();
  expect(
    await result()
      .getByRole("row", { name: /clinic/ })
      .textContent(),
  ).toMatch(/free/);
});

it("says that the connection is lost, and asks again under the same key", async () => {
  await write("SELECT status, count(DISTINCT id) AS patients FROM clinic.patients GROUP BY 1");
  await verdict().getByText("Allowed", { exact: true }).waitFor();
  await context.setOffline(true);
  await run().click();
  await page.getByRole("alert").getByText("There is no answer yet").waitFor();
  expect(await page.getByRole("alert").textContent()).toContain("connection to the mesh is lost");
  await context.setOffline(false);
  await page.getByRole("button", { name: "Ask again" }).click();
  await result().getByRole("cell").first().waitFor();
});

it("finds it in the history, and opens it again", async () => {
  await page.getByRole("link", { name: "History" }).click();
  await page.getByLabel("Search in the SQL").fill("count(DISTINCT id) AS patients FROM clinic");
  const rows = page.getByRole("region", { name: /Queries/ }).getByRole("row");
  await expect.poll(() => rows.count()).toBe(2);
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: /Save the receipt/ }).click();
  expect((await saved).suggestedFilename()).toMatch(/^receipt-[0-9a-f]+\.json$/);
  await page.getByRole("button", { name: /Open in the editor/ }).click();
  await text("SELECT status").waitFor();
});

it("saves a query with parameters, and fills them in as literals", async () => {
  await write("SELECT count(DISTINCT id) AS patients FROM laboratory.results WHERE test = {{test}}");
  await page.getByRole("button", { name: "Save…" }).click();
  const dialog = page.getByRole("dialog", { name: "Save the query" });
  await dialog.getByLabel("Name").fill("Patients <b>of a test</b>");
  await dialog.getByLabel("Default").fill("hdl");
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByRole("link", { name: "Saved queries" }).click();
  await page.getByRole("heading", { name: "Patients <b>of a test</b>" }).waitFor();
  await page.getByRole("button", { name: "Open in the editor" }).first().click();
  await verdict().getByText("Allowed", { exact: true }).waitFor();
  await page.getByLabel("test", { exact: true }).fill("' OR 1=1 --");
  await verdict().getByText("Allowed", { exact: true }).waitFor();
  await verdict()
    .getByText(/What it means/)
    .click();
  await expect.poll(() => verdict().textContent()).toContain("OR 1=1 --'");
});

it("is told when a budget cannot pay, by its meter", async () => {
  const all = ["age", "bmi", "height", "weight"].flatMap((c) => [
    `stddev(${c})`,
    `avg(${c})`,
    `quantile_cont(${c}, 0.5)`,
    `sum(${c})`,
  ]);
  for (const [i, key] of ["male", "status", "male, status"].entries()) {
    await write(
      `SELECT ${key}, ${all.map((a, n) => `${a} AS a${n}`).join(", ")} FROM clinic.patients GROUP BY ALL HAVING count(*) > ${i}`,
    );
    await expect.poll(() => verdict().textContent(), { timeout: 30_000 }).toMatch(/Allowed|Refused/);
    await run().click();
    await page
      .getByRole("region", { name: "Result" })
      .or(page.getByText("The budget cannot pay for this"))
      .first()
      .waitFor();
    if (await page.getByText("The budget cannot pay for this").isVisible()) break;
  }
  await page.getByText("The budget cannot pay for this").waitFor();
  await page.getByRole("meter", { name: /clinic/ }).waitFor();
});

it("keeps the text when the session ends", async () => {
  await write("SELECT count(DISTINCT id) AS everybody FROM registry.events");
  await verdict().getByText("Allowed", { exact: true }).waitFor();
  await context.clearCookies();
  await run().click();
  await page.getByText("Your session has ended").waitFor();
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("link", { name: /^ana / }).click();
  await text("everybody").waitFor();
});

it("shares the text alone, which no server sees", async () => {
  const asked: string[] = [];
  page.on("request", (r) => asked.push(r.url() + (r.postData() ?? "")));
  const link = `${new URL(page.url()).origin}${new URL(page.url()).pathname}#sql=${encodeURIComponent("-- secret thought")}`;
  await page.goto("about:blank");
  await page.goto(link);
  await text("secret thought").waitFor();
  expect(new URL(page.url()).hash).toBe("");
  expect(asked.filter((a) => /\.html|\/query/.test(a)).some((a) => a.includes("secret"))).toBe(false);
});

// Last: from here on the mesh has one worker.
it("gets its answer though a worker dies in the middle", async () => {
  await write(
    "WITH f AS (SELECT id, test, count(*) AS n, max(value) AS top FROM laboratory.results GROUP BY id, test)\nSELECT test, count(DISTINCT id) AS patients, avg(top) AS top FROM f GROUP BY 1",
  );
  await verdict().getByText("Allowed", { exact: true }).waitFor();
  await run().click();
  await page.locator('[aria-current="step"]', { hasText: "Execute" }).waitFor();
  mesh.killWorker();
  await result().getByRole("cell").first().waitFor({ timeout: 90_000 });
});
