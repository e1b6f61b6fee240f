import { api } from "../../api/clients";
import type { Room } from "../../api/documents";
import { reportIdentity } from "../../lib/age/part";
import { Sealer } from "../../lib/age/sealer";
import { fromBase64 } from "../../lib/base64";
import type { Digest } from "../../lib/canon";
import type { Check } from "../../lib/check";
import { pinnedMesh } from "../../lib/documents";
import { verifyDocuments, verifyMesh } from "../../lib/mesh";
import { Rate } from "../../lib/upload/rate";
import { statementOf } from "../../lib/upload/source";
import type { Report } from "../../lib/upload/statement";
import { type UploadState, UploadStore } from "../../lib/upload/store";
import { GoneError, type Progress, retrying, transfer } from "../../lib/upload/transfer";
import type { Signer } from "../../part/signer.svelte";
import { judge, meshCalls } from "./calls";

export const store = new UploadStore();

export type Stage = "idle" | "sending" | "paused" | "signing" | "ingesting" | "done";

/** What is uploaded: an upload's state and the files as they are sent. */
export type Wanted = Omit<
  UploadState,
  "id" | "key" | "begun" | "report" | "target" | "parts" | "manifest" | "collaboration"
>;

/** One upload on its way, from the checks before it to the report after it. */
export class Sending {
  stage: Stage = $state("idle");
  checks: readonly Check[] = $state.raw([]);
  progress: Progress | undefined = $state.raw();
  perSecond = $state(0);
  phase = $state("");
  report: Report | undefined = $state.raw();
  registered = $state(false);
  version = $state(0);
  fault: unknown = $state.raw();
  state: UploadState | undefined = $state.raw();
  #stop: AbortController | undefined;
  #rate = new Rate();
  #files: readonly Blob[] = [];

  constructor(
    private readonly room: Room,
    private readonly signer: Signer,
    private readonly now: () => string,
  ) {}

  /** Seconds that are left at the rate of the last seconds; undefined while nobody can tell. */
  get remaining(): number | undefined {
    const p = this.progress;
    return p && this.perSecond > 0 ? (p.total - p.done) / this.perSecond : undefined;
  }

  async begin(wanted: Wanted, files: readonly Blob[]): Promise<void> {
    const { collaboration } = this.room.manifest;
    await this.resume(
      {
        ...wanted,
        id: `${collaboration}/${wanted.dataset}`,
        key: crypto.randomUUID(),
        begun: new Date().toISOString(),
        collaboration,
        manifest: this.room.status.digest as Digest,
        report: await reportIdentity(),
        target: null,
        parts: [],
      },
      files,
    );
  }

