// Verification of a receipt, link by link, in the browser and without asking anybody, as protocol/receipt in Go: what it calls proved
// follows from the receipt's bytes, and from the manifest's digest if the reader brings it. Two things it leaves to the command line: the
// rules that documents have to keep among themselves, and the evidence of hardware.
import { fromBase64 } from "../base64";
import { canonical, canonicalText, digest, parseCanonical } from "../canon";
import type { Check } from "../check";
import { type Checkpoint, leafRecord, medianTime, openCheckpoint } from "../checkpoint";
import { checkPolicies, missingApprovals, pinnedMesh } from "../documents";
import { verifyEnvelope } from "../dsse";
import { type PublicKey, parseKey } from "../ed25519";
import { verifyEndorsement } from "../endorse";
import { readMarbleRunManifest } from "../marble";
import { includes, leafHash } from "../merkle";
import { type Grant, type Price, parseReceipt, type Receipt, type Release } from "./receipt";

type State = Check["state"];

/** One link: its stable name is that of the command line's report. */
export interface ReceiptCheck extends Check {
  readonly id: string;
}

export interface ReceiptReport {
  readonly mode: string; // simulation | sgx | "" when not even the manifest could be read
  readonly ok: boolean; // no link failed
  readonly checks: readonly ReceiptCheck[];
  readonly receipt: Receipt | undefined;
  readonly release: Release | undefined; // as good as the checks say
  readonly grant: Grant | undefined;
}

export interface Options {
  /** Digest of the manifest that the reader trusts, of the version that the receipt names. */
  readonly manifest?: string | undefined;
}

/** What earlier links proved to later ones. */
interface Known {
  readonly receipt: Receipt;
  readonly options: Options;
  readonly digest: string; // of the manifest
  release?: Release;
  subject?: string;
  grant?: Grant;
  log?: PublicKey;
  head?: Checkpoint;
}

type Outcome = readonly [State, string];
interface Step {
  readonly id: string;
  readonly name: string;
  readonly needs?: string;
  readonly run: (k: Known) => Promise<Outcome> | Outcome;
}

const ledgerKeysType = "application/vnd.concordat.ledger-keys+json";
const grantPayloadType = "application/vnd.concordat.grant+json";
const statementType = "https://in-toto.io/Statement/v1";
const inTotoType = "application/vnd.in-toto+json";
const predicateType = "https://concordat.dev/release/v1";
const planPrefix = "concordat.dev/plan/v1\n";
const encoder = new TextEncoder();

const steps: readonly Step[] = [
  { id: "manifest", name: "The manifest is the one that you trust", run: checkManifest },
  { id: "documents", name: "The policies are those of the manifest", run: checkDocuments },
  { id: "approvals", name: "All participants signed the manifest", needs: "documents", run: checkApprovals },
  { id: "root", name: "The mesh is the one that the manifest pins", needs: "documents", run: checkRoot },
  { id: "worker", name: "A worker of that mesh signed the release", needs: "root", run: checkWorker },
  { id: "release", name: "It was made under this manifest", needs: "worker", run: checkRelease },
  { id: "result", name: "The result is the one that was released", needs: "worker", run: checkResult },
  { id: "grant", name: "It was paid for before it was made", needs: "worker", run: checkGrant },
  { id: "runner", name: "Who asked was allowed to", needs: "grant", run: checkRunner },
  { id: "sql", name: "The SQL text is the one that was run", needs: "worker", run: checkSQL },
  { id: "plan", name: "The plan is the one that was granted", needs: "worker", run: checkPlan },
  { id: "checkpoint", name: "The ledger signed its log", needs: "grant", run: checkCheckpoint },
  { id: "inclusion", name: "The release is in that log", needs: "checkpoint", run: checkInclusion },
  { id: "witnesses", name: "Witnesses saw that log", needs: "checkpoint", run: checkWitnesses },
  { id: "program", name: "Which program the worker was", needs: "worker", run: checkProgram },
  { id: "attestation", name: "Hardware vouches for the programs", needs: "grant", run: checkAttestation },
];

