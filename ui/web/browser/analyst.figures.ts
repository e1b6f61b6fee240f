// How fast the analyst's page is, on a mesh of the demo; lines "figure NAME VALUE UNIT" as `make bench` prints them.
// npx vitest run --config browser/figures.config.ts
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, it } from "vitest";
import { launch } from "./chromium";
import { type Mesh, startMesh } from "./mesh";
import { weightOf } from "./weight";

let mesh: Mesh;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  mesh = await startMesh();
  browser = await launch();
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.goto(await mesh.web("ana"));
  await page.locator(".cm-content").waitFor();
});
afterAll(async () => {
  await browser?.close();
  await mesh?.stop();
});

const figure = (name: string, value: number, unit: string) =>
  process.stdout.write(`figure ${name} ${Math.round(value * 10) / 10} ${unit}\n`);
const rank = (values: readonly number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;

it("page", () => figure("web_analyst_page_gzip", weightOf("Query") / 1000, "kB"));

it("first render", async () => {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    await page.reload();
    await page.locator(".cm-content").waitFor();
    // The editor stands as soon as what it is made of has come and the frame after that is painted.
    const painted = await page.evaluate(
      () => new Promise<number>((done) => requestAnimationFrame(() => done(performance.now()))),
    );
    times.push(painted);
  }
  figure("web_analyst_first_render", rank(times, 0.5), "ms");
});

const text =
  "SELECT c.male, l.test, count(DISTINCT c.id) AS patients, avg(l.value) AS mean FROM clinic.patients c JOIN laboratory.results l ON c.id = l.id WHERE l.test IN ('hdl', 'chol', 'sbp') AND c.age >= 40 GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 50";

it("typing", async () => {
  await page.locator(".cm-content").click();
  await page.evaluate(() => {
    const seen = { keys: [] as number[], tasks: [] as number[] };
    Object.assign(globalThis, { seen });
    addEventListener(
      "keydown",
      (event) => {
        const at = event.timeStamp;
        requestAnimationFrame(() => {
          const { port1, port2 } = new MessageChannel();
          port1.onmessage = () => seen.keys.push(performance.now() - at); // after the paint that the frame leads to
          port2.postMessage(0);
        });
      },
      true,
    );
    new PerformanceObserver((list) => seen.tasks.push(...list.getEntries().map((e) => e.duration))).observe({
      entryTypes: ["longtask"],
    });
  });
  const traced = await trace();
  for (const key of text.slice(0, 200)) await page.keyboard.type(key, { delay: 40 });
  await page.waitForTimeout(1000);
  const seen = await page.evaluate(() => (globalThis as unknown as { seen: { keys: number[]; tasks: number[] } }).seen);
  const tasks = await traced();
  figure("web_typing_longest_task_cpu", Math.max(0, ...tasks), "ms");
  figure("web_typing_tasks_above_50_ms_cpu", tasks.filter((t) => t > 50).length, "tasks");
  figure("web_typing_p50", rank(seen.keys, 0.5), "ms");
  figure("web_typing_p95", rank(seen.keys, 0.95), "ms");
  figure("web_typing_long_tasks", seen.tasks.length, "tasks");
  figure("web_typing_longest_task", Math.max(0, ...seen.tasks), "ms");
});

/** Traces the page's main thread; the answer gives the processor time of each of its tasks in ms, whatever else the machine does. */
async function trace(): Promise<() => Promise<number[]>> {
  const cdp = await browser.newBrowserCDPSession();
  const events: { name: string; ph: string; tdur?: number; pid: number; tid: number; args?: { name?: string } }[] = [];
  cdp.on("Tracing.dataCollected", ({ value }) => events.push(...(value as unknown as typeof events)));
  await cdp.send("Tracing.start", {
    transferMode: "ReportEvents",
    traceConfig: {
      includedCategories: ["toplevel", "disabled-by-default-devtools.timeline", "devtools.timeline", "__metadata"],
    },
  });
  return async () => {
    const done = new Promise((end) => cdp.once("Tracing.tracingComplete", end));
    await cdp.send("Tracing.end");
    await done;
    const mains = new Set(
      events
        .filter((e) => e.name === "thread_name" && e.args?.name === "CrRendererMain")
        .map((e) => `${e.pid} ${e.tid}`),
    );
    return events
      .filter((e) => e.ph === "X" && /RunTask$/.test(e.name) && mains.has(`${e.pid} ${e.tid}`))
      .map((e) => (e.tdur ?? 0) / 1000);
  };
}
