// What the made-up mesh answers about drafts: it reads the policy that it is given as far as it needs, and judges nothing.
import type { ServiceImpl } from "@connectrpc/connect";
import type { Policy } from "../api/documents";
import type { DocumentService } from "../gen/concordat/v1/document_pb";
import explanation from "./data/explanation.json";
import refusal from "./data/refusal.json";

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const read = (bytes: Uint8Array | undefined) => JSON.parse(new TextDecoder().decode(bytes)) as Policy;

function problemsOf(p: Policy) {
  const problem = (path: string, message: string, fix: string) => ({ document: p.dataset, path, message, fix });
  return [
    ...(p.unit !== "none" && !p.columns[p.unit.column]
      ? [
          problem(
            "unit.column",
            `${JSON.stringify(p.unit.column)} is no column`,
            "name the column that identifies the unit",
          ),
        ]
      : []),
    ...Object.entries(p.columns)
      .filter(([, c]) => c.role === "measure" && !c.bounds)
      .map(([name]) =>
        problem(`columns.${name}.bounds`, "a measure has bounds", "write the lowest and the highest value"),
      ),
  ];
}

export const documents: Partial<ServiceImpl<typeof DocumentService>> = {
  check: ({ draft }) => {
    const problems = problemsOf(read(draft?.policies[0]));
    if (problems.length > 0) return { problems };
    return {
      manifest: draft?.manifest ?? new Uint8Array(),
      policies: draft?.policies ?? [],
      digest: `sha256:${"ab".repeat(32)}`,
    };
  },
  explain: ({ policy }) => {
    const p = read(policy);
    const of = (role: string) =>
      Object.entries(p.columns)
        .filter(([, c]) => c.role === role)
        .map(([name]) => name)
        .join(", ") || "nothing";
    const unit = p.unit === "none" ? "nobody" : p.unit.namespace;
    return {
      sentences: [
        `It protects each ${unit}.`,
        `Analysts can count them by ${of("dimension")}.`,
        `They can sum ${of("measure")}, within bounds.`,
        `Nobody sees ${of("identifier")} or ${of("hidden")}.`,
      ],
      columns: Object.entries(p.columns).map(([column, c]) => ({ column, type: c.type, role: c.role, use: "" })),
    };
  },
  compare: () => ({
    meaning: [
      { subject: "clinic.patients.age", owner: "clinic", what: "Bounds [18, 100] become [18, 110].", effect: "weaker" },
    ],
    fields: [{ document: "clinic.patients", path: "columns.age.bounds", before: "[18,100]", after: "[18,110]" }],
  }),
  try: ({ sql }) => ({ answer: encode(/\*/.test(sql) ? refusal : explanation) }),
};
