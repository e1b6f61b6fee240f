// Takes the screenshots of docs/GUIDE.md from a mesh of the demo: each face at its work.
import { mkdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, it } from "vitest";
import { launch } from "./chromium";
import { type Mesh, startMesh } from "./mesh";

const target = resolve(import.meta.dirname, "../../../docs/guide");
const table = resolve(import.meta.dirname, "../../demo/data/nafld/laboratory.csv.gz");
let mesh: Mesh;
let browser: Browser;

beforeAll(async () => {
  mkdirSync(target, { recursive: true });
  mesh = await startMesh();
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
});

async function blank(): Promise<Page> {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    viewport: { width: 1280, height: 860 },
    locale: "en-GB",
    timezoneId: "UTC",
    colorScheme: "light",
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(90_000);
  return page;
}

/** The pages as `concordat web` serves them to a person or an organisation. */
async function local(who: string): Promise<Page> {
  const page = await blank();
  await page.goto(await mesh.web(who));
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Budget" }).waitFor();
  return page;
}

const go = async (page: Page, name: string) => {
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name, exact: true }).click();
  await page.locator("main h1").waitFor();
};
const sign = (page: Page) => page.getByRole("dialog").getByRole("button", { name: "Sign", exact: true }).click();

/** What the window shows, nothing being marked or moving. */
async function shoot(page: Page, name: string): Promise<void> {
  await page.mouse.move(0, 0);
  await page.waitForLoadState("networkidle");
  await page.screenshot({ path: `${target}/${name}.png`, caret: "hide", animations: "disabled" });
}

it("analyst", async () => {
  const page = await blank();
  await page.goto(mesh.hosted);
  await page.getByRole("link", { name: /^ana / }).waitFor();
  await shoot(page, "sign-in");
  await page.getByRole("link", { name: /^ana / }).click();
  const verdict = page.getByRole("region", { name: "Verdict" });
  const result = page.getByRole("region", { name: "Result" });
  await page.getByRole("textbox", { name: "SQL" }).click();
  await page.keyboard.insertText(
    "SELECT status, male, count(DISTINCT id) AS patients, avg(bmi) AS bmi\nFROM clinic.patients\nWHERE age = 57\nGROUP BY status, male\nORDER BY patients DESC",
  );
  await verdict.getByText("Refused for one reason").waitFor();
  await page.keyboard.press("Escape"); // what completes covers nothing
  await shoot(page, "analyst-refused");
  await verdict.getByRole("button", { name: /^Write / }).click();
  await verdict.getByText("Allowed", { exact: true }).waitFor();
  await shoot(page, "analyst-allowed");
  await page.getByRole("button", { name: /^Run/ }).click();
  await result.getByRole("cell").first().waitFor();
  await result.evaluate((e) => e.scrollIntoView());
  await shoot(page, "analyst-result");
  await result.getByRole("tab", { name: "Chart" }).click();
  await result.getByRole("img").first().waitFor();
  await result.evaluate((e) => e.scrollIntoView());
  await shoot(page, "analyst-chart");
  await result.getByRole("tab", { name: "Receipt" }).click();
  await result.getByText("The release is in that log").waitFor();
  await result.evaluate((e) => e.scrollIntoView());
  await shoot(page, "analyst-receipt");
  await go(page, "History");
  await page.getByRole("row").nth(1).waitFor();
  await shoot(page, "analyst-history");
  await page.context().close();
});

it("participant", async () => {
  const lars = await local("lars");
  await lars.getByRole("heading", { name: "Regional laboratory is all set" }).waitFor();
  await shoot(lars, "participant-start");
  await go(lars, "Upload");
  const choose = lars.getByLabel("Drop a file here, or choose it").and(lars.locator("input"));
  await choose.setInputFiles({
    name: "laboratory.csv",
    mimeType: "text/csv",
    buffer: gunzipSync(readFileSync(table)),
  });
  await lars.getByRole("cell", { name: "-459" }).first().waitFor();
  await shoot(lars, "participant-upload");
  await lars.getByRole("button", { name: "Encrypt and upload" }).click();
  await lars.getByRole("dialog").getByText("2 encrypted parts").waitFor();
  await shoot(lars, "participant-sign");
  await sign(lars);
  await lars.getByText("The worker took the file as version 2").waitFor();
  await shoot(lars, "participant-report");
  await lars.context().close();

  const clinic = await local("clinic");
  await go(clinic, "Policies");
  await clinic.getByRole("region", { name: "What it allows" }).getByRole("listitem").first().waitFor();
  await clinic.getByLabel("Highest value of age").fill("110");
  await clinic.getByLabel("Units behind a group, at least").fill("12");
  await clinic.getByRole("button", { name: "Rows of one person" }).click();
  await clinic.getByText("refused", { exact: true }).waitFor();
  await clinic.evaluate(() => scrollTo(0, 0));
  await shoot(clinic, "participant-policy");
  await clinic.getByRole("button", { name: "Propose as version 2…" }).click();
  await clinic.getByRole("dialog").getByRole("tab", { name: "What it means" }).waitFor();
  await clinic.getByRole("button", { name: "Go on to sign" }).click();
  await clinic.getByRole("heading", { name: "Propose version 2" }).waitFor();
  await sign(clinic);
  await clinic.getByRole("heading", { name: "Approve version 2" }).waitFor();
  await sign(clinic);
  await clinic.getByText("signed by you; missing: laboratory, registry").waitFor();
  await go(clinic, "Budget");
  await clinic.getByRole("meter").first().waitFor();
  await shoot(clinic, "participant-budget");
  await clinic.context().close();
});

it("auditor", async () => {
  const otto = await local("otto");
  await go(otto, "Review");
  await otto.getByText("min_units 10 → 12").waitFor();
  await shoot(otto, "auditor-review");
  await go(otto, "Evidence");
  await otto.getByText("No check failed").waitFor();
  await shoot(otto, "auditor-evidence");
  await go(otto, "Activity");
  await otto.getByRole("columnheader", { name: "When" }).waitFor();
  await shoot(otto, "auditor-activity");
  await otto.getByRole("link", { name: "receipt", exact: true }).first().click();
  await otto.getByText("Verified, in mode simulation").waitFor();
  await otto.getByText("The release is in that log").waitFor();
  await shoot(otto, "auditor-receipt");
  await go(otto, "Mesh");
  await otto.getByText("leads").waitFor();
  await shoot(otto, "operator-mesh");
  await otto.context().close();
});
