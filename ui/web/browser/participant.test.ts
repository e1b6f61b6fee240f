// The participant's journey against a mesh of the demo, with the pages served from each person's own machine: upload, interruption, policy,
// two signers in two browsers, pause.
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import AxeBuilder from "@axe-core/playwright";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launch } from "./chromium";
import { type Mesh, startMesh } from "./mesh";

const demo = resolve(import.meta.dirname, "../../demo/data/nafld");
const complaints: string[] = [];
let mesh: Mesh;
let browser: Browser;
let lars: Page;
let clinic: Page;
let laboratory: Page;
let file: string;

/** Opens the pages as a person, in a browser of its own. */
async function open(person: string): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB" });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (said) => {
    if (/content security policy/i.test(said.text())) complaints.push(said.text());
  });
  page.on("dialog", (dialog) => dialog.accept());
  await page.goto(await mesh.web(person));
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Datasets" }).waitFor();
  return page;
}

const go = (page: Page, name: string) =>
  page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name, exact: true }).click();
const chooser = (page: Page, label: string) => page.getByLabel(label).and(page.locator("input"));
/** Drops a folder on what takes files, as a person would from a file manager. */
async function dropFolder(page: Page, on: string, path: string): Promise<void> {
  const box = await page.getByRole("group", { name: on }).boundingBox();
  const at = { x: (box?.x ?? 0) + 20, y: (box?.y ?? 0) + 20 };
  const data = { items: [], files: [path], dragOperationsMask: 1 };
  const devtools = await page.context().newCDPSession(page);
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await devtools.send("Input.dispatchDragEvent", { type, ...at, data });
  await devtools.detach();
}
const sign = (page: Page) => page.getByRole("dialog").getByRole("button", { name: "Sign", exact: true }).click();

beforeAll(async () => {
  mesh = await startMesh();
  file = join(mesh.home, "laboratory.csv");
  writeFileSync(file, gunzipSync(readFileSync(join(demo, "laboratory.csv.gz"))));
  browser = await launch();
  [lars, clinic, laboratory] = [await open("lars"), await open("clinic"), await open("laboratory")];
});

afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
});

it("uploads the laboratory's 400,000 rows, encrypted in the browser, to a report", async () => {
  await lars.getByRole("heading", { name: "Regional laboratory is all set" }).waitFor();
  await go(lars, "Upload");
  const sent: { readonly body: Buffer; readonly digest: string | undefined }[] = [];
  lars.on("request", (r) => {
    if (r.method() === "PUT")
      sent.push({ body: r.postDataBuffer() ?? Buffer.alloc(0), digest: r.headers()["concordat-digest"] });
  });
  await refusesWhatNobodyReads();
  await chooser(lars, "Choose another file").setInputFiles(file);
  await lars.getByRole("cell", { name: "-459" }).first().waitFor();
  await lars.getByRole("button", { name: "Encrypt and upload" }).click();
  await lars.getByRole("dialog").getByText("2 encrypted parts").waitFor();
  expect(await lars.getByText("A worker of this mesh made the key for this upload").count()).toBe(1);
  expect(await lars.getByText("Failed").count()).toBe(0);
  await sign(lars);
  await lars.getByText("The worker took the file as version 2").waitFor();
  expect(await lars.getByText("400,123 rows of 15,666 units").count()).toBe(1);
  expect(sent.length).toBeGreaterThanOrEqual(2);
  for (const { body } of sent)
    if (body.length > 0) expect(body.subarray(0, 21).toString()).toBe("age-encryption.org/v1");
  await go(lars, "Datasets");
  await lars.getByRole("button", { name: "Report of laboratory.results version 2" }).click();
  await lars.getByText("400,123 rows of 15,666 units").waitFor();
  expect(complaints).toEqual([]);
});

async function refusesWhatNobodyReads(): Promise<void> {
  const other = (name: string, text: string) => ({ name, mimeType: "", buffer: Buffer.from(text) });
  await dropFolder(lars, "Drop a file here, or choose it", mesh.home);
  await lars.getByRole("alert").getByText("is a folder").waitFor();
  await chooser(lars, "Drop a file here, or choose it").setInputFiles(other("results.xlsx", "PK\x03\x04\x14\0"));
  await lars.getByRole("alert").getByText("results.xlsx: it is a workbook").waitFor();
  await chooser(lars, "Choose another file").setInputFiles(other("none.csv", ""));
  await lars.getByRole("alert").getByText("none.csv is empty").waitFor();
  expect(await lars.getByRole("alert").count()).toBe(1);
  expect(await lars.getByRole("button", { name: "Encrypt and upload" }).count()).toBe(0);
}

it("goes on with an upload after a reload, and sends what is missing only", async () => {
  await go(lars, "Upload");
  let held = true;
  const put: string[] = [];
  await lars.route("**/upload/*/parts/*", (route) => {
    const number = route.request().url().split("/").at(-1) ?? "";
    if (held && number === "2") return route.abort();
    put.push(number);
    return route.continue();
  });
  await chooser(lars, "Drop a file here, or choose it").setInputFiles(file);
  await lars.getByRole("button", { name: "Encrypt and upload" }).click();
  await lars.getByText("Waiting to try again").waitFor();
  await lars.getByText(/4\.2 MB of 8\.1 MB/).waitFor();
  await lars.getByRole("button", { name: "Pause" }).click();
  await lars.reload();
  await lars.getByRole("heading", { name: "An upload of laboratory.results was interrupted" }).waitFor();
  const again = chooser(lars, "Choose laboratory.csv again");
  await again.setInputFiles({ name: "laboratory.csv", mimeType: "text/csv", buffer: Buffer.from("id\n1\n") });
  await lars.getByText("This is not the file").waitFor();
  held = false;
  put.length = 0;
  await again.setInputFiles(file);
  await lars.getByRole("dialog").getByText("2 encrypted parts").waitFor();
  expect(put).toEqual(["2"]);
  const signed = JSON.parse((await lars.getByRole("dialog").locator("pre").textContent()) ?? "");
  const plain: number[] = signed.parts.map((p: { readonly plain: number }) => p.plain);
  expect(plain.reduce((n, bytes) => n + bytes, 0)).toBe(statSync(file).size);
  await sign(lars);
  await lars.getByText("The worker took the file as version 3").waitFor();
  await lars.unroute("**/upload/*/parts/*");
});