/** Verifies every link of a receipt. It throws nothing: what cannot be read fails. */
export async function verifyReceipt(bytes: Uint8Array, options: Options = {}): Promise<ReceiptReport> {
  let receipt: Receipt;
  try {
    receipt = parseReceipt(bytes);
  } catch (cause) {
    const check = { id: "form", name: "The file is a receipt", state: "failed", detail: messageOf(cause) } as const;
    return { mode: "", ok: false, checks: [check], receipt: undefined, release: undefined, grant: undefined };
  }
  const known: Known = { receipt, options, digest: await digest(canonical(receipt.manifest)) };
  const checks: ReceiptCheck[] = [];
  for (const step of steps) checks.push(await runStep(step, known, checks));
  return {
    mode: receipt.manifest.mesh?.mode ?? "",
    ok: checks.every((c) => c.state !== "failed"),
    checks,
    receipt,
    release: known.release,
    grant: known.grant,
  };
}

async function runStep(step: Step, known: Known, before: readonly ReceiptCheck[]): Promise<ReceiptCheck> {
  const { id, name, needs } = step;
  const missing = needs && before.find((c) => c.id === needs && c.state === "failed");
  if (missing)
    return { id, name, state: "failed", detail: `Not checked, since an earlier check failed: ${missing.name}.` };
  try {
    const [state, detail] = await step.run(known);
    return { id, name, state, detail };
  } catch (cause) {
    return { id, name, state: "failed", detail: `${messageOf(cause)}.` };
  }
}

const messageOf = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause));

function fail(message: string): never {
  throw new Error(message);
}

function checkManifest({ digest, options }: Known): Outcome {
  if (!options.manifest)
    return ["claimed", `No manifest to compare with was given: compare ${digest} with what was signed.`];
  if (options.manifest !== digest) fail(`the receipt's manifest is ${digest}, the trusted one is ${options.manifest}`);
  return ["proved", `It has the digest ${digest}.`];
}

async function checkDocuments({ receipt }: Known): Promise<Outcome> {
  const { manifest, policies } = receipt;
  await checkPolicies(manifest, policies);
  return [
    "proved",
    `${manifest.collaboration} version ${manifest.version}; ${policies.length} policies have the digests that the manifest carries.`,
  ];
}

async function checkApprovals({ receipt, digest }: Known): Promise<Outcome> {
  const { manifest, approvals, amends } = receipt;
  const missing = await missingApprovals(manifest, digest, approvals);
  if (missing.length === 0) return ["proved", `All ${manifest.participants.length} participants signed it.`];
  const names = missing.join(", ");
  if (amends.length === 0) fail(`not signed, or with fewer keys than the manifest demands: ${names}`);
  return [
    "open",
    `${names} did not sign: the receipt says that one owner only tightened its own policies. The command line checks that.`,
  ];
}

async function checkRoot({ receipt }: Known): Promise<Outcome> {
  const pinned = pinnedMesh(receipt.manifest).root_certificate;
  const found = await digest(receipt.root);
  if (found !== pinned) fail(`the root certificate is ${found}, the manifest pins ${pinned}`);
  return ["proved", "The root certificate of MarbleRun has the digest that the manifest carries."];
}

async function checkWorker(k: Known): Promise<Outcome> {
  const { body, root, manifest } = k.receipt;
  const payload = await verifyEndorsement(body, inTotoType, pinnedMesh(manifest).root_certificate, root, "worker");
  const said = parseCanonical<{
    _type: string;
    predicateType: string;
    predicate: Release;
    subject: { name: string; digest: { sha256: string } }[];
  }>(payload);
  const [subject, ...others] = said.subject;
  const release = said.predicate;
  const named = `release/${release.ledger}/${release.query}`;
  if (
    said._type !== statementType ||
    said.predicateType !== predicateType ||
    subject?.name !== named ||
    others.length > 0
  )
    fail("what the worker signed is not a statement about one release");
  if (release.plan !== undefined && (await digest(encoder.encode(planPrefix + release.plan))) !== release.plan_digest)
    fail("the plan does not have its digest");
  k.release = release;
  k.subject = `sha256:${subject?.digest.sha256}`;
  return ["proved", "Its certificate leads to the pinned root and is of the type worker."];
}