  /** Goes on with an upload that was begun, with the same files. */
  async resume(state: UploadState, files: readonly Blob[]): Promise<void> {
    this.state = state;
    this.#files = files;
    this.fault = undefined;
    this.report = undefined;
    this.stage = "sending";
    try {
      await this.#send();
    } catch (cause) {
      if (this.#stop?.signal.aborted) return;
      this.fault = cause;
      this.stage = "paused";
      return;
    }
    await this.sign();
  }

  pause(): void {
    this.#stop?.abort(new DOMException("paused", "AbortError"));
    this.stage = "paused";
    this.perSecond = 0;
  }

  async goOn(): Promise<void> {
    if (this.state) await this.resume(this.state, this.#files);
  }

  /** Stops and forgets. What was sent is ciphertext that nobody signed for; the mesh sweeps it. */
  async cancel(): Promise<void> {
    this.pause();
    if (this.state) await store.remove(this.state.id);
    this.state = undefined;
    this.progress = undefined;
    this.fault = undefined;
    this.stage = "idle";
  }

  async #send(): Promise<void> {
    const mesh = pinnedMesh(this.room.manifest);
    const status = await api.admin.status({});
    const [documents, running] = [await verifyDocuments(this.room), await verifyMesh(this.room, status)];
    this.checks = [...documents, ...running.checks];
    const failed = this.checks.find((c) => c.state === "failed");
    if (failed) throw new Error(`Nothing was sent. ${failed.name}: ${failed.detail ?? "failed"}`);
    this.#stop = new AbortController();
    const sealer = new Sealer();
    const stop = this.#stop.signal;
    stop.addEventListener("abort", () => sealer.close());
    const state = this.state as UploadState;
    const calls = meshCalls({
      collaboration: state.collaboration,
      dataset: state.dataset,
      pinnedRoot: mesh.root_certificate,
      root: Uint8Array.from(status.root),
      sealer,
      store: { save: (s: UploadState) => this.#keep(s) },
      onrecipient: (recipient) => this.#proved(recipient, state.dataset),
    });
    this.#rate.reset();
    try {
      const tell = (p: Progress) => this.#tell(p);
      try {
        this.state = await transfer(state, this.#files, mesh.ledger, calls, stop, tell);
      } catch (cause) {
        if (!(cause instanceof GoneError)) throw cause;
        this.state = { ...state, key: crypto.randomUUID(), target: null, parts: [] };
        this.state = await transfer(this.state, this.#files, mesh.ledger, calls, stop, tell);
      }
    } finally {
      sealer.close();
    }
  }

  #keep(state: UploadState): Promise<void> {
    this.state = state;
    return store.save(state);
  }

  #proved(recipient: string, dataset: string): void {
    const name = "A worker of this mesh made the key for this upload";
    const check: Check = {
      name,
      state: "proved",
      detail: `For ${dataset} alone, ML-KEM-768 with X25519: ${recipient.slice(0, 28)}…`,
    };
    this.checks = [...this.checks.filter((c) => c.name !== name), check];
  }

  #tell(p: Progress): void {
    this.progress = p;
    this.#rate.note(performance.now(), p.done - p.resumed);
    this.perSecond = this.#rate.perSecond;
  }

  async #complete(): Promise<void> {
    const state = this.state as UploadState;
    const statement = statementOf(state, this.now());
    this.stage = "signing";
    const envelope = await this.signer.ask({
      kind: "upload",
      title: `Sign for ${state.dataset}, version ${statement.version}`,
      meaning: [
        `These ${statement.parts.length} encrypted parts, in this order, become version ${statement.version} of ${state.dataset}.`,
        "Nothing that anybody else sent counts: only parts whose digests stand in this statement are read.",
        "The worker tells what it found in a report that opens in this browser only.",
      ],
      payload: statement,
    });
    if (!envelope) {
      this.fault = undefined;
      return;
    }
    this.stage = "ingesting";
    await this.#ingest(state, envelope);
  }

  /** Asks for the signature, again where it was put off or what follows it failed. */
  async sign(): Promise<void> {
    this.fault = undefined;
    try {
      await this.#complete();
    } catch (cause) {
      this.fault = cause;
      this.stage = "signing";
    }
  }

  async #ingest(state: UploadState, envelope: Uint8Array<ArrayBuffer>): Promise<void> {
    const id = `${state.id}/${state.target?.version ?? 0}`;
    const kept = { id, identity: state.report.identity, sealed: "", at: Date.now() };
    await store.saveReport(kept);
    const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
    const sealed = await retrying(
      () => this.#answer(state, envelope),
      { wait },
      new AbortController().signal,
      (why) => {
        this.phase = `waiting: ${why}`;
      },
    );
    await store.saveReport({ ...kept, sealed });
    const { openReport } = await import("../../lib/age/part");
    this.report = await openReport<Report>(state.report.identity, fromBase64(sealed));
    this.version = state.target?.version ?? 0;
    this.stage = "done";
    await store.remove(state.id);
  }

  // An upload whose answer got lost is completed again: it gives its report, and no second version.
  async #answer(state: UploadState, envelope: Uint8Array<ArrayBuffer>): Promise<string> {
    try {
      const stream = api.participant.completeUpload({ uploadId: state.target?.upload ?? "", statement: envelope });
      for await (const { event, registered } of stream) {
        if (event.case === "phase") this.phase = event.value;
        if (event.case !== "report") continue;
        this.registered = registered;
        return (JSON.parse(new TextDecoder().decode(event.value)) as { sealed: string }).sealed;
      }
    } catch (cause) {
      throw judge(cause);
    }
    throw judge(new TypeError("the stream ended without a report"));
  }
}
