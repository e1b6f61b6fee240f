// The auditor's journey against a mesh of the demo, on pages from the auditor's own machine: what is signed, what happened, and whether a receipt
// holds, each checked in the browser.
import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launch } from "./chromium";
import { type Mesh, startMesh } from "./mesh";

let mesh: Mesh;
let browser: Browser;
let page: Page;
const complaints: string[] = [];

beforeAll(async () => {
  mesh = await startMesh();
  browser = await launch();
  const context = await browser.newContext({
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
  page.on("request", (request) => {
    if (new URL(request.url()).hostname !== "127.0.0.1" && !request.url().startsWith("blob:"))
      complaints.push(request.url());
  });
  await page.goto(await mesh.web("otto"));
  await page.getByRole("heading", { name: "Review", level: 1 }).waitFor();
});
afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
});

const go = (name: string) =>
  page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name, exact: true }).click();

it("sees who signed what, and that the mesh is the pinned one", async () => {
  await page.getByText("Served from your own machine").waitFor();
  await page.getByText("3 of 3.").waitFor();
  await go("Evidence");
  await page.getByText("No check failed").waitFor();
  expect(await page.getByText("Failed", { exact: true }).count()).toBe(0);
  await page.getByText("This browser sees this log for the first time").waitFor();
  mesh.run("ana", "query", "SELECT status, count(DISTINCT id) AS patients FROM clinic.patients GROUP BY status");
  await page.getByRole("button", { name: "Verify again" }).click();
  await page.getByText(/It begins with the \d+ entries that were seen/).waitFor();
});

it("is told when the log was rolled back", async () => {
  await page.evaluate(() => {
    const key = Object.keys(localStorage).find((k) => k.startsWith("concordat-log-")) ?? "";
    const seen = JSON.parse(localStorage.getItem(key) ?? "{}") as { size: number };
    localStorage.setItem(key, JSON.stringify({ ...seen, root: btoa("x".repeat(32)) }));
  });
  await page.reload();
  await page.getByText(/rolled back or forked/).waitFor();
  await page.getByText("1 of 10 checks failed").waitFor();
  await page.evaluate(() => localStorage.clear());
});

it("finds queries, and takes the list away", async () => {
  await go("Activity");
  await page.getByRole("cell", { name: "query refused" }).first().waitFor();
  await page.getByLabel("Search").fill("status");
  await page.getByLabel("Kind").selectOption("query released");
  const found = page.getByRole("row").filter({ hasText: "receipt" });
  expect(await found.count()).toBeGreaterThan(0);
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "JSON lines" }).click();
  const lines = readFileSync(await (await saved).path(), "utf8")
    .trimEnd()
    .split("\n");
  expect(lines.every((l) => (JSON.parse(l) as { kind: string }).kind === "query released")).toBe(true);
  expect(lines.length).toBe(await found.count());
});

it("checks a receipt of the mesh, a file, and one that was tampered with", async () => {
  await page.getByRole("link", { name: "receipt", exact: true }).first().click();
  await page.getByText("Verified, in mode simulation").waitFor();
  await page.getByText("The release is in that log").waitFor();
  const id = new URL(page.url()).searchParams.get("id") ?? "";
  const bytes = readFileSync(mesh.run("otto", "receipt", "fetch", id).trim(), "utf8");
  await page.goto(new URL("/receipt", page.url()).href);
  const choose = (text: string) =>
    page
      .getByLabel("Receipt", { exact: true })
      .setInputFiles({ name: "r.json", mimeType: "application/json", buffer: Buffer.from(text) });
  await choose(bytes);
  await page.getByText("Verified, in mode simulation").waitFor();
  const rows = /"rows":\[\[(\d+),(\d+)/.exec(bytes);
  await choose(bytes.replace(rows?.[0] ?? "none", `"rows":[[${rows?.[1]},${Number(rows?.[2]) + 1}`));
  await page.getByText("Not verified", { exact: true }).waitFor();
  await page.getByText("The result is the one that was released").waitFor();
});

it("sees the mesh, and nothing asked anybody but this machine", async () => {
  await page.goto(new URL("/mesh", page.url()).href);
  await page.getByText("leads").waitFor();
  expect(await page.getByText("answers", { exact: true }).count()).toBe(3);
  expect(complaints).toEqual([]);
});
