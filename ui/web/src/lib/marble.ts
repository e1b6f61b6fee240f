// MarbleRun's manifest as protocol/marble in Go writes it: a function of two measurements, so that nothing else can hide in it.
import { canonicalText } from "./canon";

const measurement = /^[0-9a-f]{64}$/;
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Measurements of the programs that a mesh admits, lower-case hex. */
export interface Measurements {
  readonly coordinator: string;
  readonly worker: string;
}

export function marbleRunManifest(m: Measurements): string {
  const part = (type: keyof Measurements) => ({ UniqueID: m[type] });
  const secret = { Type: "symmetric-key", Size: 256, Shared: true };
  const marble = (type: keyof Measurements) => ({
    Package: `concordat-${type}`,
    Parameters: { Env: { CONCORDAT_SECRET: `{{ hex .Secrets.${type}_root }}` } },
  });
  return canonicalText({
    Packages: { "concordat-coordinator": part("coordinator"), "concordat-worker": part("worker") },
    Marbles: { coordinator: marble("coordinator"), worker: marble("worker") },
    Secrets: { coordinator_root: secret, worker_root: secret },
    Config: { SealMode: "UniqueKey" },
  });
}

/** The measurements in a MarbleRun manifest, after checking that it is byte for byte what these measurements give. */
export function readMarbleRunManifest(bytes: Uint8Array): Measurements {
  const text = decoder.decode(bytes);
  const form = JSON.parse(text) as { Packages?: Record<string, { UniqueID?: string } | undefined> };
  const of = (type: keyof Measurements) => form.Packages?.[`concordat-${type}`]?.UniqueID ?? "";
  const found = { coordinator: of("coordinator"), worker: of("worker") };
  if (!measurement.test(found.coordinator) || !measurement.test(found.worker) || marbleRunManifest(found) !== text)
    throw new Error("MarbleRun's manifest says more than, or other than, the two measurements that it names");
  return found;
}
