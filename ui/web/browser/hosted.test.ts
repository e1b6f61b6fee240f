// Pages that a coordinator serves: signing in as each of the demo's people, what such pages say of themselves, a session that ends, a passkey that
// a manifest names and that signs, and a page of another origin that can do nothing.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { launch } from "./chromium";
import { type Mesh, startMesh } from "./mesh";

let mesh: Mesh;
let browser: Browser;
let folder: string;
const complaints: string[] = [];

beforeAll(async () => {
  mesh = await startMesh();
  browser = await launch();
  folder = mkdtempSync(join(tmpdir(), "concordat-hosted-"));
});
afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Signs a person of the demo in, in a browser of their own. */
async function signIn(person: string): Promise<Page> {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    acceptDownloads: true,
    viewport: { width: 1280, height: 900 },
    locale: "en-GB",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (said) => {
    if (/content security policy/i.test(said.text())) complaints.push(said.text());
  });
  await page.goto(mesh.hosted);
  await page.getByRole("link", { name: new RegExp(`^${person} `) }).click();
  await page.getByRole("link", { name: `${person}@` }).waitFor();
  return page;
}

const pages = (page: Page) => page.getByRole("navigation", { name: "Pages" });
const go = (page: Page, name: string) => pages(page).getByRole("link", { name, exact: true }).click();
const sign = (page: Page) => page.getByRole("dialog").getByRole("button", { name: "Sign", exact: true }).click();

it.each([
  ["ana", "Query"],
  ["dana", "Community clinic is all set"],
  ["lars", "Regional laboratory is all set"],
  ["rita", "Disease registry is all set"],
  ["otto", "Review"],
])("leads %s to the page of the role, and says on each page whom it trusts", async (person, first) => {
  const page = await signIn(person);
  await page.getByRole("heading", { name: first, level: 1 }).waitFor();
  const names = await pages(page).getByRole("link").allTextContents();
  expect(names.includes("Query")).toBe(person === "ana");
  expect(names.includes("Upload")).toBe(["dana", "lars", "rita"].includes(person));
  expect(names.includes("Activity")).toBe(person !== "ana");
  for (const name of [...names, "Keys"]) {
    if (name === "Keys") await page.getByRole("link", { name: `${person}@` }).click();
    else await go(page, name);
    await page.locator("main h1").waitFor();
    await page.getByText("These pages trust their host").waitFor();
    await page.getByRole("complementary", { name: "Simulation" }).waitFor();
    expect(await page.getByText("Hosted pages").count()).toBe(1);
  }
  expect(complaints).toEqual([]);
  await page.context().close();
});

it("keeps a steward's draft when the session ends, and leads back to it", async () => {
  const page = await signIn("dana");
  await go(page, "Policies");
  await page.getByLabel("Units behind a group, at least").fill("17");
  await page.getByText("draft in this browser").waitFor();
  await page.context().clearCookies();
  await go(page, "Activity");
  await page.getByText("Sign in again; what you wrote on this page stays.").first().waitFor();
  await page.getByRole("button", { name: "Sign in" }).first().click();
  await page.getByRole("link", { name: /^dana / }).click();
  await page.getByRole("heading", { name: "Activity", level: 1 }).waitFor();
  await go(page, "Policies");
  expect(await page.getByLabel("Units behind a group, at least").inputValue()).toBe("17");
  await page.context().close();
});

it("says why signing in failed", async () => {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  await page.goto(`${mesh.hosted}/signin/start?issuer=http%3A%2F%2F127.0.0.1%3A1&client=nobody`);
  await page.getByText("This host cannot sign in by that identity provider").waitFor();
  await page.getByRole("link", { name: /^otto / }).click();
  await page.getByRole("heading", { name: "Review", level: 1 }).waitFor();
  await context.close();
});

it("signs out, for the cookie too", async () => {
  const page = await signIn("otto");
  const before = await page.context().cookies();
  expect(before.length).toBeGreaterThan(0);
  expect(before.every((c) => c.httpOnly && c.secure)).toBe(true);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in", level: 1 }).waitFor();
  await page.context().addCookies(before); // who kept it has nothing
  await page.goto(`${mesh.hosted}/c/nafld-outcomes/review`);
  await page.getByRole("heading", { name: "Sign in", level: 1 }).waitFor();
  await page.context().close();
});

