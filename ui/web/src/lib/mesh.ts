// What a page can verify of the mesh behind it: that the signed manifest pins this mesh, and that its log only grew. Quotes of hardware
// are the command line's to check.
import type { Room } from "../api/documents";
import type { CheckpointResponse, StatusResponse } from "../gen/concordat/v1/concordat_pb";
import { fromBase64, toBase64 } from "./base64";
import { digest, parseCanonical } from "./canon";
import type { Check } from "./check";
import { type Checkpoint, medianTime, openCheckpoint } from "./checkpoint";
import { checkPolicies, missingApprovals, pinnedMesh } from "./documents";
import { parseEnvelope } from "./dsse";
import { type PublicKey, parseKey } from "./ed25519";
import { parseEndorsement, verifyEndorsement } from "./endorse";
import { extendsTree } from "./merkle";

type Bytes = Uint8Array<ArrayBuffer>;

/** What this browser saw of a log before, kept between visits. */
export interface Seen {
  readonly size: number;
  readonly root: string; // base64
}

/** Runs a check; what it throws is why it failed. */
async function check(name: string, run: () => Promise<readonly [Check["state"], string]>): Promise<Check> {
  try {
    const [state, detail] = await run();
    return { name, state, detail };
  } catch (cause) {
    return { name, state: "failed", detail: cause instanceof Error ? cause.message : String(cause) };
  }
}

/** Who signed the manifest, and that its policies are the ones that it carries. */
export async function verifyDocuments(room: Room): Promise<Check[]> {
  const { manifest, policies, documents, status } = room;
  const found = await digest(copy(documents.manifest));
  return [
    await check("The digest is that of the documents", async () => {
      if (found !== status.digest) throw new Error(`the documents have ${found}, the mesh says ${status.digest}`);
      return ["proved", found];
    }),
    await check("The policies are those of the manifest", async () => {
      await checkPolicies(manifest, policies);
      return ["proved", `${policies.length} policies have the digests that the manifest carries.`];
    }),
    await check("All participants signed these bytes", async () => {
      const missing = await missingApprovals(
        manifest,
        found,
        documents.approvals.map((a) => parseEnvelope(a)),
      );
      if (missing.length === 0)
        return ["proved", `${manifest.participants.length} of ${manifest.participants.length}.`];
      if (status.by)
        return [
          "open",
          `${status.by} alone brought it into force, since it only tightens its policies. The command line checks that.`,
        ];
      return ["open", `Not yet by ${missing.join(", ")}.`];
    }),
  ];
}

/** That the mesh that answers is the one that the manifest pins. */
export async function verifyMesh(
  room: Room,
  status: StatusResponse,
): Promise<{ checks: Check[]; log: PublicKey | undefined }> {
  const mesh = pinnedMesh(room.manifest);
  const root = copy(status.root);
  let log: PublicKey | undefined;
  const checks = [
    await check("The root certificate is the pinned one", async () => {
      const found = await digest(root);
      if (found !== mesh.root_certificate)
        throw new Error(`the mesh has ${found}, the manifest pins ${mesh.root_certificate}`);
      return ["proved", found];
    }),
    await check("The ledger is the pinned one, and its keys are endorsed by a coordinator of this mesh", async () => {
      const type = "application/vnd.concordat.ledger-keys+json";
      const e = parseEndorsement(copy(status.logKey));
      const payload = await verifyEndorsement(e, type, mesh.root_certificate, root, "coordinator");
      const keys = parseCanonical<{ ledger: string; log: string }>(payload);
      if (keys.ledger !== mesh.ledger)
        throw new Error(`the keys are of ledger ${keys.ledger}, the manifest pins ${mesh.ledger}`);
      log = parseKey(keys.log);
      return ["proved", `Ledger ${mesh.ledger}.`];
    }),
    await check("MarbleRun's manifest and coordinator are the pinned ones", async () => {
      if (status.marblerunManifest !== mesh.marblerun_manifest)
        throw new Error(`the mesh says ${status.marblerunManifest}, the manifest pins ${mesh.marblerun_manifest}`);
      if (status.coordinator !== mesh.coordinator)
        throw new Error(
          `the mesh says that MarbleRun's coordinator is ${status.coordinator}, the manifest pins ${mesh.coordinator}`,
        );
      return ["claimed", "The mesh says so; that its programs are these follows from the evidence of hardware."];
    }),
    await check("Hardware vouches for the programs", async () =>
      mesh.mode === "simulation"
        ? ["claimed", "Simulation: no hardware vouches for anything, and operators could see the data."]
        : ["open", "The command line checks quotes, with the collateral of their vendor."],
    ),
  ];
  return { checks, log };
}

/** That the log is signed, cosigned as the manifest demands, and begins with what this browser saw before. */
export async function verifyLog(
  room: Room,
  log: PublicKey,
  answer: CheckpointResponse,
  seen: Seen | undefined,
): Promise<{ checks: Check[]; seen: Seen | undefined }> {
  const mesh = pinnedMesh(room.manifest);
  const witnesses = room.manifest.witnesses;
  let head: Checkpoint | undefined;
  const checks = [
    await check("The ledger signed its log", async () => {
      head = await openCheckpoint(new TextDecoder().decode(answer.note), mesh.ledger, log, witnesses?.keys ?? []);
      return ["proved", `${head.size} entries.`];
    }),
    await check("The log only grew since this browser last looked", async () => {
      const now = head ?? missing();
      if (!seen) return ["open", "This browser sees this log for the first time."];
      const proof = answer.consistency.map((h) => copy(h));
      if (!(await extendsTree(seen.size, fromBase64(seen.root), now.size, now.root, proof)))
        throw new Error(
          `the log of ${now.size} entries does not begin with the ${seen.size} that were seen: it was rolled back or forked`,
        );
      return ["proved", `It begins with the ${seen.size} entries that were seen.`];
    }),
    await check("Witnesses saw the log", async () => {
      const quorum = witnesses?.quorum ?? 0;
      const n = (head ?? missing()).cosigned.length;
      if (quorum === 0)
        return ["claimed", "The manifest demands no witness: the ledger is not protected against rollback."];
      if (n < quorum)
        return [
          "open",
          `${n} of ${quorum} cosigned this checkpoint, which is newer than the last that they saw. Releases wait for them.`,
        ];
      return ["proved", `${n} cosigned, ${quorum} are demanded, at ${medianTime(head ?? missing())?.toISOString()}.`];
    }),
  ];
  const [, grew] = checks;
  // A log that was rolled back must go on failing: what was seen stays.
  if (!head || grew?.state === "failed") return { checks, seen };
  return { checks, seen: { size: head.size, root: toBase64(head.root) } };
}

function missing(): never {
  throw new Error("There is no checkpoint to look at.");
}

const copy = (bytes: Uint8Array): Bytes => Uint8Array.from(bytes);