function checkRelease({ receipt, release, digest }: Known): Outcome {
  const m = receipt.manifest;
  const r = release ?? fail("there is no release");
  const { ledger, mode } = pinnedMesh(m);
  if (
    r.ledger !== ledger ||
    r.collaboration !== m.collaboration ||
    r.version !== m.version ||
    r.manifest !== digest ||
    r.mode !== mode
  )
    fail(`the worker signed for ${r.collaboration} version ${r.version} of ledger ${r.ledger} in mode ${r.mode}`);
  for (const [i, p] of r.policies.entries()) {
    if (r.datasets[i]?.id !== p.dataset || m.datasets.find((d) => d.id === p.dataset)?.policy_digest !== p.digest)
      fail(`the worker used another policy of ${p.dataset} than the manifest carries`);
  }
  if (r.policies.length !== r.datasets.length) fail("policies and datasets do not match");
  return ["proved", `It read ${r.datasets.map((d) => `${d.id} version ${d.version}`).join(", ")}.`];
}

async function checkResult({ receipt, release, subject }: Known): Promise<Outcome> {
  const found = await digest(canonical(receipt.result));
  if (found !== subject) fail(`the result is ${found}, the worker signed ${subject}`);
  if (receipt.result.mechanism !== release?.mechanism) fail("result and worker name different mechanisms");
  return [
    "proved",
    `${receipt.result.rows.length} rows, released by ${receipt.result.mechanism.replaceAll("_", " ")}.`,
  ];
}

async function checkGrant(k: Known): Promise<Outcome> {
  const { receipt, release } = k;
  const { ledger, root_certificate } = pinnedMesh(receipt.manifest);
  const keys = parseCanonical<{ type: string; ledger: string; log: string; grant: string }>(
    await verifyEndorsement(receipt.grant.keys, ledgerKeysType, root_certificate, receipt.root, "coordinator"),
  );
  if (keys.type !== "concordat.dev/ledger-keys/v1" || keys.ledger !== ledger)
    fail("the keys are those of another ledger");
  await verifyEnvelope(receipt.grant.envelope, grantPayloadType, [parseKey(keys.grant)]);
  if (receipt.grant.envelope.signatures.length !== 1) fail("the grant has more signatures than that of the grant key");
  const g = parseCanonical<Grant>(receipt.grant.envelope.payload);
  const r = release ?? fail("there is no release");
  const same =
    g.ledger === ledger &&
    g.query === r.query &&
    g.collaboration === r.collaboration &&
    g.version === r.version &&
    g.manifest === r.manifest &&
    g.sql === r.sql &&
    g.plan === r.plan_digest &&
    g.question === r.question &&
    canonicalText(g.datasets) === canonicalText(r.datasets) &&
    canonicalText(g.price) === canonicalText(r.price);
  if (!same || (await digest(receipt.grant.envelope.payload)) !== r.grant)
    fail("the grant is not the one that the worker executed");
  if (g.reserved.slice(0, 10) > receipt.manifest.expires)
    fail(`reserved at ${g.reserved}, after the manifest expired on ${receipt.manifest.expires}`);
  k.grant = g;
  k.log = parseKey(keys.log);
  return ["proved", `Reserved at ${g.reserved} as command ${g.index} of the ledger: ${prices(g.price)}.`];
}

function prices(list: readonly Price[]): string {
  const said = list.map((p) =>
    p.queries
      ? `${p.owner} pays ${p.queries} of its queries`
      : `${p.owner} pays rho ${rho(p.rho)} for ${p.namespace} (spent ${rho(p.spent_before)} before, ${rho(p.spent_before + p.rho)} after)`,
  );
  return said.join(", ") || "nobody pays";
}

