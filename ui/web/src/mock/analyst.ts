// What the made-up mesh answers to analysts. A word in the text chooses what happens: MOCK_EXHAUSTED, MOCK_FAILED, MOCK_LOST, MOCK_EXPIRED,
// MOCK_WIDE, MOCK_HOSTILE, MOCK_EMPTY, MOCK_SLOW, MOCK_TIME.
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { AnalystService } from "../gen/concordat/v1/concordat_pb";
import type { SavedService } from "../gen/concordat/v1/saved_pb";
import answer from "./data/answer.json";
import budget from "./data/budget.json";
import explanation from "./data/explanation.json";
import history from "./data/history.json";
import receipt from "./data/receipt.json";
import refusal from "./data/refusal.json";

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const wait = (ms: number, signal: AbortSignal) =>
  new Promise<void>((done, fail) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      fail(new ConnectError("cancelled", Code.Canceled));
    });
  });

const hostile = `<img src=x onerror="globalThis.pwned=1">'"><script>globalThis.pwned=1</script>`;

function judge(sql: string): object {
  if (sql.includes("MOCK_HOSTILE")) {
    const own = {
      ...refusal.refusals[0],
      message: hostile,
      suggestion: `Use ${hostile}.`,
      owner: hostile,
      rule: hostile,
      column: hostile,
    };
    return { ...refusal, refusals: [own] };
  }
  const bare = /, (c\.id)\b/i.exec(sql);
  if (bare) {
    const start = new TextEncoder().encode(sql.slice(0, bare.index + 2)).length;
    const span = { start, end: start + 4 };
    return { ...refusal, refusals: refusal.refusals.map((r, i) => ({ ...r, span: i === 0 ? span : null })) };
  }
  if (!/count|sum|avg/i.test(sql)) return refusal;
  return explanation;
}

function outcome(sql: string): object {
  if (sql.includes("MOCK_EXHAUSTED")) return exhausted;
  if (sql.includes("MOCK_FAILED")) {
    const failure = { message: "The query could not be executed.", incident: "4be1f6a09c5d4d0fb7a1f3f0c9d2e671" };
    return { ...answer, verdict: "failed", columns: [], rows: [], intervals: [], receipt: null, failure };
  }
  if (sql.includes("MOCK_EMPTY")) return { ...answer, rows: [], intervals: [] };
  if (sql.includes("MOCK_TIME")) return months();
  if (sql.includes("MOCK_WIDE")) return wide();
  if (sql.includes("MOCK_HOSTILE")) return hostileAnswer();
  return answer;
}

const exhausted = {
  ...refusal,
  refusals: [
    {
      code: "budget_exhausted",
      owner: "clinic",
      dataset: "",
      column: "",
      rule: "budget",
      span: null,
      message: "The budget of clinic cannot pay: the query costs rho 0.015, 0.01 remain.",
      suggestion:
        "Ask for fewer aggregates, lower rho, or wait for the next period. The same question as before costs nothing.",
    },
  ],
};

function months() {
  const at = (i: number) => `${2023 + Math.floor(i / 12)}-${String((i % 12) + 1).padStart(2, "0")}-01`;
  const rows = Array.from({ length: 48 }, (_, i) => [
    at(i % 24),
    i < 24 ? "hdl" : "chol",
    900 + Math.round(200 * Math.sin(i / 4)) + (i < 24 ? 0 : 400),
  ]);
  const columns = [
    { name: "month", type: "date", kind: "key" },
    { name: "test", type: "varchar", kind: "key" },
    { name: "patients", type: "bigint", kind: "aggregate" },
  ];
  return { ...answer, columns, rows, intervals: rows.map((r) => [null, null, [Number(r[2]) - 34, Number(r[2]) + 34]]) };
}

function wide() {
  const columns = [
    { name: "diagnosis", type: "varchar", kind: "key" },
    ...Array.from({ length: 4 }, (_, i) => ({ name: `aggregate_${i + 1}`, type: "double", kind: "aggregate" })),
  ];
  const rows = Array.from({ length: 101 }, (_, r) => [
    `group ${r}`,
    ...Array.from({ length: 4 }, (_, i) => Math.sin(r * (i + 1)) * 1000),
  ]);
  return {
    ...answer,
    columns,
    rows,
    intervals: rows.map((r) => r.map((v) => (typeof v === "number" ? [v - 3.2, v + 3.2] : null))),
  };
}

