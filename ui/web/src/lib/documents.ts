// What signatures and digests say of a manifest and its policies, without asking anybody.
import type { Manifest, Mesh } from "../api/documents";
import { canonical, canonicalText, digest } from "./canon";
import { type Envelope, payloadTypes, verifyEnvelope } from "./dsse";
import { parseKey } from "./ed25519";
import { isPasskey, parsePasskey, passkeyVerifier } from "./passkey";

/** Throws unless each dataset has exactly the policy whose digest the manifest carries. */
export async function checkPolicies(manifest: Manifest, policies: readonly unknown[]): Promise<void> {
  const digests: string[] = await Promise.all(policies.map((p) => digest(canonical(p))));
  if (policies.length !== manifest.datasets.length || new Set(digests).size !== digests.length)
    throw new Error(`${manifest.datasets.length} datasets, ${policies.length} policies`);
  for (const d of manifest.datasets) {
    const policy = policies[digests.indexOf(d.policy_digest)] as { dataset?: unknown; owner?: unknown } | undefined;
    if (policy?.dataset !== d.id || policy.owner !== d.owner)
      throw new Error(`the policy of ${d.id} is not the one that the manifest carries`);
  }
}

/** The participants who did not sign with as many keys as the manifest demands. Throws on an approval of anything else. */
export async function missingApprovals(
  manifest: Manifest,
  manifestDigest: string,
  approvals: readonly Envelope[],
): Promise<string[]> {
  const keys = manifest.participants
    .flatMap((p) => p.keys ?? [])
    .map((k) => (isPasskey(k) ? passkeyVerifier(parsePasskey(k)) : parseKey(k)));
  const wanted = canonicalText({
    type: "concordat.dev/statement/v1",
    action: "approve",
    ledger: pinnedMesh(manifest).ledger,
    collaboration: manifest.collaboration,
    version: manifest.version,
    subject: manifestDigest,
  });
  const signers = new Set<string>();
  for (const [i, envelope] of approvals.entries()) {
    const by = await verifyEnvelope(envelope, payloadTypes.statement, keys);
    if (new TextDecoder().decode(envelope.payload) !== wanted)
      throw new Error(`approval ${i + 1} is not for this manifest`);
    if (by.length !== envelope.signatures.length)
      throw new Error(`approval ${i + 1} has signatures by keys that the manifest does not name`);
    for (const k of by) signers.add(k);
  }
  return manifest.participants
    .filter((p) => (p.keys ?? []).filter((k) => signers.has(k)).length < (p.threshold ?? 1))
    .map((p) => p.id);
}

export function pinnedMesh(m: Manifest): Mesh {
  if (!m.mesh) throw new Error("the manifest pins no mesh");
  return m.mesh;
}
