// A small schema and answer for the tests of this folder.
import type { Policy } from "../../api/documents";
import type { Answer } from "../../api/json";

export const policies: Policy[] = [
  {
    apiVersion: "concordat.dev/v1",
    kind: "Policy",
    dataset: "clinic.patients",
    owner: "clinic",
    unit: { column: "id", namespace: "patient", unique: true },
    columns: {
      id: { type: "varchar", role: "identifier" },
      age: { type: "integer", role: "measure", bounds: [18, 100], grain: 5 },
      male: { type: "integer", role: "dimension", domain: [0, 1] },
      "case.id": { type: "varchar", role: "hidden" },
    },
    aggregates: ["count", "avg"],
    release: {
      mechanism: "differential_privacy",
      min_units: 10,
      groups_per_unit: 6,
      rows_per_group: 10,
      rho_per_aggregate: 0.005,
    },
    budget: { rho: 0.5, period: "30d", lifetime_rho: 3 },
  },
  {
    apiVersion: "concordat.dev/v1",
    kind: "Policy",
    dataset: "laboratory.results",
    owner: "laboratory",
    unit: { column: "id", namespace: "patient" },
    columns: {
      id: { type: "varchar", role: "identifier" },
      test: { type: "varchar", role: "dimension", prefix: 3 },
      value: { type: "double", role: "measure", bounds: [0, 250], scale: 0.1 },
      taken_on: { type: "date", role: "time", grain: "month" },
    },
    joins: "required",
    release: { mechanism: "threshold", min_units: 10, groups_per_unit: 3, rows_per_group: 5 },
    budget: { queries: 200, period: "day" },
  },
];

export const answer: Answer = {
  verdict: "released",
  query_id: "9c2c",
  refusals: [],
  columns: [
    { name: "test", type: "varchar", kind: "key" },
    { name: "month", type: "date", kind: "key" },
    { name: "at", type: "timestamp", kind: "key" },
    { name: "old", type: "boolean", kind: "key" },
    { name: "n", type: "bigint", kind: "aggregate" },
    { name: "n_low", type: "double", kind: "derived" },
    { name: "price", type: "decimal(10,2)", kind: "aggregate" },
    { name: "total", type: "hugeint", kind: "aggregate" },
  ],
  rows: [
    [
      'a, "b"',
      "2026-01-31",
      "2026-01-31T12:30:00Z",
      true,
      8227,
      1.5,
      "12.50",
      "170141183460469231731687303715884105727",
    ],
    [null, null, null, null, null, null, null, null],
  ],
  intervals: [
    [null, null, null, null, [8193, 8261], null, [12, 13], null],
    [null, null, null, null, null, null, null, null],
  ],
  mechanism: "differential_privacy",
  withheld_possible: true,
  price: [],
  receipt: { id: "9c2c", log_index: 30 },
  notes: ["Reads clinic.patients.", "At most 3 groups."],
};