it("makes a passkey, which signs the version that names it and then a pause", async () => {
  const page = await signIn("dana");
  await authenticator(page);
  await page.getByRole("link", { name: "dana@" }).click();
  await page.getByLabel("Your id").fill("clinic"); // a passkey of the organisation
  const saved = page.waitForEvent("download");
  await page.getByRole("button", { name: "Make a passkey and its enrolment" }).click();
  await page.getByText("The enrolment was saved").waitFor();
  const key = await enrolled(await (await saved).path());
  expect(key).toMatch(/^webauthn:localhost:/);

  const room = join(mesh.home, "demo", "room");
  const manifest = join(room, "manifest.yaml");
  const version1 = readFileSync(manifest, "utf8");
  const version2 = version1
    .replace("version: 1", "version: 2")
    .replace(/(name: Community clinic\n\s+keys:\n)(\s+)- /, `$1$2- "${key}"\n$2- `);
  expect(version2).toContain(key);
  writeFileSync(manifest, version2);
  mesh.run("clinic", "manifest", "propose", room);
  for (const participant of ["clinic", "laboratory", "registry"]) mesh.run(participant, "manifest", "sign", "--yes");
  expect(mesh.run("otto", "manifest", "status")).toMatch(/version 2: proposed[\s\S]*missing {2}clinic/);

  await go(page, "Review");
  await page.reload();
  await page.getByRole("button", { name: "Approve and sign…" }).click();
  await page.getByText("Your passkey signs").waitFor();
  await sign(page);
  await page.getByText("Approve version 2: signed and sent.").waitFor();
  expect(mesh.run("otto", "manifest", "status")).toContain("version 2: active");

  await page.reload();
  await go(page, "Budget");
  await page.getByRole("button", { name: "Pause all queries…" }).click();
  await page.getByLabel("Reason").fill("By passkey");
  await page.getByRole("button", { name: "Go on to sign" }).click();
  await sign(page);
  await page.getByText("Paused by Community clinic").waitFor();
  expect(mesh.run("otto", "manifest", "status")).toContain("version 2: paused");
  expect(mesh.run("otto", "log", "entries")).toContain("pause");
  await page.getByRole("button", { name: "Resume…" }).click();
  await sign(page);
  await page.getByRole("heading", { name: "Queries run" }).waitFor();
  await page.context().close();
});

it("shows the command where no key can sign", async () => {
  const page = await signIn("lars");
  await go(page, "Budget");
  await page.getByRole("button", { name: "Pause all queries…" }).click();
  await page.getByRole("button", { name: "Go on to sign" }).click();
  await page.getByRole("dialog").getByText("concordat manifest pause --key FILE").waitFor();
  expect(await page.getByRole("dialog").getByRole("button", { name: "Sign", exact: true }).count()).toBe(0);
  await page.context().close();
});

it("gives a page of another origin nothing", async () => {
  const page = await signIn("dana");
  const evil = await serve(`<!doctype html><title>evil</title><iframe src="${mesh.hosted}/"></iframe>`);
  const other = await page.context().newPage();
  const framed = other.waitForEvent("requestfailed", { predicate: (r) => r.url().startsWith(mesh.hosted) });
  await other.goto(evil.origin);
  expect((await framed).failure()?.errorText).toMatch(/BLOCKED/);
  const outcome = await other.evaluate(async (host) => {
    const path = `${host}/concordat.v1.ParticipantService/GetManifest`;
    const body = '{"collaboration":"nafld-outcomes"}';
    const ask = (init: RequestInit) =>
      fetch(path, { method: "POST", credentials: "include", body, ...init }).then(
        (r) => `answered ${r.status}`,
        () => "blocked",
      );
    return [
      await ask({ headers: { "Content-Type": "application/json", "Concordat-Page": "1" } }),
      await ask({ headers: { "Content-Type": "application/json" } }),
      await ask({ headers: { "Content-Type": "text/plain" } }),
    ];
  }, mesh.hosted);
  expect(outcome).toEqual(["blocked", "blocked", "blocked"]);
  await evil.stop();
  await page.context().close();
});

/** An authenticator of the browser that has its user's consent. */
async function authenticator(page: Page): Promise<void> {
  const devtools = await (page.context() as BrowserContext).newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
}

/** The key of an enrolment, as `concordat manifest enrol` would insert it. */
async function enrolled(file: string): Promise<string> {
  const envelope = JSON.parse(readFileSync(file, "utf8")) as { payload: string };
  return (JSON.parse(Buffer.from(envelope.payload, "base64").toString()) as { key: string }).key;
}

async function serve(html: string): Promise<{ origin: string; stop: () => Promise<void> }> {
  const server: Server = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end(html));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => new Promise((done) => server.close(() => done())),
  };
}
