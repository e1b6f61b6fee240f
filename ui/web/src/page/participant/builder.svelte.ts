import { api } from "../../api/clients";
import type { Manifest, Policy, Room } from "../../api/documents";
import { type Answer, readJson } from "../../api/json";
import type { CheckResponse, ColumnUse, Problem as Told } from "../../gen/concordat/v1/document_pb";
import { draftPolicy } from "../../lib/sample/draft";
import { emptyPolicy, fromPolicy, notNumbers, type PolicyDraft, toPolicy } from "../../lib/sample/policy";
import { readSample } from "../../lib/sample/read";

/** What is wrong with a draft, and where. */
export type Problem = Pick<Told, "document" | "path" | "message" | "fix">;

const pause = 400; // ms after the last change until the draft is judged
const encoder = new TextEncoder();

/** Whose draft it is, and where it is kept in this browser. */
function keptAs(collaboration: string, dataset: string): string {
  return `concordat-policy/${collaboration}/${dataset}`;
}

/** A policy that is being written, with what it means as far as the mesh, or one's own machine, said. */
export class Builder {
  draft: PolicyDraft;
  sentences: readonly string[] = $state.raw([]);
  uses: readonly ColumnUse[] = $state.raw([]);
  problems: readonly Problem[] = $state.raw([]);
  warnings: readonly Problem[] = $state.raw([]);
  judging = $state(false);
  fault: unknown = $state.raw();
  changed = $state(false);
  /** Normalisation of a namespace that the manifest does not have yet. */
  normalise = $state("trim");
  #timer: ReturnType<typeof setTimeout> | undefined;
  #turn = 0;

  constructor(
    private readonly room: Room,
    dataset: string,
    owner: string,
  ) {
    const inForce = room.policies.find((p) => p.dataset === dataset);
    const fresh = inForce ? fromPolicy(inForce) : emptyPolicy(dataset, owner);
    const kept = this.#read(dataset);
    this.draft = $state(kept ?? fresh);
    this.changed = kept !== undefined;
    if (!this.draft.unit.namespace) this.draft.unit.namespace = Object.keys(room.manifest.namespaces)[0] ?? "";
  }

  #read(dataset: string): PolicyDraft | undefined {
    try {
      const text = localStorage.getItem(keptAs(this.room.manifest.collaboration, dataset));
      return text ? (JSON.parse(text) as PolicyDraft) : undefined;
    } catch {
      return undefined;
    }
  }

  get inForce(): Policy | undefined {
    return this.room.policies.find((p) => p.dataset === this.draft.dataset);
  }

  get isNew(): boolean {
    return this.inForce === undefined;
  }

  get policyBytes(): Uint8Array<ArrayBuffer> {
    return encoder.encode(JSON.stringify(toPolicy(this.draft)));
  }

  /** The manifest that would carry the draft: the next version, with the dataset and its namespace where they are new. */
  get manifestBytes(): Uint8Array<ArrayBuffer> {
    const m = this.room.manifest;
    const { dataset, owner, unit } = this.draft;
    const datasets = m.datasets.map(({ id, owner: by }) => ({ id, owner: by }));
    if (!datasets.some((d) => d.id === dataset)) datasets.push({ id: dataset, owner });
    const namespaces = { ...m.namespaces };
    if (!unit.none && unit.namespace && !namespaces[unit.namespace])
      namespaces[unit.namespace] = { normalize: this.normalise };
    const next: Manifest = {
      ...m,
      version: m.version + 1,
      namespaces,
      datasets: datasets as unknown as Manifest["datasets"],
    };
    return encoder.encode(JSON.stringify(next));
  }

  /** Drafts from the beginning of a file, read in this browser. */
  async start(file: File): Promise<{ skipped: readonly string[]; ambiguous: readonly string[] }> {
    const table = await readSample(file);
    const { dataset, owner } = this.draft;
    const drafted = draftPolicy(table, { dataset, owner, namespaces: Object.keys(this.room.manifest.namespaces) });
    this.draft = drafted.policy;
    this.touch();
    return drafted;
  }

  /** Back to what is in force, or to an empty page. */
  discard(): void {
    localStorage.removeItem(keptAs(this.room.manifest.collaboration, this.draft.dataset));
    const inForce = this.inForce;
    this.draft = inForce ? fromPolicy(inForce) : emptyPolicy(this.draft.dataset, this.draft.owner);
    this.changed = false;
    void this.judge();
  }

  /** After a change: keeps the draft in this browser, without values of a sample, and judges it soon. */
  touch(): void {
    this.changed = true;
    const kept = { ...this.draft, columns: this.draft.columns.map((c) => ({ ...c, seen: [] })) };
    try {
      localStorage.setItem(keptAs(this.room.manifest.collaboration, this.draft.dataset), JSON.stringify(kept));
    } catch {
      // A full or forbidden store costs the draft at a reload, nothing else.
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.judge(), pause);
  }

  async judge(): Promise<void> {
    const turn = ++this.#turn;
    const document = this.draft.dataset;
    const wrong = notNumbers(this.draft);
    if (wrong.length > 0) {
      this.problems = wrong.map(({ path, text }) => ({
        document,
        path,
        message: `${text} is no number`,
        fix: "write one, for instance 12.5",
      }));
      this.judging = false;
      return;
    }
    this.judging = true;
    try {
      const policy = this.policyBytes;
      const [said, checked] = await Promise.all([api.document.explain({ policy }), this.check()]);
      if (turn !== this.#turn) return;
      this.sentences = said.sentences;
      this.uses = said.columns;
      this.problems = checked.problems;
      this.warnings = checked.warnings;
      this.fault = undefined;
    } catch (cause) {
      if (turn === this.#turn) this.fault = cause;
    } finally {
      if (turn === this.#turn) this.judging = false;
    }
  }

  check(): Promise<CheckResponse> {
    const { collaboration } = this.room.manifest;
    return api.document.check({ collaboration, draft: { manifest: this.manifestBytes, policies: [this.policyBytes] } });
  }

  /** How a query would be judged if the draft were in force. */
  async tryOut(sql: string): Promise<{ answer: Answer | undefined; problems: readonly Problem[] }> {
    const { collaboration } = this.room.manifest;
    const draft = { manifest: this.manifestBytes, policies: [this.policyBytes] };
    const { answer, problems } = await api.document.try({ collaboration, draft, sql });
    return { answer: answer.length > 0 ? readJson<Answer>(answer) : undefined, problems };
  }

  /** What is wrong at a place of the policy, or below it. */
  at(path: string): string | undefined {
    const found = this.problems.filter(
      (p) =>
        p.document === this.draft.dataset &&
        (p.path === path || p.path.startsWith(`${path}.`) || p.path.startsWith(`${path}[`)),
    );
    return found.length > 0 ? found.map((p) => `${p.message}${p.fix ? `: ${p.fix}` : ""}`).join(". ") : undefined;
  }

  /** What is wrong with a column, whose name may be the beginning of another's. */
  atColumn(name: string): string | undefined {
    const longer = this.draft.columns.some((c) => c.name.startsWith(`${name}.`) && this.at(`columns.${c.name}`));
    return longer ? undefined : this.at(`columns.${name}`);
  }

  /** Problems that no field of the page shows. */
  get elsewhere(): readonly Problem[] {
    const shown = ["columns.", "unit", "release", "budget"];
    return this.problems.filter((p) => p.document !== this.draft.dataset || !shown.some((s) => p.path.startsWith(s)));
  }
}