it("says what is wrong with a file, row by row, and keeps the version before", async () => {
  await lars.getByRole("button", { name: "Upload another file" }).click();
  const bad = '<img src=x onerror="globalThis.pwned=1">';
  const buffer = Buffer.from(`id,days,test,value\n1,5,hdl,50\n2,"${bad.replaceAll('"', '""')}",hdl,60\n`);
  await chooser(lars, "Drop a file here, or choose it").setInputFiles({
    name: "bad.csv",
    mimeType: "text/csv",
    buffer,
  });
  await lars.getByRole("button", { name: "Encrypt and upload" }).click();
  await sign(lars);
  await lars.getByText("The worker did not take the file").waitFor();
  expect(await lars.getByRole("region", { name: "Rows that are wrong" }).textContent()).toContain("onerror");
  expect(await lars.evaluate(() => "pwned" in globalThis)).toBe(false);
  await go(lars, "Datasets");
  await lars
    .getByRole("region", { name: "Versions of laboratory.results" })
    .getByText("Queries read this version")
    .waitFor();
  const current = lars
    .getByRole("row")
    .filter({ hasText: "Queries read this version" })
    .getByRole("rowheader", { name: "3" });
  expect(await current.count()).toBe(1);
});

it("deletes a version by a signed statement", async () => {
  await lars.getByRole("button", { name: "Delete laboratory.results version 2" }).click();
  await lars.getByRole("dialog").getByText("cannot be taken back").waitFor();
  await sign(lars);
  await lars.getByText("laboratory.results version 2 is deleted.").waitFor();
  await lars.getByText("Its key is destroyed").waitFor();
});

it("proposes a policy from the builder, which two signers in two browsers bring into force", async () => {
  await go(clinic, "Policies");
  await clinic.getByRole("region", { name: "What it allows" }).getByRole("listitem").first().waitFor();
  await clinic.getByRole("button", { name: "Rows of one person" }).click();
  await clinic.getByText("refused", { exact: true }).waitFor();
  await clinic.getByLabel("Highest value of age").fill("x");
  await clinic.getByRole("group", { name: "age" }).locator(".error").waitFor();
  await clinic.getByLabel("Highest value of age").fill("110");
  await clinic.getByLabel("Units behind a group, at least").fill("12");
  await clinic.reload();
  await clinic.getByText("draft in this browser").waitFor();
  expect(await clinic.getByLabel("Highest value of age").inputValue()).toBe("110");
  await clinic.getByRole("button", { name: "Propose as version 2…" }).click();
  await clinic.getByRole("dialog").getByRole("tab", { name: "What it means" }).waitFor();
  await clinic.getByRole("button", { name: "Go on to sign" }).click();
  await clinic.getByRole("heading", { name: "Propose version 2" }).waitFor();
  await sign(clinic);
  await clinic.getByRole("heading", { name: "Approve version 2" }).waitFor();
  await sign(clinic);
  await clinic.getByText("signed by you; missing: laboratory, registry").waitFor();

  for (const signer of [laboratory, await open("registry")]) {
    await go(signer, "Review");
    await signer.getByText("min_units 10 → 12").waitFor();
    await signer.getByRole("button", { name: "Approve and sign…" }).click();
    await sign(signer);
    await signer.getByText("Approve version 2: signed and sent.").waitFor();
  }
  expect(mesh.run("otto", "manifest", "status")).toContain("version 2: active");
  for (const person of [clinic, laboratory, lars]) {
    await person.reload();
    await go(person, "Start here");
    await person.getByText("All 3 participants signed version 2").waitFor();
  }
});

it("pauses all queries, and resumes", async () => {
  await go(laboratory, "Budget");
  await laboratory.getByRole("button", { name: "Pause all queries…" }).click();
  await laboratory.getByLabel("Reason").fill("An audit <b>of ours</b>");
  await laboratory.getByRole("button", { name: "Go on to sign" }).click();
  await sign(laboratory);
  await laboratory.getByText("Paused by Regional laboratory").waitFor();
  await clinic.reload();
  await go(clinic, "Budget");
  await clinic.getByText("Paused by Regional laboratory").waitFor();
  await laboratory.getByRole("button", { name: "Resume…" }).click();
  await sign(laboratory);
  await laboratory.getByRole("heading", { name: "Queries run" }).waitFor();
  expect(complaints).toEqual([]);
});

it.each(["light", "dark"] as const)("has no barrier in the %s scheme, at 1280 and 390 pixels", async (colorScheme) => {
  await lars.emulateMedia({ colorScheme });
  for (const width of [1280, 390]) {
    await lars.setViewportSize({ width, height: 900 });
    for (const name of ["Start here", "Policies", "Upload", "Datasets", "Budget"]) {
      await go(lars, name);
      await lars.getByRole("heading", { level: 1 }).waitFor();
      await lars.waitForLoadState("networkidle");
      const { violations } = await new AxeBuilder({ page: lars })
        .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"])
        .analyze();
      expect(violations.map((v) => `${name}: ${v.id} ${v.nodes[0]?.html}`)).toEqual([]);
      expect(await lars.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
    }
  }
});