/** Units of 1e-9 without rounding. */
function rho(units: number): string {
  return (units / 1e9).toFixed(9).replace(/\.?0+$/, "");
}

function checkRunner({ receipt, grant }: Known): Outcome {
  const person = receipt.manifest.people?.find((p) => p.id === grant?.person);
  if (!person || person.participant !== grant?.participant || !person.roles.includes("analyst"))
    fail(`${grant?.person} of ${grant?.participant} is not an analyst of this manifest`);
  return ["proved", `Granted to ${grant?.person} of ${grant?.participant}, an analyst in the manifest.`];
}

async function checkSQL({ receipt, release }: Known): Promise<Outcome> {
  if (receipt.sql === undefined) return ["claimed", `The text is not in this receipt; its digest is ${release?.sql}.`];
  if ((await digest(encoder.encode(receipt.sql))) !== release?.sql) fail("the SQL text is not the one that was run");
  return ["proved", "It has the digest that was granted."];
}

function checkPlan({ release }: Known): Outcome {
  if (release?.plan === undefined)
    return ["claimed", `The plan is not in this receipt; its digest is ${release?.plan_digest}.`];
  return ["proved", "It has the digest that was granted."]; // compared when the worker's statement was opened, and with the grant's
}

async function checkCheckpoint(k: Known): Promise<Outcome> {
  const m = k.receipt.manifest;
  k.head = await openCheckpoint(
    k.receipt.checkpoint,
    pinnedMesh(m).ledger,
    k.log ?? fail("there is no log key"),
    m.witnesses?.keys ?? [],
  );
  return ["proved", `The checkpoint is of ${k.head.size} entries.`];
}

async function checkInclusion({ receipt, head }: Known): Promise<Outcome> {
  const record = await leafRecord(receipt.salt, canonical(receipt.bodyObject));
  const h = head ?? fail("there is no checkpoint");
  if (!(await includes(await leafHash(record), receipt.index, h.size, h.root, receipt.proof)))
    fail(`what the worker signed is not entry ${receipt.index} of that log`);
  return ["proved", `What the worker signed is entry ${receipt.index}.`];
}

function checkWitnesses({ receipt, head }: Known): Outcome {
  const quorum = receipt.manifest.witnesses?.quorum ?? 0;
  if (quorum === 0)
    return ["claimed", "The manifest demands no witness: the ledger is not protected against rollback."];
  const n = head?.cosigned.length ?? 0;
  if (!head || n < quorum) fail(`${n} of ${quorum} cosignatures`);
  return ["proved", `${n} cosigned, ${quorum} are demanded; their median time is ${medianTime(head)?.toISOString()}.`];
}

async function checkProgram({ receipt, release }: Known): Promise<Outcome> {
  const { mode, marblerun_manifest } = pinnedMesh(receipt.manifest);
  const worker = release?.worker ?? fail("there is no release");
  if (!worker.marblerun) {
    if (mode !== "simulation") fail("MarbleRun's manifest is missing, which says what program a worker is");
    return ["claimed", "MarbleRun's manifest is not in this receipt."];
  }
  const raw = fromBase64(worker.marblerun);
  const found = await digest(raw);
  if (found !== marblerun_manifest) fail(`MarbleRun's manifest is ${found}, the manifest pins ${marblerun_manifest}`);
  const admitted = readMarbleRunManifest(raw).worker;
  if (worker.measure !== admitted) fail(`the worker says that it is ${worker.measure}, MarbleRun admits ${admitted}`);
  const said = `The pinned MarbleRun manifest has worker ${admitted}, program ${worker.version}`;
  return mode === "simulation" ? ["claimed", `${said}; in simulation nobody measured it.`] : ["proved", `${said}.`];
}

function checkAttestation({ receipt }: Known): Outcome {
  if (pinnedMesh(receipt.manifest).mode === "simulation")
    return ["claimed", "Simulation: no hardware vouches for the programs, and operators could see the data."];
  return ["open", "Quotes of hardware are checked by the command line, with the collateral of its vendor."];
}