function hostileAnswer() {
  const columns = [
    { name: hostile, type: "varchar", kind: "key" },
    { name: "n", type: "bigint", kind: "aggregate" },
  ];
  const rows = [
    [hostile, 1],
    ["=HYPERLINK(1)", 2],
  ];
  return { ...answer, columns, rows, intervals: rows.map(() => [null, [0, 3]]), notes: [hostile] };
}

export const analyst: Partial<ServiceImpl<typeof AnalystService>> = {
  async *query(request, context) {
    yield { event: { case: "phase", value: "analyse" } };
    await wait(60, context.signal);
    const judged = judge(request.sql) as { verdict: string };
    if (request.explain || (judged.verdict === "refused" && !request.sql.includes("MOCK_HOSTILE"))) {
      yield { event: { case: "answer", value: bytes(judged) } };
      return;
    }
    if (request.sql.includes("MOCK_EXPIRED")) throw new ConnectError("the session has ended", Code.Unauthenticated);
    const end = outcome(request.sql) as { verdict: string };
    for (const phase of end.verdict === "refused" ? ["reserve"] : ["reserve", "execute", "record"]) {
      yield { event: { case: "phase", value: phase } };
      await wait(request.sql.includes("MOCK_SLOW") ? 20_000 : 120, context.signal);
      if (phase === "execute" && request.sql.includes("MOCK_LOST"))
        throw new ConnectError("Failed to fetch", Code.Unknown);
    }
    yield {
      event: { case: "answer", value: bytes(end) },
      receipt: end.verdict === "released" ? bytes(receipt) : new Uint8Array(),
    };
  },
  history: (request) => {
    const text = request.text.toLowerCase();
    if (text === "mock_fault") throw new ConnectError("no majority of coordinators answers", Code.Unavailable);
    const found = history.filter(
      (h) => h.sql.toLowerCase().includes(text) && (!request.dataset || h.datasets.includes(request.dataset)),
    );
    return { entries: bytes(found.slice(0, request.limit || 100)) };
  },
  budget: () => ({ budgets: bytes(budget) }),
};

const example =
  "SELECT l.test, count(DISTINCT l.id) AS patients, avg(l.value) AS mean\nFROM laboratory.results l\nWHERE l.test = {{test}} AND l.days >= {{from_day}}\nGROUP BY 1";
let saved = [
  {
    id: "aa00000000000000000000000000aa00",
    name: "Patients of one test",
    sql: example,
    parameters: bytes([
      { name: "test", label: "Test", type: "choice", default: "hdl", values: ["hdl", "chol", "sbp"] },
      { name: "from_day", label: "From day", type: "integer", default: "365" },
    ]),
    shared: true,
    person: "ana@clinic.example",
    participant: "clinic",
    saved: "2026-11-22T10:00:00Z",
    yours: true,
    approval: "pending",
    missing: ["laboratory"],
    plan: "sha256:2539bbbd8a6f4033b9dd5c9ccdf12bdb267622b774c9885f50d7b22441c69ecc",
  },
  {
    id: "bb00000000000000000000000000bb00",
    name: `Shared by a colleague ${hostile}`,
    sql: "SELECT male, count(*) AS n FROM clinic.patients GROUP BY 1",
    parameters: new Uint8Array(),
    shared: true,
    person: "rita@registry.example",
    participant: "registry",
    saved: "2026-11-20T10:00:00Z",
    yours: false,
    approval: "approved",
    missing: [] as string[],
    plan: "",
  },
];

export const savedQueries: Partial<ServiceImpl<typeof SavedService>> = {
  list: () => ({ queries: saved }),
  save: (request) => {
    const old = saved.find((s) => s.id === request.id);
    const query = {
      id: old?.id ?? crypto.randomUUID().replaceAll("-", ""),
      name: request.name,
      sql: request.sql,
      parameters: request.parameters,
      shared: request.shared,
      person: "ana@clinic.example",
      participant: "clinic",
      saved: "2026-11-23T18:00:00Z",
      yours: true,
      approval: "",
      missing: [] as string[],
      plan: "",
    };
    saved = [query, ...saved.filter((s) => s !== old)] as typeof saved;
    return query;
  },
  delete: (request) => {
    saved = saved.filter((s) => s.id !== request.id);
    return {};
  },
};
